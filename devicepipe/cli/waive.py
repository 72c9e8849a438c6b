"""`devicepipe waive`: what a rule found is waived for a time, with a reason, by a signed file of the product."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from devicepipe.cli.common import complete_board, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.gate import complete_rule, evidence_findings
from devicepipe.cli.secrets_in import secrets_option
from devicepipe.errors import EXIT_OK, UsageError


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
@click.option(
    "--role", help="What you are, of those that the rule lets waive it (with --as: the one role of yours that may)."
)
@click.option(
    "--as", "account", metavar="ID", help="Your account, whose key signs it; asks for password and one-time code."
)
@click.option("--by", "person", help="Without an account: who you are (default: DEVICEPIPE_TESTER, or the login name).")
@secrets_option
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
    role: str | None,
    account: str | None,
    person: str | None,
    secrets_fd: int | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Waive what the rule RULE found, and nothing else, on one board where it is judged on each.

    Writes a waiver into the product's folder of waivers (policy/waivers), to be reviewed and committed; releases from then on show
    what it covers as waived, never as passed. With --as your account signs it, in a role that the roster gives you; no author of
    the change waives in a role that is separate. Without, the release key signs what you say to be. Either is an entry of the log.

    Exit codes: 0 written, 2 no such rule or board, a rule that this role or person may not waive, a wrong date, or wrong secrets.
    """
    from devicepipe.cli.identify import identify
    from devicepipe.evidence.decisions import Waiver
    from devicepipe.evidence.facts import utc_now
    from devicepipe.stages.context import default_tester
    from devicepipe.stages.rosters import current_roster, while_newest
    from devicepipe.stages.waiver import Waiving, check_waiver, roles_for, write_waiver

    project = open_project(folder)
    if len(boards) > 1:
        raise UsageError("a waiver is for one board", remedy="call it once for each board")
    if bool(findings) == (bundle is not None):
        raise UsageError("name what is waived: either --finding, or --bundle", remedy="see `devicepipe gate explain`")
    if account is None and role is None:
        raise UsageError("say what you are", remedy="--role, or --as with your account")
    if account is not None and person is not None:
        raise UsageError("an account has its own printed name", remedy="leave out --by")
    waiving: Waiving | None = None
    if account is not None:
        roster = current_roster(project)
        own, role = roles_for(project, rule, account, roster, role)
        waiving = Waiving(account, own, roster)
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
        by=account or _said(person or default_tester(), "--by"),
        role=_said(role or "", "--role"),
        made_on=utc_now(),
        until=_day(until),
    )
    digest = check_waiver(project, waiver, waiving)
    who = identify(project, account, secrets_fd) if account is not None else None
    with while_newest(project, waiving.roster) if waiving is not None else nullcontext():
        path, waiver = write_waiver(project, waiver, digest, who, waiving)
    if as_json:
        print_json({"file": str(path), "waiver": waiver.to_json()})
        return EXIT_OK
    tell(f"waived {rule}{f' on {board}' if board else ''} {waiver.told}", fg="yellow")
    for finding in waiver.findings:
        tell(f"  {finding}")
    tell(f"review and commit {path}, with its proof{' and its roster' if waiver.signer else ''} beside it")
    return EXIT_OK


def _item(finding: str) -> str:
    """A finding up to what is said of the item that it names."""
    from devicepipe.evidence.waivers import SAID, covers, item_end

    end = item_end(finding)
    said = [at for mark in SAID if (at := finding.find(mark, end)) >= 0]
    pattern = f"{finding[: min(said)]}*" if end >= 0 and said else finding
    return pattern if covers(pattern, finding) else finding


def _said(text: str, option: str) -> str:
    from devicepipe.evidence.printed import check_words

    line = " ".join(text.split())
    check_words(line, option)
    return line


def _day(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date().isoformat()
    except ValueError as error:
        raise UsageError(f"--until: '{text}' is no day", remedy="write it as 2027-01-31") from error
