"""devicepipe.toml: what the product is and where things lie, as typed values.

What always holds of a `Project`: every key was known, every path it names exists and lies inside the project's root, and every
board manifest was read. Otherwise reading it raised a UsageError with file, line, key and what was expected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.project.board import Board, load_board
from devicepipe.project.toml_file import Table, TomlFile, Where

CONFIG_NAME = "devicepipe.toml"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]


class Product(Table):
    """[product]: who makes what, and of which software safety class (IEC 62304 4.3)."""

    name: Name
    title: str = Field(min_length=1)
    manufacturer: str = Field(min_length=1)
    safety_class: Literal["A", "B", "C"]
    version_scheme: Literal["semver"] = "semver"


class Firmware(Table):
    """[firmware]: the PlatformIO project, and the lock file of the C libraries that devicepipe fetches for it (if any)."""

    project: str
    soup: str | None = None


class BoardEntry(Table):
    """[[board]]: a target type: its manifest, and the PlatformIO environments of its application and its bootloader."""

    name: Name
    manifest: str
    application: str
    bootloader: str


class ImageSettings(Table):
    """[image]: the security counter (downgrade protection) of the next image."""

    security_counter: int = Field(default=0, ge=0, lt=2**32)


class Keys(Table):
    """[keys]: signers by URI. Left out, development keys are made under .devicepipe/keys."""

    image: str | None = None
    image_public: str | None = None
    release: str | None = None
    release_public: str | None = None


class TraceSettings(Table):
    """[traceability]: where the items lie, and which id prefix is which item type."""

    path: str = "requirements"
    prefixes: dict[str, str] = Field(
        default_factory=lambda: {"HAZ": "hazard", "RC": "risk-control", "SRS": "requirement"}
    )


class TestSettings(Table):
    """[tests]: the folder of the device tests, and the longest a board's session may take, in seconds."""

    path: str = "hil"
    timeout: int = Field(default=600, gt=0)


class DocumentSettings(Table):
    """[documents]: paper size and the folder of texts that QA edits."""

    paper: Literal["A4", "Letter"] = "A4"
    path: str | None = None


class _File(Table):
    product: Product
    firmware: Firmware
    board: tuple[BoardEntry, ...] = Field(min_length=1, strict=False)
    image: ImageSettings = ImageSettings()
    keys: Keys = Keys()
    traceability: TraceSettings = TraceSettings()
    tests: TestSettings = TestSettings()
    documents: DocumentSettings = DocumentSettings()
    output: str = "dist"


class ProjectBoard(BaseModel):
    """A board of the project: its entry in devicepipe.toml and its manifest."""

    model_config = ConfigDict(frozen=True)

    entry: BoardEntry
    board: Board

    @property
    def name(self) -> str:
        """The board's name, as in devicepipe.toml."""
        return self.entry.name


class Project(BaseModel):
    """A product's repository as described by its devicepipe.toml."""

    model_config = ConfigDict(frozen=True)

    root: Path
    product: Product
    firmware: Firmware
    boards: tuple[ProjectBoard, ...]
    image: ImageSettings
    keys: Keys
    traceability: TraceSettings
    tests: TestSettings
    documents: DocumentSettings
    output: str

    @property
    def state(self) -> Path:
        """The folder for caches, development keys and work in progress; ignored by git."""
        return self.root / ".devicepipe"

    @property
    def firmware_path(self) -> Path:
        """The PlatformIO project's folder."""
        return self.root / self.firmware.project

    def board(self, name: str) -> ProjectBoard:
        """The board of that name.

        Raises:
            UsageError: No such board; lists the known ones.
        """
        for board in self.boards:
            if board.name == name:
                return board
        known = ", ".join(board.name for board in self.boards)
        raise UsageError(f"unknown board '{name}'", file=self.root / CONFIG_NAME, remedy=f"known boards: {known}")


def find_project(start: Path) -> Path:
    """The devicepipe.toml of `start` or of the nearest folder above it.

    Raises:
        UsageError: There is none.
    """
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return folder / CONFIG_NAME
    raise UsageError(
        f"no {CONFIG_NAME} in {start} or a folder above it",
        remedy="run it in the product's repository, or write one: see the README",
    )


def load_project(path: Path) -> Project:
    """Read devicepipe.toml and the board manifests it names.

    Raises:
        UsageError: Wrong syntax, key, type or path, with file, line, key and what was expected.
    """
    source = TomlFile.read(path)
    file = source.parse(_File)
    root = path.parent.resolve()
    _check_paths(source, root, file)
    names = [entry.name for entry in file.board]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise source.error(f"board '{name}' stands twice", ("board", index, "name"))
    boards = tuple(
        ProjectBoard(entry=entry, board=load_board(root / entry.manifest, entry.name)) for entry in file.board
    )
    return Project(
        root=root,
        product=file.product,
        firmware=file.firmware,
        boards=boards,
        image=file.image,
        keys=file.keys,
        traceability=file.traceability,
        tests=file.tests,
        documents=file.documents,
        output=file.output,
    )


def _check_paths(source: TomlFile, root: Path, file: _File) -> None:
    """Every path must exist below the root, so that a bundle never depends on what lies outside the commit."""
    named: list[tuple[Where, str | None, str]] = [
        (("firmware", "project"), file.firmware.project, "folder"),
        (("firmware", "soup"), file.firmware.soup, "file"),
        *((("board", index, "manifest"), entry.manifest, "file") for index, entry in enumerate(file.board)),
        (("traceability", "path"), file.traceability.path, "folder"),
        (("tests", "path"), file.tests.path, "folder"),
        (("documents", "path"), file.documents.path, "folder"),
    ]
    output = (root / file.output).resolve()
    if output == root or not output.is_relative_to(root):
        raise source.error(f"'{file.output}' is no folder of its own inside the project", ("output",))
    for where, value, kind in named:
        if value is None:
            continue
        target = (root / value).resolve()
        if not target.is_relative_to(root):
            raise source.error(f"'{value}' lies outside the project", where)
        if not (target.is_dir() if kind == "folder" else target.is_file()):
            raise source.error(f"expected a {kind}, but there is none at '{value}'", where)
