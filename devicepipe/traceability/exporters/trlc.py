"""TRLC: the types of items in `items.rsl`, the items in `items.trlc`; what BMW's `trlc` checks and reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from devicepipe.evidence.trace import Item
from devicepipe.project.toml_file import Table, matching
from devicepipe.traceability.exporters.exporter import Exported, Exporter, fields_of, told

_KEYWORDS = frozenset(
    [
        "abs",
        "abstract",
        "and",
        "checks",
        "else",
        "elsif",
        "enum",
        "error",
        "exists",
        "extends",
        "fatal",
        "final",
        "forall",
        "freeze",
        "if",
        "implies",
        "import",
        "in",
        "not",
        "null",
        "optional",
        "or",
        "package",
        "section",
        "separator",
        "then",
        "true",
        "false",
        "tuple",
        "type",
        "warning",
        "xor",
        "title",
        "text",
        "item_id",
    ]
)
Package = Annotated[str, matching(r"^[a-z][a-z0-9_]*$", "small letters, digits and '_'")]


class TrlcExporter(Exporter):
    """A folder with `items.rsl` and `items.trlc`."""

    folder = True

    class Config(Table):
        """`package`: the name of the package in both."""

        package: Package = "devicepipe_items"

    def write(self, items: Sequence[Item]) -> Exported:
        """Both files."""
        made = Exported()
        package = self.config.package if isinstance(self.config, self.Config) else ""
        known = {item.id for item in items}
        kinds = sorted({item.type for item in items})
        types = [f"package {package}\n", _base()]
        for kind in kinds:
            own = [item for item in items if item.type == kind]
            links = sorted({link for item in own for link in item.links})
            fields = sorted({key for item in own for key in fields_of(item)})
            lines = [f"type {_type(kind)} extends Item {{"]
            lines += [f"  {_name(link)} optional Item [1 .. *]" for link in links]
            lines += [f"  {_name(key)} optional String" for key in fields]
            types.append("\n".join([*lines, "}\n"]))
        records = [f"package {package}\n", *(_record(item, known, made) for item in items)]
        made.files = {"items.rsl": "\n".join(types).encode(), "items.trlc": "\n".join(records).encode()}
        return made


def _base() -> str:
    return "abstract type Item {\n  item_id String\n  title String\n  text String\n}\n"


def _record(item: Item, known: set[str], made: Exported) -> str:
    lines = [f"{_type(item.type)} {_identifier(item.id)} {{"]
    texts = {"item_id": item.id, "title": item.title, "text": item.text}
    texts |= {_name(key): value for key, value in fields_of(item).items()}
    for name, text in texts.items():
        written = text
        if "'''" in text and '"""' in text:
            written = text.replace("'''", "' ' '")
            made.losses.append(told(item, "both kinds of triple quotes in one text: one is written with spaces"))
        lines.append(f"  {name} = {_string(written)}")
    for link, targets in item.links.items():
        there = [target for target in targets if target in known]
        for target in targets:
            if target not in known:
                made.losses.append(told(item, f"link '{link}' to an item that is not exported ({target}): left out"))
        if there:
            lines.append(f"  {_name(link)} = [{', '.join(map(_identifier, there))}]")
    return "\n".join([*lines, "}\n"])


def _string(text: str) -> str:
    if "\n" not in text and '"' not in text and "\\" not in text:
        return f'"{text}"'
    if "'''" not in text and not text.endswith("'"):
        return f"'''{text}'''"
    return f'"""{text}"""' if not text.endswith('"') else f'"""{text} """'


def _type(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.split("-"))


def _name(key: str) -> str:
    name = key.replace("-", "_")
    return f"f_{name}" if name in _KEYWORDS else name


def _identifier(own: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]", lambda found: "_" if found[0] == "-" else f"_{ord(found[0]):x}_", own)
    return name if name[0].isalpha() else f"i_{name}"
