"""`devicepipe trace review`: who reviewed which items as they stand, after showing what changed since the last review."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.items import Change
    from devicepipe.evidence.reviews import Review
    from devicepipe.evidence.trace import Item
    from devicepipe.stages.item_history import ReviewedStates
    from devicepipe.traceability.reviews import Reviews

_WHOLE = 5  # so many items are shown whole where nobody has reviewed them yet; of more, the title


@click.command()
@click.argument("items", nargs=-1, metavar="ITEM...")
@click.option(
    "--all", "everything", is_flag=True, help="All items that are unreviewed, changed, or rest on a changed one."
)
@click.option("--note", help="What you have to say of it; needed to write.")
@click.option("--by", "person", help="Who you are (default: DEVICEPIPE_TESTER, or the login name).")
@click.option("--dry-run", is_flag=True, help="Show what changed, and write nothing.")
@click.option("--forget-unknown", is_flag=True, help="Take out the reviews of items that are no more.")
@project_option
@json_option
def review(
    items: tuple[str, ...],
    *,
    everything: bool,
    note: str | None,
    person: str | None,
    dry_run: bool,
    forget_unknown: bool,
    folder: Path,
    as_json: bool,
) -> int:
    """Record that you reviewed ITEMs, as they and what they rest on stand in the working tree.

    Shows first what changed since the last review, attribute by attribute, of the item and of its parents. The review goes into
    reviews.jsonl beside the items, to be committed. Who reviewed is what you say, not an account.

    Exit codes: 0 written or shown, 2 no such item, no note, or wrong items.
    """
    from devicepipe.evidence.facts import utc_now
    from devicepipe.stages.context import default_tester
    from devicepipe.stages.item_history import ReviewedStates
    from devicepipe.stages.items import read_product_items
    from devicepipe.traceability.reviews import forget_reviews, read_reviews, record_reviews, review_of

    if bool(items) == everything and not (forget_unknown and not items):
        raise UsageError("name what you reviewed: either items, or --all", remedy="see `devicepipe trace check`")
    project = open_project(folder)
    by_id = {item.id: item for item in read_product_items(project)[0]}
    reviews = read_reviews(project)
    unknown = [one.item for one in reviews.reviews if one.item not in by_id] if forget_unknown else []
    names = _open(by_id, reviews) if everything else _known(items, by_id)
    states = ReviewedStates(project, reviews)
    looks = [_look(by_id[name], reviews.of(name), by_id, states) for name in names]
    if not as_json:
        for look in looks:
            _tell_look(look, whole=len(looks) <= _WHOLE)
    by, said = _line(person or default_tester()), _line(note or "")
    if names and not dry_run:
        if not said or not by:
            raise UsageError("nothing is written: --note is empty", remedy='say what you looked at: --note "…"')
        on = utc_now()
        record_reviews(project, [review_of(by_id[name], by_id, by=by, on=on, note=said) for name in names])
    if unknown and not dry_run:
        forget_reviews(project, unknown)
    if as_json:
        print_json(
            {
                "file": reviews.file,
                "written": not dry_run,
                "by": by,
                "items": [look.document() for look in looks],
                "forgotten": unknown,
            }
        )
        return EXIT_OK
    _tell_done(names, unknown, reviews.file, by, dry_run=dry_run)
    return EXIT_OK


@dataclass(frozen=True)
class _Look:
    """What a reviewer is shown of an item: what became of it and of its parents since the last review."""

    item: Item
    before: Review | None
    changes: tuple[Change, ...] = ()
    changed: tuple[str, ...] = ()
    parents: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        return self.before is not None and self.before.fingerprint == self.item.fingerprint and not self.parents

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "item": self.item.id,
            "file": self.item.file,
            "line": self.item.line,
            "reviewedBefore": self.before.to_json() if self.before else None,
            "changed": list(self.changed),
            "changes": [change.to_json() for change in self.changes],
            "changedParents": {
                name: [change.to_json() for change in changes] for name, changes in self.parents.items()
            },
        }


def _tell_done(names: Sequence[str], unknown: Sequence[str], file: str, by: str, *, dry_run: bool) -> None:
    if dry_run:
        tell(f"{counted(len(names), 'item')} shown, nothing written", bold=True)
    elif names:
        tell(f"{by} reviewed {counted(len(names), 'item')}: commit {file}", fg="green", bold=True)
    elif not unknown:
        tell("every item is reviewed as it stands", fg="green", bold=True)
    if unknown:
        tell(f"{'would take' if dry_run else 'took'} out the reviews of {', '.join(unknown)}")


def _line(text: str) -> str:
    """A text as one line; what nobody can print is left out."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _open(by_id: Mapping[str, Item], reviews: Reviews) -> list[str]:
    """The items that a review is missing of, in their order."""
    from devicepipe.evidence.review_links import review_findings

    found = review_findings(list(by_id.values()), reviews.reviews)
    return list(dict.fromkeys(finding.item for finding in found if finding.item in by_id))


def _known(names: Sequence[str], by_id: Mapping[str, Item]) -> list[str]:
    for name in names:
        if name not in by_id:
            close = difflib.get_close_matches(name.upper(), by_id, n=3)
            raise UsageError(
                f"there is no item {name}",
                remedy=f"did you mean {' or '.join(close)}?" if close else "see `devicepipe trace check`",
            )
    return list(dict.fromkeys(names))


def _look(item: Item, before: Review | None, by_id: Mapping[str, Item], states: ReviewedStates) -> _Look:
    from devicepipe.evidence.items import changed_attributes, changes

    if before is None:
        return _Look(item, None)
    moved = [
        name
        for name, fingerprint in before.links.items()
        if name in item_parents(item) and name in by_id and by_id[name].fingerprint != fingerprint
    ]
    if before.fingerprint == item.fingerprint and not moved:
        return _Look(item, before)
    then = states.at(before)
    own = changes(then[item.id], item) if item.id in then else ()
    named = tuple(change.attribute for change in own) or changed_attributes(before.attributes, item)
    parents = {name: changes(then[name], by_id[name]) if name in then else () for name in moved}
    return _Look(item, before, own, named, parents)


def item_parents(item: Item) -> tuple[str, ...]:
    """What an item rests on."""
    from devicepipe.evidence.items import parents

    return parents(item)


def _tell_look(look: _Look, *, whole: bool) -> None:
    item, before = look.item, look.before
    tell(f"{item.id} {item.title}  ({item.file}:{item.line})", bold=True)
    if before is None:
        tell("  nobody has reviewed it yet", fg="yellow")
        if whole:
            _tell_whole(item)
        return
    said = f": {before.note}" if before.note else ""
    tell(f"  {before.by} reviewed it on {before.on[:10]}{said}")
    if look.same:
        tell("  nothing changed since")
    elif before.fingerprint != item.fingerprint:
        if not look.changes:
            named = ", ".join(look.changed) or "which attributes is not recorded"
            tell(f"  changed since: {named} (what it was is in no commit)", fg="yellow")
        _tell_changes(look.changes, "  ")
    for name, changed in look.parents.items():
        tell(
            f"  {name}, which it rests on, changed since{'' if changed else ' (what it was is in no commit)'}",
            fg="yellow",
        )
        _tell_changes(changed, "    ")


def _tell_whole(item: Item) -> None:
    from devicepipe.evidence.items import attributes

    for name, value in attributes(item).items():
        lines = value.splitlines() or [""]
        tell(f"  {name}: {lines[0]}")
        for line in lines[1:]:
            tell(f"    {line}")


def _tell_changes(changed: Sequence[Change], indent: str) -> None:
    for change in changed:
        tell(f"{indent}{change.attribute}", fg="yellow")
        for line in difflib.ndiff((change.before or "").splitlines(), (change.after or "").splitlines()):
            if line[0] != "?":
                colour = {"-": "red", "+": "green"}.get(line[0])
                tell(f"{indent}  {line}", fg=colour)
