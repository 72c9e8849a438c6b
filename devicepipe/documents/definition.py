"""Document definitions: which documents there are, and of each the number, the sections in order, their wording and their tables.

A definition is a TOML file. devicepipe ships one for each document of its set; a project's folder adds to them and changes them by
file name: of a file of the same name, the keys that stand there replace the shipped ones, section by section and key by key.
`branding.toml` holds for all documents.

What always holds: a definition that was read names only blocks, texts and sections that there are. A mistake names the file, the
line, the key and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from devicepipe.documents.model import ACCENT
from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table, Text, TomlFile, Where, matching

BRANDING: Final = "branding.toml"
REFERENCE: Final = "docs/reference/documents.md tells what a definition may say"

_NAME = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS: Final = ("product", "version", "title", "manufacturer", "commit")

_SectionName = Annotated[str, matching(_NAME, "a name of small letters, digits and hyphens")]
_TextName = Annotated[
    str, matching(r"^[A-Za-z0-9][A-Za-z0-9._-]*\.md$", "the name of a Markdown file beside it, e.g. 'scope.md'")
]
_Color = Annotated[str, matching(r"^#[0-9a-fA-F]{6}$", "a colour like '#1f3a5f'")]
_LogoName = Annotated[
    str,
    matching(r"^[A-Za-z0-9][A-Za-z0-9._-]*\.(svg|png)$", "the name of an SVG or PNG file beside it, e.g. 'logo.svg'"),
]
_Titles = Annotated[str, StringConstraints(min_length=1)]


_LEAST_CONTRAST = 4.5


def _on_white(color: int) -> float:
    """The contrast of a colour with white, 1 to 21, as WCAG 2.2 defines it."""
    parts = [(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004 - its curve
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


class TableFile(Table):
    """[tables."CAPTION"]: a table's caption, the columns that are shown in their order, and how their headings read."""

    caption: str | None = None
    columns: tuple[_Titles, ...] | None = Field(default=None, strict=False)
    titles: dict[str, Text] = Field(default_factory=dict)


def _unsigned(status: str) -> str:
    if _SIGNED.search(status):
        raise ValueError(
            "that a document is approved is said by signatures, not by its definition: say e.g. 'for approval'"
        )
    return status


_SIGNED = re.compile(r"(?<!not )\b(approved|signed|released)\b", re.IGNORECASE)
_Status = Annotated[Text, AfterValidator(_unsigned)]


class SectionFile(Table):
    """[sections.NAME]: what a definition says of a section; what it does not say is as shipped."""

    title: Text | None = None
    text: _TextName | None = None
    blocks: tuple[str, ...] | None = Field(default=None, strict=False)
    level: Literal[1, 2] | None = None
    landscape: bool | None = None
    new_page: bool | None = None
    appendix: bool | None = None


class ApprovalFile(Table):
    """[[approval]]: a line of the approval block: the role that signs, and what the signature means."""

    role: Text
    meaning: Text


class DocumentFile(Table):
    """A definition as it is written."""

    number: Text | None = None
    title: Text | None = None
    revision: Text | None = None
    status: _Status | None = None
    enabled: bool | None = None
    contents: bool | None = None
    front: tuple[str, ...] | None = Field(default=None, strict=False)
    order: tuple[str, ...] | None = Field(default=None, strict=False)
    omit: tuple[str, ...] = Field(default=(), strict=False)
    sections: dict[_SectionName, SectionFile] = Field(default_factory=dict)
    tables: dict[str, TableFile] = Field(default_factory=dict)
    approval: tuple[ApprovalFile, ...] | None = Field(default=None, strict=False)
    provided: dict[str, Text] = Field(default_factory=dict)
    level: Literal["basic", "enhanced"] | None = None


class BrandingFile(Table):
    """branding.toml as it is written."""

    name: Text | None = None
    color: _Color | None = None
    logo: _LogoName | None = None
    revision: Text | None = None
    status: _Status | None = None
    footer: Text | None = None
    approval: tuple[ApprovalFile, ...] | None = Field(default=None, strict=False)


@dataclass(frozen=True, slots=True)
class Approval:
    """A line of the approval block."""

    role: str
    meaning: str


@dataclass(frozen=True, slots=True)
class TableUse:
    """How a table is shown: "" and () where as it is built."""

    caption: str = ""
    columns: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a document."""

    name: str
    title: str
    text: str = ""
    blocks: tuple[str, ...] = ()
    level: Literal[1, 2] = 1
    landscape: bool = False
    new_page: bool = False
    appendix: bool = False


@dataclass(frozen=True, slots=True)
class Branding:
    """What all documents have in common. `name` "" is the manufacturer of devicepipe.toml."""

    name: str = ""
    color: int = ACCENT
    logo: str = ""
    revision: str = "1"
    status: str = "for approval"
    footer: str = ""
    approval: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A document's definition, whole. `name` is that of its files; `mistake` makes an error at a key of the file that says it."""

    name: str
    number: str
    title: str
    revision: str
    status: str
    contents: bool
    front: tuple[str, ...]
    sections: tuple[Section, ...]
    tables: Mapping[str, TableUse]
    approval: tuple[Approval, ...]
    provided: Mapping[str, str]
    level: Literal["", "basic", "enhanced"]
    mistake: Callable[[str, Where, str], UsageError] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """All documents that are made, in the order of their names as shipped, then those of the project."""

    documents: tuple[Definition, ...]
    branding: Branding

    def named(self, name: str) -> Definition:
        """The definition of that name; KeyError if there is none."""
        for definition in self.documents:
            if definition.name == name:
                return definition
        raise KeyError(name)


@cache
def shipped_definitions() -> Mapping[str, str]:
    """The package's definitions by file name, in the order in which documents are listed."""
    folder = files("devicepipe.documents") / "definitions"
    names = (folder / "order.txt").read_text(encoding="utf-8").split()
    return {f"{name}.toml": (folder / f"{name}.toml").read_text(encoding="utf-8") for name in names}


def read_definitions(
    own: Mapping[str, str],
    *,
    shipped: Mapping[str, str] | None = None,
    folder: Path = Path(),
    blocks: Collection[str],
    texts: Collection[str],
    files: Collection[str] = (),
) -> DocumentSet:
    """The document set.

    Args:
        own: The project's definitions by file name.
        shipped: Those that they change; devicepipe's own unless a bundle's are given.
        folder: Where the project's stand, for messages.
        blocks: Names of the blocks that there are.
        texts: Names of the texts that there are.
        files: Names of the logos that there are.

    Raises:
        UsageError: A mistake in a definition.
    """
    known = shipped_definitions() if shipped is None else shipped
    reader = _Reader(folder, blocks, texts, files)
    branding = reader.branding(known.get(BRANDING, ""), own.get(BRANDING, ""))
    documents = []
    for name in [*known, *sorted(own.keys() - known.keys())]:
        if name == BRANDING:
            continue
        definition = reader.document(name, known.get(name, ""), own.get(name, ""), branding)
        if definition is not None:
            documents.append(definition)
    reader.check_numbers(documents)
    return DocumentSet(tuple(documents), branding)


class _Reader:
    def __init__(self, folder: Path, blocks: Collection[str], texts: Collection[str], files: Collection[str]) -> None:
        self._folder = folder
        self._blocks = blocks
        self._texts = texts
        self._files = files

    def _files_of(self, name: str, shipped: str, own: str) -> list[TomlFile]:
        return [
            TomlFile(path, text, REFERENCE)
            for path, text in ((Path("devicepipe") / name, shipped), (self._folder / name, own))
            if text
        ]

    def branding(self, shipped: str, own: str) -> Branding:
        found: dict[str, Any] = {}
        for file in self._files_of(BRANDING, shipped, own):
            said = file.parse(BrandingFile)
            if said.color is not None and _on_white(int(said.color[1:], 16)) < _LEAST_CONTRAST:
                raise file.error(
                    f"'{said.color}' cannot be read on white paper: its contrast is {_on_white(int(said.color[1:], 16)):.1f}",
                    ("color",), remedy=f"take a darker one: {_LEAST_CONTRAST} is the least (WCAG 1.4.3)",
                )  # fmt: skip
            if said.logo is not None and said.logo not in self._files:
                raise file.error(
                    f"there is no file '{said.logo}' beside it", ("logo",), remedy="put it there, or correct the name"
                )
            found |= {key: value for key, value in said if value is not None}
        if "color" in found:
            found["color"] = int(found["color"].removeprefix("#"), 16)
        if "approval" in found:
            found["approval"] = tuple(Approval(one.role, one.meaning) for one in found["approval"])
        return Branding(**found)

    def document(self, name: str, shipped: str, own: str, branding: Branding) -> Definition | None:
        stem = name.removesuffix(".toml")
        sources = self._files_of(name, shipped, own)
        if not re.fullmatch(_NAME, stem):
            raise UsageError(
                "is no name for a document", file=sources[-1].path, remedy="use small letters, digits and hyphens"
            )
        said = [(file, file.parse(DocumentFile)) for file in sources]
        merged: dict[str, Any] = {}
        for _, one in said:
            merged |= {
                key: value for key, value in one if value is not None and key not in ("sections", "tables", "provided")
            }
        if not merged.get("enabled", True):
            return None
        file = sources[-1]
        for key in ("number", "title"):
            if key not in merged:
                raise file.error("missing key", (key,))
        mistakes = _Mistakes(said)
        for key in ("number", "title"):
            _check_placeholders(merged[key], key, mistakes)
        approval = merged.get("approval")
        definition = Definition(
            name=stem,
            number=merged["number"],
            title=merged["title"],
            revision=merged.get("revision", branding.revision),
            status=merged.get("status", branding.status),
            contents=merged.get("contents", True),
            front=merged.get("front", ("title", "status", "control", "approval")),
            sections=self._sections([one for _, one in said], mistakes),
            tables=_tables([one for _, one in said]),
            approval=branding.approval
            if approval is None
            else tuple(Approval(one.role, one.meaning) for one in approval),
            provided={key: value for _, one in said for key, value in one.provided.items()},
            level=merged.get("level", ""),
            mistake=mistakes,
        )
        for index, block in enumerate(definition.front):
            self._check_block(block, ("front", index), mistakes)
        return definition

    def _sections(self, said: list[DocumentFile], mistake: _Mistakes) -> tuple[Section, ...]:
        merged: dict[str, dict[str, Any]] = {}
        for one in said:
            for name, section in one.sections.items():
                merged.setdefault(name, {}).update({key: value for key, value in section if value is not None})
        order = next((one.order for one in reversed(said) if one.order is not None), None)
        omitted = {name for one in said for name in one.omit}
        _check_order(order, omitted, merged, mistake)
        chosen = [name for name in order or merged if name not in omitted]
        sections = tuple(self._section(name, merged[name], mistake) for name in chosen)
        if sections and sections[0].level != 1:
            raise mistake("the first section cannot be of level 2", ("sections", sections[0].name, "level"), "")
        return sections

    def _section(self, name: str, found: dict[str, Any], mistake: _Mistakes) -> Section:
        where = ("sections", name)
        if "title" not in found:
            raise mistake("missing key", (*where, "title"), "")
        _check_placeholders(found["title"], "title", mistake, (*where, "title"))
        if "text" in found and found["text"] not in self._texts:
            raise mistake(
                f"there is no text '{found['text']}'",
                (*where, "text"),
                "put the file beside the definition, or correct the name",
            )
        for index, block in enumerate(found.get("blocks", ())):
            self._check_block(block, (*where, "blocks", index), mistake)
        return Section(name=name, **found)

    def _check_block(self, block: str, where: Where, mistake: _Mistakes) -> None:
        if block not in self._blocks:
            raise mistake(f"there is no block '{block}'", where, f"blocks: {', '.join(sorted(self._blocks))}")

    def check_numbers(self, documents: list[Definition]) -> None:
        seen: dict[str, str] = {}
        for definition in documents:
            if other := seen.get(definition.number):
                raise definition.mistake(f"'{other}' has this number as well", ("number",), "give each its own")
            seen[definition.number] = definition.name


def _check_order(
    order: tuple[str, ...] | None, omitted: set[str], sections: Collection[str], mistake: _Mistakes
) -> None:
    """A section is left out where it is named in `omit`, never because `order` does not know it yet."""
    known = f"sections: {', '.join(sorted(sections))}"
    if unknown := sorted(omitted - {*sections}):
        raise mistake(f"there is no section '{unknown[0]}'", ("omit",), known)
    if order is None:
        return
    for index, name in enumerate(order):
        if name not in sections:
            raise mistake(f"there is no section '{name}'", ("order", index), known)
        if name in omitted:
            raise mistake(f"names '{name}', which `omit` leaves out", ("order", index), "keep one of the two")
    if len(set(order)) < len(order):
        raise mistake("names a section twice", ("order",), "")
    if missing := [name for name in sections if name not in order and name not in omitted]:
        raise mistake(
            f"does not say where these sections stand: {', '.join(missing)}",
            ("order",),
            "name them in `order`, or leave them out by `omit`",
        )


class _Mistakes:
    """Makes errors at the key of the file that says it: the project's own before the shipped one."""

    def __init__(self, said: list[tuple[TomlFile, DocumentFile]]) -> None:
        self._said = said

    def __call__(self, message: str, where: Where, remedy: str) -> UsageError:
        for file, value in reversed(self._said):
            if _says(value, where):
                return file.error(message, where, remedy=remedy)
        return self._said[-1][0].error(message, where, remedy=remedy)


def _says(value: object, where: Where) -> bool:
    for part in where:
        if isinstance(value, Table):
            value = getattr(value, str(part).replace("-", "_"), None)
        elif isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, tuple) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        if value is None:
            return False
    return True


def _tables(said: list[DocumentFile]) -> dict[str, TableUse]:
    merged: dict[str, dict[str, Any]] = {}
    for one in said:
        for caption, table in one.tables.items():
            found = merged.setdefault(caption, {"titles": {}})
            found["titles"] = found["titles"] | table.titles
            found.update({key: value for key, value in table if key != "titles" and value is not None})
    return {caption: TableUse(**found) for caption, found in merged.items()}


def _check_placeholders(text: str, key: str, mistake: _Mistakes, where: Where = ()) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in PLACEHOLDERS:
            raise mistake(
                f"'{{{name}}}' stands for nothing",
                where or (key,),
                f"it may have {', '.join(f'{{{one}}}' for one in PLACEHOLDERS)}",
            )


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
