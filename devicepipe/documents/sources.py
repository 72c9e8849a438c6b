"""What people edit of the documents: texts, definitions and logos, read from a project's folder or from a bundle."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devicepipe.documents.blocks import BLOCKS
from devicepipe.documents.definition import BRANDING, DocumentSet, read_definitions, shipped_definitions
from devicepipe.documents.logo import read_logo
from devicepipe.documents.model import Logo
from devicepipe.documents.texts import default_texts
from devicepipe.errors import UsageError

_NOT_TEXTS: Final = {"README.md"}
_KINDS: Final = (".md", ".toml", ".svg", ".png")
_LARGEST_LOGO: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sources:
    """Texts by file name (whole: the package's, replaced by the project's), the project's definitions, and its logos."""

    texts: Mapping[str, str]
    definitions: Mapping[str, str] = field(default_factory=dict)
    logos: Mapping[str, bytes] = field(default_factory=dict)
    shipped: Mapping[str, str] = field(default_factory=shipped_definitions)
    folder: Path = Path()

    def documents(self) -> DocumentSet:
        """The document set that they define.

        Raises:
            UsageError: A mistake in a definition.
        """
        return read_definitions(
            self.definitions,
            shipped=self.shipped,
            folder=self.folder,
            blocks=BLOCKS.keys(),
            texts=self.texts.keys(),
            files=self.logos.keys(),
        )

    def logo(self) -> Logo | None:
        """The logo that branding names, None where it names none.

        Raises:
            UsageError: It cannot be drawn.
        """
        name = self.documents().branding.logo
        return read_logo(self.logos[name], self.folder / name) if name else None


def load_sources(folder: Path | None) -> Sources:
    """The sources of a project: the package's, with what its folder adds and changes.

    Raises:
        UsageError: A file cannot be read, is not UTF-8 or is used by no document, or there is a mistake in a definition or a logo.
    """
    texts = default_texts()
    if folder is None:
        return Sources(texts)
    own: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and any(inner.suffix in _KINDS for inner in path.rglob("*")):
            raise UsageError(
                "texts and definitions in a folder of their own are not read",
                file=path,
                remedy=f"put them into {folder}",
            )
        if path.suffix not in _KINDS or path.name in _NOT_TEXTS or not path.is_file():
            continue
        try:
            own[path.name] = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", file=path) from error
    decoded = {name: _decoded(data, folder / name) for name, data in own.items() if name.endswith((".md", ".toml"))}
    known = texts.keys()
    texts = texts | {name: text for name, text in decoded.items() if name.endswith(".md")}
    sources = Sources(
        texts,
        {name: text for name, text in decoded.items() if name.endswith(".toml")},
        {name: data for name, data in own.items() if name.endswith((".svg", ".png"))},
        folder=folder,
    )
    _check_used(sources, known, sources.documents())
    sources.logo()
    return sources


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8", file=path, remedy="save it as UTF-8") from error


def _check_used(sources: Sources, known: Collection[str], documents: DocumentSet) -> None:
    """A text or logo that no document uses would silently have no effect."""
    used = {section.text for definition in documents.documents for section in definition.sections}
    for name in sources.texts:
        if name not in used and name not in known:
            raise UsageError(
                "is no text of any document",
                file=sources.folder / name,
                remedy=f"name it in a section, rename or remove it; known texts: {', '.join(sorted(used - {''}))}",
            )
    for name, data in sources.logos.items():
        if name != documents.branding.logo:
            raise UsageError(
                "is used by no document",
                file=sources.folder / name,
                remedy=f"name it as logo in {BRANDING}, or remove it",
            )
        if len(data) > _LARGEST_LOGO:
            raise UsageError(
                f"is larger than {_LARGEST_LOGO // 1024} kB", file=sources.folder / name, remedy="make it smaller"
            )
