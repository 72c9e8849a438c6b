"""From another tool's words to ours: ids, types, links and fields, decided alike for all formats.

Types: what the mapping says of the prefix of the id, or of the tool's type; else the tool's type where it is one of ours by name
("RISK_CONTROL" is risk-control); else what the prefix of the id says, or a type that is called as a prefix is (Doorstop's TST);
else the importer knows it as prose (headings), or it has none here.

Links: what the mapping says ("<verifies" turns a link around); else the tool's kind where it is one of ours by name; else the one
kind of ours that may lead from the one type to the other; where there are several, nobody guesses, and it is told. A field whose
name is one of a link is read as one.

Fields: what the mapping says; else the tool's name in lower case with "-". What would have a meaning of its own here, but has
another type or value there, becomes `foreign-…`: so nothing that a tool calls "verification" is taken for a claim about evidence.

What always holds: what comes of an item stands in its `RawItem`, or in a `Loss` with its file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from devicepipe.errors import UsageError
from devicepipe.evidence.words import EVIDENCE_DIGEST
from devicepipe.project.exchange import TraceMapping
from devicepipe.traceability.fields import BOARDS, EVIDENCE, FieldRules, Scales
from devicepipe.traceability.foreign_files import control_character, without_controls
from devicepipe.traceability.importers.importer import Foreign, Imported, Importer
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.markdown import RawItem
from devicepipe.traceability.reserved import inward
from devicepipe.traceability.schema import LinkKind, Schema

LEFT_OUT = "-"
FOREIGN_ID = "foreign-id"
"""The field that keeps the id of an item that had to get another one."""

_OURS = re.compile(r"([A-Za-z][A-Za-z0-9]*(?:-[A-Za-z][A-Za-z0-9]*)*)-\d[0-9A-Za-z.]*")
_TOKEN = re.compile(r"[^\s,\x00-\x1f\x7f]{1,200}")
_SEPARATOR = re.compile(r"[,;\s]+")
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_TITLE = 100


@dataclass(frozen=True, slots=True)
class House:
    """What an import comes to: the project's types, links and prefixes, and the items that there are already (id → type)."""

    schema: Schema
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def types(self) -> tuple[str, ...]:
        """The item types."""
        return tuple(self.schema.types)

    @property
    def links(self) -> Mapping[str, LinkKind]:
        """The kinds of link."""
        return self.schema.links

    @property
    def prefixes(self) -> Mapping[str, str]:
        """The type of each prefix of ids."""
        return self.schema.prefixes


@dataclass(slots=True)
class Mapped:
    """The items in our words, what was lost, and the prefixes of ids that the project has yet to name, with their types."""

    items: list[RawItem]
    losses: list[Loss]
    prefixes: dict[str, str]


def map_items(
    imported: Imported,
    mapping: TraceMapping,
    house: House,
    *,
    importer: Importer | type[Importer],
    keep_ids: bool,
) -> Mapped:
    """Put imported items into our words.

    Args:
        imported: What an importer read.
        mapping: What the user says of the tool's words.
        house: Where they come to.
        importer: What read them: it knows which of the tool's words say nothing of their own.
        keep_ids: Keep ids as they are, where they lie in another tool's files and stay there; an item whose type is not told is
            then an error. Otherwise they become ids of our Markdown, and such an item is a loss.

    Raises:
        UsageError: The mapping names a type or link that is none of ours, an id stands twice, or (see `keep_ids`) an item has no
            type.
    """
    _check_mapping(mapping, house)
    return _Mapper(imported, mapping, house, importer, keep_ids).run()


def _check_mapping(mapping: TraceMapping, house: House) -> None:
    for name, ours in mapping.types.items():
        if ours not in (*house.types, LEFT_OUT):
            known = ", ".join(house.types)
            raise UsageError(f"unknown item type '{ours}'", key=f"mapping.types.{name}", remedy=f"known types: {known}")
    for name, ours in mapping.links.items():
        if ours != LEFT_OUT and ours.removeprefix("<") not in house.links:
            known = ", ".join(house.links)
            raise UsageError(
                f"unknown kind of link '{ours}'", key=f"mapping.links.{name}", remedy=f"known kinds: {known}"
            )
    for name, ours in mapping.fields.items():
        if ours != LEFT_OUT and not _KEY.fullmatch(ours):
            raise UsageError(
                f"'{ours}' cannot name a field", key=f"mapping.fields.{name}", remedy="use a to z, digits and '-'"
            )
    for pattern in mapping.ids:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"is no pattern: {error}", key=f"mapping.ids.{pattern}") from error


class _Mapper:
    def __init__(
        self,
        imported: Imported,
        mapping: TraceMapping,
        house: House,
        importer: Importer | type[Importer],
        keep_ids: bool,
    ) -> None:
        self._imported = imported
        self._mapping = mapping
        self._house = house
        self._prose = importer.prose
        self._plain = importer.plain_links
        self._our_words = importer.our_words
        self._keep = keep_ids
        self._rules = FieldRules(house.schema, Scales())
        self._losses = list(imported.losses)
        self._types: dict[str, str] = {}  # by foreign id
        self._ids: dict[str, str] = {}  # foreign id → ours
        self._links: dict[str, dict[str, list[str]]] = {}  # by foreign id
        self._prefixes: dict[str, str] = {}

    def run(self) -> Mapped:
        kept: list[Foreign] = []
        first: dict[str, Foreign] = {}
        for one in self._imported.items:
            if one.id in first:
                other = first[one.id]
                raise UsageError(
                    "the id is taken",
                    file=one.file,
                    line=one.line,
                    key=one.id,
                    remedy=f"it stands in {other.file}:{other.line} already",
                )
            first[one.id] = one
            if kind := self._type(one):
                self._types[one.id] = kind
                kept.append(one)
        for one in kept:
            self._ids[one.id] = self._id(one)
            self._links[one.id] = {}
        fields = {one.id: self._fields(one) for one in kept}
        for one in kept:
            self._take_links(one, fields[one.id])
        return Mapped([self._raw(one, fields[one.id]) for one in kept], self._losses, self._prefixes)

    # --- types and ids

    def _type(self, one: Foreign) -> str:
        types = {name.lower(): ours for name, ours in self._mapping.types.items()}
        named = _dashed(one.type)
        prefix = _OURS.fullmatch(one.id)
        by_id = self._house.prefixes.get(prefix[1], "") if prefix else ""
        if prefix and prefix[1].lower() in types:
            found = types[prefix[1].lower()]
        elif one.type.lower() in types:
            found = types[one.type.lower()]
        elif named in self._house.types:
            found = named
        elif by_id or one.type in self._house.prefixes:
            found = by_id or self._house.prefixes[one.type]
        elif one.type.lower() in self._prose:
            found = LEFT_OUT
        elif self._keep:
            raise UsageError(
                f"its type '{one.type}' is none of ours" if one.type else "it has no type",
                file=one.file,
                line=one.line,
                key=one.id,
                remedy=f"add it to [traceability.mapping.types], as one of {', '.join(self._house.types)}, or '-' for prose",
            )
        else:
            self._losses.append(one.loss(f"item of type '{one.type}', which is not mapped: left out"))
            return ""
        if found == LEFT_OUT:
            self._losses.append(one.loss(f"'{one.type}' is prose, no item: left out"))
            return ""
        return found

    def _id(self, one: Foreign) -> str:
        wanted = one.id
        for pattern, made in self._mapping.ids.items():
            if found := re.fullmatch(pattern, one.id):
                try:
                    wanted = found.expand(made)
                except (re.error, IndexError) as error:
                    raise UsageError(f"'{made}': {error}", key=f"mapping.ids.{pattern}") from error
                break
        if self._keep:
            if not _TOKEN.fullmatch(wanted):
                raise UsageError(
                    "an id must have no spaces and commas",
                    file=one.file,
                    line=one.line,
                    key=wanted,
                    remedy="map it with [traceability.mapping.ids]",
                )
            return wanted
        return self._markdown_id(wanted, self._types[one.id])

    def _markdown_id(self, wanted: str, kind: str) -> str:
        taken = {*self._ids.values(), *self._house.known}
        made = wanted if _OURS.fullmatch(wanted) else _as_ours(wanted)
        prefix = _prefix(made)
        if not prefix or made in taken or self._meaning(prefix) not in ("", kind):
            prefix = next((name for name, of in self._house.prefixes.items() if of == kind), _short(kind))
            number = 1
            while (made := f"{prefix}-{number:03}") in taken:
                number += 1
        if prefix not in self._house.prefixes:
            self._prefixes[prefix] = kind
        return made

    def _meaning(self, prefix: str) -> str:
        return self._house.prefixes.get(prefix, "") or self._prefixes.get(prefix, "")

    # --- fields

    def _fields(self, one: Foreign) -> dict[str, str]:
        """The fields by our keys; what turns out to be a link is moved to `links`."""
        kind = self._types[one.id]
        found: dict[str, str] = {}
        for name, value in one.fields.items():
            if not value.strip():
                continue
            plain = name if self._our_words else _dashed(name)
            key = self._mapping.fields.get(name, plain if self._our_words else inward(plain))
            escaped = name not in self._mapping.fields and (self._our_words or key != plain)
            if key == LEFT_OUT:
                self._losses.append(one.loss(f"attribute '{name}': left out, as mapped", name))
            elif escaped and key not in self._house.links:
                self._add_field(one, found, name, key, value)
            elif key == "title" and not one.title:
                one.title = value
            elif key == "text" and not one.text:
                one.text = value
            elif name in self._mapping.links or key in self._house.links:
                kind_of_link = name if name in self._mapping.links else key
                one.links.setdefault(kind_of_link, []).extend(filter(None, _SEPARATOR.split(value)))
                one.lines.setdefault(kind_of_link, one.lines.get(name, one.line))
            else:
                self._add_field(one, found, name, self._free(one, key, value, kind), value)
        if self._ids[one.id] != one.id:
            found[FOREIGN_ID] = one.id
        return found

    def _add_field(self, one: Foreign, found: dict[str, str], name: str, key: str, value: str) -> None:
        base, number = key, 2
        while key in found:
            key, number = f"{base}-{number}", number + 1
        found[key] = self._clean(one, value, name)
        one.lines.setdefault(key, one.lines.get(name, one.line))

    def _free(self, one: Foreign, key: str, value: str, kind: str) -> str:
        """The key, or one that has no meaning of its own here where it would get a wrong one."""
        of = self._house.schema.types[kind]
        wrong = not _KEY.fullmatch(key) or key in ("title", "text", EVIDENCE_DIGEST)
        if key == BOARDS:
            wrong = not of.boards
        elif not wrong and key != EVIDENCE:
            try:
                self._rules.check(RawItem(one.id, "", "", one.file, one.line), key, value, of)
            except UsageError:
                # What its type has, it may have wrongly, and is told so; what its type reserves, only with our words.
                wrong = key not in of.fields or of.fields[key].reserved
        return f"foreign-{key}".rstrip("-") if wrong else key

    # --- links

    def _take_links(self, one: Foreign, fields: dict[str, str]) -> None:
        # What only says "has to do with" comes last: where another link says more of the same, it adds nothing.
        for name in sorted(one.links, key=lambda kind: kind in self._plain and kind not in self._mapping.links):
            for target in dict.fromkeys(one.links[name]):
                said = any(self._ids.get(target, target) in found for found in self._links[one.id].values())
                if not (said and name in self._plain and name not in self._mapping.links):
                    self._take_link(one, name, target)
        for key in self._links[one.id]:
            fields.pop(key, None)

    def _take_link(self, one: Foreign, name: str, target: str) -> None:
        said = self._mapping.links.get(name, "")
        if said == LEFT_OUT:
            self._losses.append(one.loss(f"link '{name}': left out, as mapped", name))
            return
        source, other = one.id, target
        kind = said.removeprefix("<")
        if said.startswith("<"):
            source, other = target, one.id
        types = (self._types.get(source, ""), self._type_of(other))
        if source not in self._types or not types[1]:
            self._losses.append(one.loss(f"link '{name}' to an item that there is not ({target})", name))
            return
        if not kind:
            may = self._kinds(name, *types)
            if len(may) != 1:
                why = f"may be {' or '.join(may)}; map it" if may else "there is no such link here"
                self._losses.append(one.loss(f"link '{name}' from {types[0]} to {types[1]}: {why}", name))
                return
            kind = may[0]
        rule = self._house.links[kind]
        if types[0] not in rule.sources or types[1] not in rule.targets:
            self._losses.append(
                one.loss(f"link '{kind}' from {types[0]} to {types[1]}: no such link is allowed here", name)
            )
            return
        if source == one.id:
            one.lines.setdefault(kind, one.lines.get(name, one.line))
        found = self._links[source].setdefault(kind, [])
        mine = self._ids.get(other, other)
        if mine not in found:
            found.append(mine)

    def _type_of(self, target: str) -> str:
        """The type of what a link leads to; "" where there is no such item.

        Where items stay, one that stands in the product's Markdown is known by its prefix here; whether it is there, the check of
        all items tells, as an error.
        """
        own = self._types.get(target, "") or self._house.known.get(target, "")
        return own or (self._house.prefixes.get(_prefix(target), "") if self._keep else "")

    def _kinds(self, name: str, source: str, target: str) -> list[str]:
        """What a link may be here: one kind, none, or several, between which nobody guesses."""
        may = [kind for kind, rule in self._house.links.items() if source in rule.sources and target in rule.targets]
        named = _dashed(name)
        if named in may and name not in self._plain:
            return [named]
        return may

    # --- texts

    def _raw(self, one: Foreign, fields: dict[str, str]) -> RawItem:
        own = self._ids[one.id]
        title = " ".join(self._clean(one, one.title, "title").split())
        text = self._clean(one, one.text, "text")
        if not title:
            title = _first_line(text) or one.id
        if not text:
            text = title
            self._losses.append(one.loss("no statement: its title stands for it"))
        links = {kind: ", ".join(targets) for kind, targets in self._links[one.id].items() if targets}
        return RawItem(
            id=own,
            prefix=_prefix(own),
            title=title,
            file=one.file,
            line=one.line,
            text=text,
            fields={**links, **fields},
            lines={key: one.lines.get(key, one.line) for key in (*links, *fields)},
            type=self._types[one.id],
        )

    def _clean(self, one: Foreign, text: str, key: str) -> str:
        if found := control_character(text):
            self._losses.append(one.loss(f"control character {found}: left out", key))
            text = without_controls(text)
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
        text = text.replace("\x85", "\n")
        return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _dashed(name: str) -> str:
    """A name as ours are written: lower case, "-" between words."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _prefix(own: str) -> str:
    found = _OURS.fullmatch(own)
    return found[1] if found else ""


def _short(kind: str) -> str:
    return "".join(word[0] for word in kind.split("-")).upper() if "-" in kind else kind.upper()


def _as_ours(wanted: str) -> str:
    """An id of our grammar that reads like another tool's: REQ001 → REQ-001, R_SW_1_2 → R-SW-1.2; "" where none does."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", wanted) if part]
    if parts and (glued := re.fullmatch(r"([A-Za-z][A-Za-z0-9]*?[A-Za-z]|[A-Za-z])(\d+)", parts[-1])):
        parts[-1:] = [glued[1], glued[2]]
    cut = len(parts)
    while cut and parts[cut - 1][0].isdigit():
        cut -= 1
    letters, digits = parts[:cut], parts[cut:]
    made = f"{'-'.join(letters)}-{'.'.join(digits)}"
    return made if letters and digits and _OURS.fullmatch(made) else ""


def _first_line(text: str) -> str:
    """What can stand for a title: the first line with words, shortened, without the marks of headings and lists."""
    for line in text.split("\n"):
        words = " ".join(line.split()).lstrip("#*->_ ").rstrip("*_ ")
        if words:
            return words if len(words) <= _TITLE else f"{words[: _TITLE - 1].rstrip()}…"
    return ""
