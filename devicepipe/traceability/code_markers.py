"""Markers in C, C++ and assembly: a comment with `@realises DSG-004, SRS-012` says which items the code there realises.

It stands above a function (or a declaration, or a type or table), inside one, or in the comment at the head of a file, before the
first preprocessor line: then it is the file's. Ids are parted by commas and end with the line or the comment. Only comments count:
the same words in a string are none. What always holds: a marker that cannot be read is told, never passed over.

The function is found by looking at braces and parentheses, as an editor does, and not by compiling: in code that macros make,
it may be the macro's name or none. File and line are always right.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devicepipe.errors import UsageError
from devicepipe.evidence.items import ITEM_ID

if TYPE_CHECKING:
    from devicepipe.evidence.trace import CodeMarker
    from devicepipe.project.config import Project

SUFFIXES = (".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".ino", ".s", ".S")
_USUAL = ("src", "include", "lib")  # of a PlatformIO project
_MARK = "@realises"
_TOKEN = re.compile(r"""//(?:[^\n\\]|\\.)*|/\*.*?(?:\*/|\Z)|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'""", re.DOTALL)
_STEM = "@reali"  # of the marker and of what is easily written in its place
_MISTYPED = re.compile(r"(?<![\w@])@reali[sz](?:e[sd]?|ing|ation)\b(?<!@realises)")
_MARKER = re.compile(rf"(?<![\w@]){_MARK}(?![\w-])[ \t:]*([^\n]*)")
_PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.)*", re.MULTILINE | re.DOTALL)
_NO_NAMES = (
    "if",
    "for",
    "while",
    "switch",
    "return",
    "sizeof",
    "_Static_assert",
    "static_assert",
    "alignas",
    "_Alignas",
)


class Marker(NamedTuple):
    """A marker before it is evidence: see `CodeMarker`."""

    file: str
    line: int
    function: str
    items: list[str]

    def evidence(self) -> CodeMarker:
        """It as a value of the evidence."""
        from devicepipe.evidence.trace import CodeMarker

        return CodeMarker(**self._asdict())


def code_folders(project: Project) -> list[Path]:
    """The folders whose sources are searched: those of `[traceability] code`, or the usual ones of the firmware project."""
    return folders_of(project.root, project.traceability.code, project.firmware.project)


def folders_of(root: Path, named: Sequence[str], firmware: str) -> list[Path]:
    """As `code_folders`: the named ones, or the usual ones of the firmware project in a folder."""
    if named:
        return [root / name for name in named]
    usual = [root / firmware / name for name in _USUAL]
    return [folder for folder in usual if folder.is_dir()] or [root / firmware]


def source_files(folders: Sequence[Path]) -> list[Path]:
    """The C, C++ and assembly files below some folders, sorted, each once; what lies in hidden folders is left out."""
    found: set[Path] = set()
    for folder in folders:
        for place, folders_there, files in os.walk(folder):
            folders_there[:] = [name for name in folders_there if not name.startswith(".")]
            found.update(Path(place, name) for name in files if name.endswith(SUFFIXES))
    return sorted(found)


def read_markers(folders: Sequence[Path], root: Path, problems: list[UsageError] | None = None) -> list[Marker]:
    """The markers of the sources below some folders, in the order of files and lines.

    Args:
        folders: The folders, e.g. those of `code_folders`.
        root: The project's root.
        problems: Where to put markers that cannot be read; without, the first one is raised.

    Raises:
        UsageError: A marker names no ids, and there is no list of problems; names file and line.
    """
    return [marker for path in source_files(folders) for marker in markers_in(_text(path), path, root, problems)]


def markers_in(text: str, path: Path, root: Path, problems: list[UsageError] | None = None) -> list[Marker]:
    """The markers of one file; see `read_markers`."""
    if _STEM not in text:
        return []
    found: list[Marker] = []
    blanked = ""
    for comment in _TOKEN.finditer(text):
        if comment[0][0] != "/" or _STEM not in comment[0]:
            continue
        for wrong in _MISTYPED.finditer(comment[0]):
            line = text.count("\n", 0, comment.start() + wrong.start()) + 1
            problem = UsageError(f"{wrong[0]} is no marker", file=path, line=line, key=_MARK, remedy=f"write {_MARK}")
            if problems is None:
                raise problem
            problems.append(problem)
        for marker in _MARKER.finditer(comment[0]):
            line = text.count("\n", 0, comment.start() + marker.start()) + 1
            names = [name.strip() for name in marker[1].removesuffix("*/").strip().split(",")]
            if not all(map(ITEM_ID.fullmatch, names)):
                problem = UsageError(
                    f"expected the ids of items after {_MARK}, found '{marker[1].removesuffix('*/').strip()}'",
                    file=path,
                    line=line,
                    key=_MARK,
                    remedy=f"write e.g. /* {_MARK} DSG-004, SRS-012 */, and nothing else in the line",
                )
                if problems is None:
                    raise problem
                problems.append(problem)
                continue
            blanked = blanked or _blanked(text)
            function = _function_at(blanked, comment.start(), comment.end())
            file = path.relative_to(root).as_posix()
            found.append(Marker(file=file, line=line, function=function, items=list(dict.fromkeys(names))))
    return found


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from error
    # Sources may have any encoding; ids and markers are ASCII, and Latin-1 keeps every byte.
    return data.decode("latin-1") if _STEM.encode() in data else ""


def _blanked(text: str) -> str:
    """The text with comments, strings and preprocessor lines as blanks, a `#` left where one of the latter began."""
    bare = _TOKEN.sub(lambda token: _blanks(token[0]), text)
    return _PREPROCESSOR.sub(lambda line: "#" + _blanks(line[0])[1:], bare)


def _blanks(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _function_at(blanked: str, start: int, end: int) -> str:
    """The function that a comment stands in, or that begins behind it; "" for none."""
    depth, opened = 0, -1
    for brace in re.finditer(r"[{}]", blanked[:start]):
        depth = depth + 1 if brace[0] == "{" else max(depth - 1, 0)
        if depth == 1 and brace[0] == "{":
            opened = brace.start()
    if depth:
        head = blanked[:opened]
        return _name(head[max(head.rfind(mark) for mark in ";}#") + 1 :])
    behind = re.match(r"[^;{#]*", blanked[end:])
    following = behind[0] if behind else ""
    stopped_by = blanked[end + len(following) : end + len(following) + 1]
    return _name(following) if stopped_by in ("{", ";") and stopped_by else ""


def _name(head: str) -> str:
    """The function's name in what stands before its body, e.g. "flow_start" in "static bool flow_start(int rate)"."""
    return next((name for name in _calls(head) if name not in _NO_NAMES and not name.startswith("__")), "")


def _calls(head: str) -> Iterator[str]:
    """Names before a parenthesis that is in no other one."""
    depth = 0
    for found in re.finditer(r"([A-Za-z_]\w*)?\s*([()])", head):
        if found[2] == "(":
            if not depth and found[1]:
                yield found[1]
            depth += 1
        else:
            depth -= 1
