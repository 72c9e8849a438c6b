"""Items in reST as the Sphinx extension mlx.traceability reads them: `.. item:: ID Title`, and `.. item-link::` between them.

An option is a link where it is one of the relations that the options name (those of the extension's manual are known), and
otherwise an attribute. Relations that the extension calls reverse are the same links from the other end. What stands in code blocks
and comments is text, as for Sphinx. An item has no type there: what comes before the number of its id stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from devicepipe.errors import UsageError
from devicepipe.project.toml_file import Table
from devicepipe.traceability.foreign_files import read_text
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.loss import Loss

_DIRECTIVE = re.compile(r"( *)\.\. ([A-Za-z][\w:.+-]*)::(?:\s+(.*))?")
_EXPLICIT = re.compile(r" *\.\.(?: +(?:\[|_|\|)|\s*$| +[\w:.+-]+::)")
_COMMENT = re.compile(r" *\.\.(?: |$)")
_OPTION = re.compile(r":((?:[^:\\]|\\.)+):(?:\s+(.*))?")
_OPAQUE = frozenset(
    [
        "code",
        "code-block",
        "sourcecode",
        "literalinclude",
        "raw",
        "parsed-literal",
        "math",
        "highlight",
        "productionlist",
        "uml",
        "plantuml",
        "graphviz",
        "digraph",
        "graph",
        "doctest",
        "testcode",
        "testsetup",
        "testoutput",
        "csv-table",
        "prompt",
        "mermaid",
    ]
)
_ITEMS = ("item", "checklist-item")
_LAYOUT = ("class", "nocaptions", "captions", "hidetype")
_RELATIONS = {
    "trace": "backtrace",
    "traces": "traced_by",
    "depends_on": "impacts_on",
    "fulfills": "fulfilled_by",
    "implements": "implemented_by",
    "validates": "validated_by",
    "verifies": "verified_by",
    "passes": "passed_by",
    "fails": "failed_by",
    "skipped": "skipped_by",
    "ext_toolname": "",
}


class MlxImporter(Importer):
    """reST files with `item` directives."""

    suffixes = (".rst",)
    plain_links = ("trace", "traces", "depends_on")

    class Config(Table):
        """`relations`: those of `traceability_relationships` in conf.py, each with its reverse ("" without one)."""

        relations: dict[str, str] = Field(default_factory=dict)

    def read(self, paths: Sequence[Path]) -> Imported:
        """Read files; a directive is an item."""
        found = Imported()
        config = self.config if isinstance(self.config, self.Config) else self.Config()
        relations = _RELATIONS | config.relations
        reverse = {name: relation for relation, name in relations.items() if name}
        links: list[tuple[str, str, str, Loss]] = []
        for path in self.files(paths):
            reader = _Reader(path, read_text(path), relations, reverse, found, links)
            reader.block(0, len(reader.lines), 0)
            found.files.append(path)
        by_id = {item.id: item for item in found.items}
        for source, relation, target, loss in links:
            if source in by_id:
                by_id[source].links.setdefault(relation, []).append(target)
                by_id[source].lines.setdefault(relation, loss.line)
            else:
                found.losses.append(loss)
        return found


class _Reader:
    def __init__(
        self,
        path: Path,
        text: str,
        relations: dict[str, str],
        reverse: dict[str, str],
        found: Imported,
        links: list[tuple[str, str, str, Loss]],
    ) -> None:
        self.lines = [line.expandtabs(8).rstrip() for line in text.split("\n")]
        self._path = path
        self._relations = relations
        self._reverse = reverse
        self._found = found
        self._links = links

    def block(self, start: int, end: int, depth: int) -> list[int]:
        """Read the lines of a block; those that are left, being nobody's directive, are its text."""
        if depth > 100:  # noqa: PLR2004 - nobody nests so deeply
            raise UsageError("is nested too deeply", file=self._path, line=start + 1)
        text: list[int] = []
        at = start
        while at < end:
            line = self.lines[at]
            indent = len(line) - len(line.lstrip(" "))
            found = _DIRECTIVE.fullmatch(line)
            if found and found[2] in _ITEMS:
                at = self._item(at, end, indent, found, depth)
            elif found and found[2] in ("item-link", "item-relink", "attribute-link"):
                at = self._link(at, end, indent, found)
            elif line and self._is_opaque(line, found):
                stop = self._end(at, end, indent)
                text += range(at, stop)
                at = stop
            else:
                text.append(at)
                at += 1
        return text

    @staticmethod
    def _is_opaque(line: str, directive: re.Match[str] | None) -> bool:
        if directive:
            return directive[2] in _OPAQUE
        if _COMMENT.match(line):
            return not _EXPLICIT.match(line)
        return line.endswith("::")

    def _end(self, at: int, end: int, indent: int) -> int:
        """The line after a directive's block."""
        stop = at + 1
        last = stop
        while stop < end:
            line = self.lines[stop]
            if line:
                if len(line) - len(line.lstrip(" ")) <= indent:
                    break
                last = stop + 1
            stop += 1
        return last

    def _options(self, at: int, stop: int) -> tuple[list[str], dict[str, tuple[str, int]], int]:
        """Further lines of the argument, the options with their lines, and where the content begins."""
        argument: list[str] = []
        options: dict[str, tuple[str, int]] = {}
        last = ""
        while at < stop and self.lines[at]:
            line = self.lines[at].strip()
            found = _OPTION.fullmatch(line)
            if found:
                if found[1] in options:
                    raise UsageError(f"the option '{found[1]}' stands twice", file=self._path, line=at + 1)
                last = found[1]
                options[last] = (found[2] or "", at + 1)
            elif last:
                options[last] = (f"{options[last][0]}\n{line}".strip("\n"), options[last][1])
            else:
                argument.append(line)
            at += 1
        return argument, options, at

    def _item(self, at: int, end: int, indent: int, found: re.Match[str], depth: int) -> int:
        stop = self._end(at, end, indent)
        argument, options, content = self._options(at + 1, stop)
        words = " ".join([found[3] or "", *argument]).split(maxsplit=1)
        if not words:
            raise UsageError("an item without an id", file=self._path, line=at + 1, remedy="write '.. item:: ID Title'")
        own = words[0]
        kind = options.pop("type", ("", 0))[0] or re.split(r"[-_.]?\d", own, maxsplit=1)[0]
        item = Foreign(own, kind, words[1] if len(words) > 1 else "", "", self._path, at + 1)
        self._found.items.append(item)
        for name, (value, line) in options.items():
            item.lines[name] = line
            if name in self._relations:
                item.links.setdefault(name, []).extend(value.split())
            elif name in self._reverse:
                for other in value.split():
                    loss = item.loss(f"link '{name}' from an item that there is not ({other})", name)
                    self._links.append((other, self._reverse[name], own, loss))
            elif name in _LAYOUT:
                self._found.losses.append(item.loss(f"option '{name}', which is about layout: left out", name))
            else:
                item.fields[name] = value
        item.text = self._dedented(self.block(content, stop, depth + 1))
        return stop

    def _dedented(self, numbers: Sequence[int]) -> str:
        lines = [self.lines[number] for number in numbers]
        indents = [len(line) - len(line.lstrip(" ")) for line in lines if line]
        cut = min(indents, default=0)
        return "\n".join(line[cut:] for line in lines).strip("\n")

    def _link(self, at: int, end: int, indent: int, found: re.Match[str]) -> int:
        stop = self._end(at, end, indent)
        _, options, _ = self._options(at + 1, stop)
        values = {name: value for name, (value, _) in options.items()}
        kind = values.get("type", "")
        named = (kind in self._relations or kind in self._reverse) and {"sources", "targets"} <= values.keys()
        if found[2] != "item-link" or not named:
            what = f"directive '{found[2]}' that goes by patterns: left out"
            self._found.losses.append(Loss(self._path, at + 1, "", what))
            return stop
        for source in values["sources"].split():
            for target in values["targets"].split():
                ends = (source, kind, target) if kind in self._relations else (target, self._reverse[kind], source)
                what = f"link '{kind}' from an item that there is not ({ends[0]})"
                self._links.append((*ends, Loss(self._path, at + 1, ends[0], what)))
        return stop
