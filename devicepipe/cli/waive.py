"""`devicepipe waive`: what a rule found is waived for a time, with a reason, by a signed file of the product."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import complete_board, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.gate import complete_rule, evidence_findings
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.decisions import Waiver
    from devicepipe.project.config import Project


@click.command()
@click.argument("rule", shell_complete=complete_rule)
@click.option(
    "--board",
    "boards",
    multiple=True,
    shell_complete=complete_board,
    help="The board that it is waived on, where the rule is judged on each.",
)
@click.option("--finding", "findings", multiple=True, help="What the rule found, word for word (repeatable).")
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A release that the rule stopped: waive all that it found there.",
)
@click.option(
    "--by-item",
    is_flag=True,
    help="With --bundle: whatever is said of the items, since reasons change from run to run.",
)
@click.option("--reason", required=True, help="Why the product may be released with it.")
@click.option("--until", required=True, metavar="DATE", help="The last day, e.g. 2027-01-31; at most 366 days on.")
@click.option("--role", required=True, help="What you are, of those that the rule lets waive it.")
@click.option("--by", "person", help="Who you are (default: DEVICEPIPE_TESTER, or the login name).")
@project_option
@json_option
def waive(
    rule: str,
    *,
    boards: tuple[str, ...],
    findings: tuple[str, ...],
    bundle: Path | None,
    by_item: bool,
    reason: str,
    until: str,
    role: str,
    person: str | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Waive what the rule RULE found, and nothing else, on one board where it is judged on each.

    Writes a waiver signed with the release key into the product's folder of waivers (policy/waivers), to be reviewed and committed.
    Releases from then on show what it covers as waived, never as passed. Role and name are what you say, not an account.

    Exit codes: 0 written, 2 no such rule or board, a rule that this role may not waive, or a wrong date.
    """
    from devicepipe.evidence.decisions import Waiver
    from devicepipe.evidence.facts import utc_now
    from devicepipe.stages.context import default_tester

    project = open_project(folder)
    if len(boards) > 1:
        raise UsageError("a waiver is for one board", remedy="call it once for each board")
    if bool(findings) == (bundle is not None):
        raise UsageError("name what is waived: either --finding, or --bundle", remedy="see `devicepipe gate explain`")
    board = boards[0] if boards else ""
    named = evidence_findings(bundle, rule, board) if bundle is not None else findings
    if by_item:
        named = tuple(_item(finding) for finding in named)
    waiver = Waiver(
        product=project.product.name,
        rule=rule,
        board=board,
        findings=[" ".join(one.split()) or "*" for one in named],
        reason=_said(reason, "--reason"),
        by=_said(person or default_tester(), "--by"),
        role=role,
        made_on=utc_now(),
        until=_day(until),
    )
    path = _write(project, waiver)
    if as_json:
        print_json({"file": str(path), "waiver": waiver.to_json()})
        return EXIT_OK
    tell(f"waived {rule}{f' on {board}' if board else ''} {waiver.told}", fg="yellow")
    for finding in waiver.findings:
        tell(f"  {finding}")
    tell(f"review and commit {path}")
    return EXIT_OK


def _item(finding: str) -> str:
    """A finding up to what is said of the item that it names."""
    from devicepipe.evidence.waivers import SAID, item_end

    end = item_end(finding)
    said = [at for mark in SAID if (at := finding.find(mark, end)) >= 0]
    return finding if end < 0 or not said else f"{finding[: min(said)]}*"


def _said(text: str, option: str) -> str:
    if not text.strip():
        raise UsageError(f"{option} is empty")
    return text.strip()


def _day(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError as error:
        raise UsageError(f"--until: '{text}' is no day", remedy="write it as 2027-01-31") from error


def _write(project: Project, waiver: Waiver) -> Path:
    """Sign the waiver and write it under a name of its own, unless it could waive nothing."""
    from devicepipe.evidence.decisions import WAIVER_SUFFIX
    from devicepipe.evidence.waivers import sign_waiver
    from devicepipe.policy.rules import load_policy
    from devicepipe.policy.waivers import digest_of, problem
    from devicepipe.stages.context import open_keys

    rules = load_policy(project)
    digest = digest_of(rules.rule(waiver.rule))
    names = {board.name for board in project.boards}
    if told := problem(waiver, digest, rules, project.product.name, names, datetime.now(UTC).date()):
        raise UsageError(f"this waiver would do nothing: {told}", remedy="see `devicepipe gate explain`")
    key = open_keys(project).release
    data = sign_waiver(waiver, digest, key.signer, key.public)
    folder = project.root / project.policy.waivers
    folder.mkdir(parents=True, exist_ok=True)
    stem = ".".join(part for part in (waiver.rule, waiver.board, waiver.until) if part)
    for number in range(1, 10_000):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{WAIVER_SUFFIX}"
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        return path
    raise UsageError("there are too many waivers of this rule until that day", file=folder)
