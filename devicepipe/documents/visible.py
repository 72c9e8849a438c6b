"""Text made safe to read: characters that would be invisible, or would reorder their neighbours, become visible codes.

Why: evidence is shown to people who decide by it. A right-to-left override in a test's name (CVE-2021-42574, "Trojan Source")
or a zero-width space in a requirement's id must not change what they believe to read. The set is written down here and not taken
from `unicodedata`, whose categories change with the Python version: the same bundle must give the same bytes anywhere.
"""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL and C1, soft hyphen, bidi marks/embeddings/overrides/isolates, zero-width and format characters,
# line and paragraph separators, surrogates, private use of the BMP, specials and noncharacters, tags and variation selectors.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def code_point(character: str) -> str:
    """The visible code of a character, e.g. [U+202E]."""
    return f"[U+{ord(character):04X}]"


def visible(text: str) -> str:
    """The text with hidden characters as codes; every line end becomes a line feed, a tab a space."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return _HIDDEN.sub(lambda match: code_point(match[0]), text)
