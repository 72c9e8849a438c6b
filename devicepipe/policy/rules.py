"""Rule sets as data: which rules judge, what a product changes about them, and the one file that says all of it.

A rule set is a TOML file with

    name, title          what it is called
    extends              other rule sets, by the name of one that devicepipe brings along or the path of a file beside this one
    rules                ids of rules that devicepipe brings along (rule_sets/shared)
    [clauses]            optional: id = a further clause by which this set asks for the rule
    [[rule]]             rules of its own; rule.py says how one is written
    [[change]]           rule, reason, and severity, waivable-by or leave-out = true: what this set changes about what it extends
    for-release          false: nothing that this set judges is releasable (default true)
    rule-sets            for information: what a set that stands in a bundle was put together of

What always holds of a loaded `RuleSet`: every rule stands once and was compiled and proven; where several sets have the same rule,
the stricter severity counts, only those may waive it whom all of them let, and it is left out only where all of them leave it out;
whatever was changed stands in `changes` with its reason. Its `text` is one file that gives the same rule set again. The rules of
the set "floor" judge every release of a product: its sets cannot do without them, and no change makes them weaker.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from devicepipe.errors import UsageError
from devicepipe.evidence.decisions import PolicyChange
from devicepipe.policy.rule import REMEDY, Rule, RuleText, compile_rule, prove
from devicepipe.project.config import CONFIG_NAME, Project
from devicepipe.project.policy import RuleChange, is_path
from devicepipe.project.toml_file import Table, Text, TomlFile, Where

_FOLDER = Path(__file__).resolve().parent / "rule_sets"
_SHARED = "shared"
_CLASS = "iec62304-class-"
_FLOOR = _FOLDER / "floor.toml"
_RULE_HEADER = "[[rule]]"
_OTHER_HEADERS = ("[[change]]", "[clauses]")

_Line = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\r\n]+$")]


class _File(Table):
    name: _Line
    title: _Line
    for_release: bool = True
    rule_sets: tuple[Text, ...] = Field(default=(), strict=False)
    extends: tuple[Text, ...] = Field(default=(), strict=False)
    rules: tuple[Text, ...] = Field(default=(), strict=False)
    clauses: dict[str, Text] = Field(default_factory=dict)
    rule: tuple[RuleText, ...] = Field(default=(), strict=False)
    change: tuple[RuleChange, ...] = Field(default=(), strict=False)


class _SharedFile(Table):
    rule: tuple[RuleText, ...] = Field(min_length=1, strict=False)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that judge together.

    Attributes:
        name: The name of the set, or those of the sets that a product picked.
        title: What it is for.
        rules: The rules, as they judge: with changed severities and all clauses.
        changes: What was changed about rules as they are written, those included that were left out.
        for_release: Whether anything that it judges may be releasable.
        sets: What it was put together of.
        text: A rule set file that says all of this by itself.
    """

    name: str
    title: str
    rules: tuple[Rule, ...]
    changes: tuple[PolicyChange, ...]
    for_release: bool
    sets: tuple[str, ...]
    text: str

    def rule(self, name: str) -> Rule:
        """The rule of that id.

        Raises:
            UsageError: There is none; names those that are like it.
        """
        for rule in self.rules:
            if rule.text.id == name:
                return rule
        known = [rule.text.id for rule in self.rules]
        raise UsageError(f"rule set {self.name} has no rule '{name}'", remedy=_nearest(name, known))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A rule on its way into a set: as written, and as it will judge."""

    source: TomlFile
    index: int
    written: RuleText
    text: RuleText
    clauses: tuple[str, ...] = ()
    left_out: bool = False
    reasons: tuple[_Reason, ...] = ()

    @property
    def place(self) -> tuple[Path, int]:
        """Where it is written: two rules are the same where this is."""
        return self.source.path, self.index

    def changes(self) -> Iterator[tuple[str, str, str, str]]:
        """What differs from the rule as written: key, TOML value, and reasons and places in words."""
        values: dict[str, tuple[object, object]] = {"leave-out": (self.left_out, False)}
        values["severity"] = (self.text.severity, self.written.severity)
        values["waivable-by"] = (self.text.waivable_by, self.written.waivable_by)
        for key, (now, before) in values.items():
            if now == before or (self.left_out and key != "leave-out"):
                continue
            given = [one for one in self.reasons if one.key == key and (one.value == now or key == "waivable-by")]
            reasons = "; ".join(dict.fromkeys(one.reason for one in given))
            yield key, json.dumps(now), reasons, "; ".join(dict.fromkeys(one.place for one in given))


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why one key of a rule has another value, and where that is said."""

    key: str
    value: object
    reason: str
    place: str


@dataclass(frozen=True, slots=True)
class _Resolved:
    file: _File
    entries: dict[str, _Entry]
    for_release: bool


def load_rule_set(name: str | Path, *, proven: bool = True) -> RuleSet:
    """Read, compile and prove a rule set.

    Args:
        name: A rule set that devicepipe brings along, e.g. "release", or the path of a TOML file.
        proven: Whether to prove the rules; false is for those who look at the examples one by one.

    Raises:
        UsageError: There is none; or it breaks the promises of this module: names file, line and key.
    """
    resolved = _Loader().resolve(_path(str(name), Path()) if isinstance(name, str) else name)
    file = resolved.file
    sets = file.rule_sets or (file.name,)
    return _finished(file.name, file.title, sets, resolved.entries, for_release=resolved.for_release, proven=proven)


def load_policy(project: Project) -> RuleSet:
    """The rules that judge a product's releases: those of [policy], or of the rule set "release".

    Raises:
        UsageError: As `load_rule_set`; or devicepipe.toml names an unknown set or that of a lower safety class than the product's,
            changes an unknown rule, or makes one of the floor weaker.
    """
    policy = project.policy
    source = TomlFile.read(project.root / CONFIG_NAME)
    loader = _Loader(project.root)
    found: list[_Resolved] = []
    entries: dict[str, _Entry] = {}
    for index, name in enumerate(policy.rule_sets):
        where = ("policy", "rule-sets", index)
        found.append(loader.resolve(_known(name, source, where, project.root)))
        entries = _merged(entries, found[-1].entries, source, where)
    loader.check_class(policy.rule_sets, project.product.safety_class, source)
    for_release = all(one.for_release for one in found)
    entries = _changed(entries, policy.change, source, ("policy", "change"), CONFIG_NAME)
    if for_release:
        floor = loader.resolve(_FLOOR).entries
        _refuse_weaker(entries, floor, policy.change, source, ("policy", "change"))
        entries = floor | entries if floor.keys() - entries.keys() else entries
    names = tuple(dict.fromkeys(one.file.name for one in found))
    title = found[0].file.title if len(found) == 1 else f"Rules of {project.product.name}"
    return _finished(", ".join(names), title, names, entries, for_release=for_release)


def shipped_sets() -> tuple[str, ...]:
    """The names of the rule sets that devicepipe brings along."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


class _Loader:
    """Reads rule sets, each once; `root` is the folder that none may lie outside of, but those that devicepipe brings along."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._done: dict[Path, _Resolved] = {}

    def resolve(self, path: Path, chain: tuple[Path, ...] = ()) -> _Resolved:
        """The rules of a set, those it extends included. Raises UsageError as `load_rule_set`."""
        path = path.resolve()
        if path not in self._done:
            self._done[path] = self._resolve(path, (*chain, path))
        return self._done[path]

    def check_class(self, names: Sequence[str], safety_class: str, source: TomlFile) -> None:
        """Refuse the set of a lower safety class than the product's, also one that is extended, unless its own is there as well."""
        wanted = f"{_CLASS}{safety_class.lower()}"
        classes = [max(self._classes(_known(name, source, (), self.root or Path())), default="") for name in names]
        highest = max(classes, default="")
        for index, (name, found) in enumerate(zip(names, classes, strict=True)):
            if found and highest < wanted:
                by = "" if name == found else f", which {name} extends,"
                raise source.error(
                    f"the product is of safety class {safety_class}, and {found}{by} asks for less than that",
                    ("policy", "rule-sets", index),
                    remedy=f"{'pick' if name == found else 'extend'} {wanted}, or correct product.safety-class",
                )

    def _classes(self, path: Path) -> set[str]:
        """The sets of safety classes that a set is or extends, itself or through others."""
        own = {path.stem} if path.parent == _FOLDER and path.stem.startswith(_CLASS) else set()
        further = (self._classes(_path(name, path.parent).resolve()) for name in self.resolve(path).file.extends)
        return own.union(*further)

    def _resolve(self, path: Path, chain: tuple[Path, ...]) -> _Resolved:
        source = TomlFile.read(path, remedy="name a rule set in TOML")
        file = source.parse(_File, remedy=REMEDY)
        entries: dict[str, _Entry] = {}
        for_release = file.for_release
        for index, name in enumerate(file.extends):
            where = ("extends", index)
            extended = _known(name, source, where, path.parent)
            if extended in chain:
                circle = " → ".join(one.stem for one in (*chain[chain.index(extended) :], extended))
                raise source.error(f"extends itself: {circle}", where, remedy="take one of them out")
            self._inside(extended, source, where)
            found = self.resolve(extended, chain)
            entries = _merged(entries, found.entries, source, where)
            for_release = for_release and found.for_release
        entries = _merged(entries, _chosen(file, source), source, ("rules",))
        for index, written in enumerate(file.rule):
            # A product's own rule must not pass for one of devicepipe's; the rules of a bundle are those, written out.
            other = entries.get(written.id) or (_shared().get(written.id) if self.root else None)
            if other is not None:
                raise source.error(
                    f"rule '{written.id}' stands twice, also in {other.source.path.name}",
                    ("rule", index, "id"),
                    remedy="call it otherwise; a set that you extend is changed with [[change]]",
                )
            entries[written.id] = _Entry(source, index, written, written)
        if not entries:
            raise source.error("has no rule: neither extends, rules nor [[rule]]", ("name",), remedy=REMEDY)
        entries = _with_clauses(entries, file, source)
        entries = _changed(entries, file.change, source, ("change",), path.name)
        if self.root and for_release and path.parent != _FOLDER:
            _refuse_weaker(entries, self.resolve(_FLOOR).entries, file.change, source, ("change",))
        return _Resolved(file, entries, for_release)

    def _inside(self, path: Path, source: TomlFile, where: Where) -> None:
        inside = self.root is None or path.is_relative_to(self.root) or path.is_relative_to(_FOLDER)
        if not inside:
            raise source.error(f"'{path}' lies outside the project", where)


def _known(name: str, source: TomlFile, where: Where, folder: Path) -> Path:
    """The file of a rule set that a file names. Raises UsageError at the place where it is named."""
    path = _path_or_none(name, folder)
    if path is None or not path.is_file():
        message = f"there is no rule set at '{name}'" if is_path(name) else f"unknown rule set '{name}'"
        raise source.error(message, where, remedy=_sets_remedy(name))
    return path.resolve()


def _path(name: str, folder: Path) -> Path:
    path = _path_or_none(name, folder)
    if path is None:
        raise UsageError(f"unknown rule set '{name}'", remedy=_sets_remedy(name))
    return path


def _path_or_none(name: str, folder: Path) -> Path | None:
    if is_path(name):
        return folder / name
    path = _FOLDER / f"{name}.toml"
    return path if path.is_file() else None


def _sets_remedy(name: str) -> str:
    return f"known rule sets: {', '.join(shipped_sets())}; or give the path of a file{_meant(name, shipped_sets())}"


def _nearest(name: str, known: Sequence[str]) -> str:
    return f"known rules: {', '.join(known)}{_meant(name, known)}"


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


@functools.cache
def _shared() -> dict[str, _Entry]:
    """The rules that devicepipe brings along, by id."""
    found: dict[str, _Entry] = {}
    for path in sorted((_FOLDER / _SHARED).glob("*.toml")):
        source = TomlFile.read(path)
        for index, written in enumerate(source.parse(_SharedFile, remedy=REMEDY).rule):
            if written.id in found:
                raise source.error(f"rule '{written.id}' stands twice", ("rule", index, "id"))
            found[written.id] = _Entry(source, index, written, written)
    return found


def _chosen(file: _File, source: TomlFile) -> dict[str, _Entry]:
    for index, name in enumerate(file.rules):
        if name not in _shared():
            raise source.error(
                f"devicepipe brings no rule '{name}' along",
                ("rules", index),
                remedy=_nearest(name, sorted(_shared())),
            )
        if name in file.rules[:index]:
            raise source.error(f"rule '{name}' stands twice", ("rules", index))
    return {name: _shared()[name] for name in file.rules}


def _with_clauses(entries: dict[str, _Entry], file: _File, source: TomlFile) -> dict[str, _Entry]:
    entries = dict(entries)
    for name, clause in file.clauses.items():
        if name not in entries:
            raise source.error(
                f"this set has no rule '{name}'", ("clauses", name), remedy=_nearest(name, list(entries))
            )
        entries[name] = _with_clause(entries[name], (clause,))
    return entries


def _with_clause(entry: _Entry, clauses: Iterable[str]) -> _Entry:
    further = tuple(one for one in dict.fromkeys((*entry.clauses, *clauses)) if one != entry.written.clause)
    clause = "; ".join((entry.written.clause, *further))
    return replace(entry, clauses=further, text=entry.text.model_copy(update={"clause": clause}))


def _merged(first: dict[str, _Entry], second: dict[str, _Entry], source: TomlFile, where: Where) -> dict[str, _Entry]:
    """The rules of both, each as the stricter of the two has it."""
    merged = dict(first)
    for name, entry in second.items():
        if name not in merged:
            merged[name] = entry
        elif merged[name].place != entry.place:
            files = f"{merged[name].source.path.name} and {entry.source.path.name}"
            raise source.error(f"rule '{name}' is another one in {files}", where, remedy="call one of them otherwise")
        else:
            merged[name] = _stricter(merged[name], entry)
    return merged


def _stricter(one: _Entry, other: _Entry) -> _Entry:
    if one.left_out != other.left_out:  # the set that has it says how it judges
        kept, gone = (other, one) if one.left_out else (one, other)
        return _with_clause(kept, gone.clauses)
    both = {
        "severity": "error" if "error" in (one.text.severity, other.text.severity) else "warning",
        "waivable_by": tuple(role for role in one.text.waivable_by if role in other.text.waivable_by),
    }
    reasons = tuple(dict.fromkeys((*one.reasons, *other.reasons)))
    merged = replace(one, text=one.text.model_copy(update=both), reasons=reasons)
    return _with_clause(merged, other.clauses)


def _changed(
    entries: dict[str, _Entry], changes: Sequence[RuleChange], source: TomlFile, where: Where, file: str
) -> dict[str, _Entry]:
    entries = dict(entries)
    for index, change in enumerate(changes):
        place = (*where, index)
        entry = entries.get(change.rule)
        if entry is None or entry.left_out:
            message = f"there is no rule '{change.rule}' to change"
            raise source.error(message, (*place, "rule"), remedy=_nearest(change.rule, list(entries)))
        mistake = source.error(f"changes nothing about '{change.rule}'", place, remedy="take it out")
        wanted: dict[str, object] = {"severity": change.severity, "waivable_by": change.waivable_by}
        update = {key: value for key, value in wanted.items() if value is not None}
        if not change.leave_out and all(getattr(entry.text, key) == value for key, value in update.items()):
            raise mistake
        said = f"{file}:{mistake.line}"
        named: dict[str, object] = {key.replace("_", "-"): value for key, value in update.items()}
        named |= {"leave-out": True} if change.leave_out else {}
        reasons = tuple(_Reason(key, value, change.reason, said) for key, value in named.items())
        entries[change.rule] = replace(
            entry,
            text=entry.text.model_copy(update=update),
            left_out=change.leave_out,
            reasons=(*(old for old in entry.reasons if old.key not in named), *reasons),
        )
    return entries


def _refuse_weaker(
    entries: dict[str, _Entry],
    floor: dict[str, _Entry],
    changes: Sequence[RuleChange],
    source: TomlFile,
    where: Where,
) -> None:
    """Refuse changes that leave a rule of the floor out, make a warning of it, or let others waive it."""
    for index, change in enumerate(changes):
        entry, least = entries[change.rule], floor.get(change.rule)
        if least is None:
            continue
        others = set(entry.text.waivable_by) - set(least.text.waivable_by)
        if entry.left_out or entry.text.severity != "error" or others:
            waived = "; what it found can be waived for a time: `devicepipe waive`" if least.text.waivable_by else ""
            raise source.error(
                f"'{change.rule}' is asked of every release: it cannot be left out or made a warning, "
                f"and {' or '.join(least.text.waivable_by) or 'nobody'} may waive it",
                (*where, index),
                remedy=f"take the change out{waived}",
            )


def _finished(
    name: str,
    title: str,
    sets: tuple[str, ...],
    entries: dict[str, _Entry],
    *,
    for_release: bool,
    proven: bool = True,
) -> RuleSet:
    rules: list[Rule] = []
    for entry in entries.values():
        if entry.left_out:
            continue
        rule = compile_rule(entry.text, entry.source, entry.index)
        if proven:
            prove(rule, entry.source, entry.index)
        rules.append(rule)
    changes = tuple(
        PolicyChange(rule=entry.written.id, change=_told(key, value), reason=reason, place=place)
        for entry in entries.values()
        for key, value, reason, place in entry.changes()
    )
    text = _text(name, title, sets, entries, for_release=for_release)
    if not _says(text, list(entries)):
        raise UsageError(
            f"rule set {name} cannot be written out as one file",
            remedy="a line inside a text of it reads like a table's header, e.g. [[rule]]: write it otherwise",
        )
    return RuleSet(name, title, tuple(rules), changes, for_release, sets, text)


def _told(key: str, value: str) -> str:
    if key == "leave-out":
        return "left out"
    if key == "severity":
        return f"severity {json.loads(value)}"
    return f"waivable by {', '.join(json.loads(value)) or 'nobody'}"


def _text(name: str, title: str, sets: tuple[str, ...], entries: dict[str, _Entry], *, for_release: bool) -> str:
    """One file that says it all: the rules in their authors' own lines, then what was changed about them."""
    lines = [
        "# All rules that judged this release, in one rule set that needs no other.",
        f"name = {_toml(name)}",
        f"title = {_toml(title)}",
        *([] if for_release else ["for-release = false"]),
        f"rule-sets = [{', '.join(map(_toml, sets))}]",
    ]
    clauses = {key: "; ".join(entry.clauses) for key, entry in entries.items() if entry.clauses}
    if clauses:
        lines += ["", "[clauses]", *(f"{key} = {_toml(clause)}" for key, clause in clauses.items())]
    for entry in entries.values():
        lines += ["", _lines_of(entry)]
    for key, entry in entries.items():
        for changed, value, reason, _ in entry.changes():
            lines += ["", "[[change]]", f"rule = {_toml(key)}", f"{changed} = {value}", f"reason = {_toml(reason)}"]
    return "\n".join(lines) + "\n"


def _says(text: str, ids: list[str]) -> bool:
    """Whether a rule set file has these rules."""
    try:
        return [rule.get("id") for rule in tomllib.loads(text)["rule"]] == ids
    except tomllib.TOMLDecodeError:
        return False


def _lines_of(entry: _Entry) -> str:
    """A rule as its author wrote it, comments included."""
    return _rules_of(entry.source.text)[entry.index]


@functools.lru_cache(maxsize=64)
def _rules_of(text: str) -> list[str]:
    found: list[list[str]] = []
    inside = False
    for line in text.split("\n"):
        header = re.sub(r"\s*(#.*)?$", "", line).replace(" ", "")
        if header == _RULE_HEADER:
            found.append([])
            inside = True
        elif header in _OTHER_HEADERS:
            inside = False
        if inside:
            found[-1].append(line)
    return ["\n".join(lines).rstrip() for lines in found]


def _toml(text: str) -> str:
    """A string as TOML: JSON's form, but for DEL, which JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
