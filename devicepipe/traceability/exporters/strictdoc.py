"""StrictDoc documents (.sdoc), with a grammar of their own: a tag an item type, a field an attribute, a role a kind of link."""

from __future__ import annotations

import re
from collections.abc import Sequence

from devicepipe.evidence.trace import Item
from devicepipe.project.toml_file import Table
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told
from devicepipe.traceability.loss import Loss

_UID = re.compile(r"\w+[\w()\-/.: ]*")
_END = re.compile(r"^<<<", re.MULTILINE)
_RESERVED = ("SECTION", "DOCUMENT", "GRAMMAR", "TEXT")


class StrictdocExporter(Exporter):
    """One document."""

    lossless = True

    class Config(Table):
        """`title`: the document's."""

        title: str = "Items"

    def write(self, items: Sequence[Item]) -> Exported:
        """One .sdoc file."""
        made = Exported()
        title = self.config.title if isinstance(self.config, self.Config) else ""
        parts = [f"[DOCUMENT]\nTITLE: {title}\n", _grammar(items)]
        for item in items:
            if not _UID.fullmatch(item.id):
                made.losses.append(told(item, "an id that cannot be a UID: the item is left out"))
                continue
            parts.append(_node(item, made.losses))
        made.files[""] = "\n".join(parts).encode()
        return made


def _tag(kind: str) -> str:
    name = re.sub(r"[^A-Z0-9]+", "_", kind.upper()).strip("_")
    return f"{name}_ITEM" if name in _RESERVED or not name[:1].isalpha() else name


def _name(key: str) -> str:
    return key.upper().replace("-", "_")


def _grammar(items: Sequence[Item]) -> str:
    lines = ["[GRAMMAR]", "ELEMENTS:"]
    for kind in sorted({item.type for item in items}):
        of = [item for item in items if item.type == kind]
        fields = sorted({key for item in of for key in fields_of(item)})
        links = sorted({link for item in of for link in item.links})
        lines += [f"- TAG: {_tag(kind)}", "  FIELDS:"]
        for name, needed in (
            ("UID", True),
            ("TITLE", True),
            ("STATEMENT", True),
            *((_name(key), False) for key in fields),
        ):
            lines += [f"  - TITLE: {name}", "    TYPE: String", f"    REQUIRED: {needed}"]
        lines.append("  RELATIONS:")
        lines.append("  - TYPE: Parent")
        for link in links:
            lines += ["  - TYPE: Parent", f"    ROLE: {link}"]
    return "\n".join(lines) + "\n"


def _node(item: Item, losses: list[Loss]) -> str:
    lines = [f"[{_tag(item.type)}]", f"UID: {item.id}", *_field("TITLE", item.title)]
    for name, text in (
        ("STATEMENT", item.text),
        *((_name(key), value) for key, value in sorted(fields_of(item).items())),
    ):
        if _END.search(text):
            text = _END.sub(r"\\<<<", text)  # noqa: PLW2901
            losses.append(told(item, "a line that begins with <<<: written with a backslash"))
        lines += _field(name, text, block=name == "STATEMENT")
    if item.links:
        lines.append("RELATIONS:")
    for link, targets in item.links.items():
        for target in targets:
            lines += ["- TYPE: Parent", f"  VALUE: {target}", f"  ROLE: {link}"]
    return "\n".join(lines) + "\n"


def _field(name: str, text: str, *, block: bool = False) -> list[str]:
    plain = not block and "\n" not in text and text[:1].strip() and not text.startswith(">>>")
    return [f"{name}: {text}"] if plain else [f"{name}: >>>", text, "<<<"]
