"""Words of people that are signed, and shown in terminals and documents: one line, in which nothing is hidden or turned round."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final

from pydantic import StringConstraints

from devicepipe.errors import UsageError

MOST_WORDS: Final = 2000
UNPRINTABLE: Final = (
    r"\x00-\x1f\x7f-\x9f\u2028\u2029"
    r"\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f"
    r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
)
"""What could make a text look like another one or like other lines than it is: control characters and line breaks, the format
characters (Cf) of Unicode 16, and letters and signs that are blank. Written out, so that no other version judges otherwise."""
Words = Annotated[
    str,
    StringConstraints(
        max_length=MOST_WORDS,
        pattern=rf"^[^{UNPRINTABLE}]*[\p{{L}}\p{{N}}\p{{P}}\p{{S}}&&[^{UNPRINTABLE}]][^{UNPRINTABLE}]*$",
    ),
]
"""Text of one line that has something to be seen, as a terminal and a document show it."""


def check_words(text: str, option: str) -> None:
    """Check words that somebody gave to be signed. Raises UsageError, which names the option, where they can be none."""
    if len(text) > MOST_WORDS:
        raise UsageError(f"{option} has {len(text)} characters: {MOST_WORDS} at most")
    if found := re.search(rf"[{UNPRINTABLE}\ud800-\udfff]", text):
        raise UsageError(
            f"{option} has a character that is not printed as it is: {ascii(found[0])[1:-1]}",
            remedy="give it as one line of text, without line breaks, control characters, and characters that show nothing",
        )
    if not any(unicodedata.category(one)[0] in "LNPS" for one in text):
        raise UsageError(f"{option} has nothing that can be seen", remedy="give words")
