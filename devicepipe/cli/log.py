"""`devicepipe log`: the transparency log: what is in it, whether it holds, proofs from it, and its witnesses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import counted, json_option, note, open_project, print_json, project_option, tell
from devicepipe.cli.log_trust import project_trust, trust_of, witness_key
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.evidence.ledger.checkpoint import SignedCheckpoint, Trust
    from devicepipe.evidence.ledger.entry import Entry
    from devicepipe.evidence.ledger.log import Log

_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?Z?")
_KINDS = (
    "account",
    "approval",
    "attestation",
    "decision",
    "key-change",
    "key-use",
    "lease-override",
    "login",
    "publication",
    "waiver",
)

_log_argument = click.argument("log_folder", metavar="[LOG]", required=False, type=click.Path(path_type=Path))
_trusted_key = click.option("--key", metavar="KEY", help="The log's key: a PEM file, a verifier key, or a file of one.")
_origin = click.option(
    "--origin", help="The log's name, where KEY is a PEM file (default: the one that it gives itself)."
)
_history = click.option(
    "--history",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --key: the history of the product's keys: the log's former keys count, too.",
)
_witnesses = click.option("--witness", "witnesses", metavar="VKEY", multiple=True, help="A witness's verifier key.")
_quorum = click.option(
    "--quorum", type=click.IntRange(min=0), help="How many of the witnesses must have cosigned (default: all)."
)


@click.group()
def log() -> None:
    """Show, verify and prove what is in the transparency log.

    LOG is the log's folder; without it, .devicepipe/log of the project. docs/reference/ledger.md tells the rest.
    """


@log.command()
@_log_argument
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only this kind (repeatable).")
@click.option("--by", "person", help="Only what this account or program did.")
@click.option("--since", metavar="TIME", help="Only from this time on, e.g. 2026-11-29 or 2026-11-29T10:00:00Z.")
@click.option("--until", metavar="TIME", help="Only up to this time; of a day, up to its end.")
@click.option("--subject", help="Only with this text in the subject.")
@click.option("--digest", help="Only what has this digest, or one that begins so.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many: the oldest ones, not the newest.")
@click.option("--scan", is_flag=True, help="Read the log itself, without the index: slower, and believes nothing else.")
@_trusted_key
@_history
@_origin
@project_option
@json_option
def show(
    log_folder: Path | None,
    *,
    kinds: tuple[str, ...],
    person: str | None,
    since: str | None,
    until: str | None,
    subject: str | None,
    digest: str | None,
    limit: int | None,
    scan: bool,
    key: str | None,
    history: Path | None,
    origin: str | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Show the entries of LOG, all or those that fit.

    Exit codes: 0 shown, 2 no such log, 4 what was read is not what was logged.
    """
    from devicepipe.evidence.ledger import index

    opened = _open(log_folder, folder, key, history, origin)
    search = index.Search(kinds, person, _time(since, "--since"), _time(until, "--until"), subject, digest)
    found = index.scan(opened, search) if scan else index.find(opened, search, opened.disk.folder / index.INDEX)
    rows = islice(found, limit)
    if as_json:
        print_json([{"index": number, **entry.to_json()} for number, entry in rows])
        return EXIT_OK
    count = 0
    for number, entry in rows:
        count += 1
        _tell_entry(number, entry)
    tell(
        f"{counted(count, 'entry').replace('entrys', 'entries')} of {opened.size} in {opened.signed.origin}", bold=True
    )
    return EXIT_OK


@log.command()
@_log_argument
@_trusted_key
@_history
@_origin
@click.option(
    "--earlier",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An earlier checkpoint of the log, or a proof from it, that it must have grown from (repeatable).",
)
@_witnesses
@_quorum
@click.option(
    "--proof",
    "proofs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Verify this proof instead, with no log (repeatable).",
)
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="How many share the work.")
@project_option
@json_option
def verify(
    log_folder: Path | None,
    *,
    key: str | None,
    history: Path | None,
    origin: str | None,
    earlier: tuple[Path, ...],
    witnesses: tuple[str, ...],
    quorum: int | None,
    proofs: tuple[Path, ...],
    processes: int,
    folder: Path,
    as_json: bool,
) -> int:
    """Verify all of LOG: every entry, every tile, the checkpoint, and that it grew from earlier checkpoints.

    Exit codes: 0 it holds, 2 no such log or key, 4 it does not hold (the first broken file or entry is named).
    """
    from devicepipe.evidence.ledger.verify import read_earlier, verify_log

    if key is None:
        raise UsageError("--key is missing", remedy="name the log's key, from somewhere else than the log's folder")
    trust, believed = trust_of(key, history, origin, witnesses, quorum)
    if proofs and (log_folder is not None or earlier):
        raise UsageError(
            "--proof is verified with no log, and LOG and --earlier would not be looked at",
            remedy="to see that LOG has grown from what a proof shows: --earlier PROOF, without --proof",
        )
    if proofs:
        return _verify_proofs(proofs, trust, believed, as_json=as_json)
    place = _folder(log_folder, folder)
    verified = verify_log(place, trust, earlier=read_earlier(earlier), processes=processes)
    if as_json:
        print_json(
            {
                "intact": True,
                **_checkpoint_json(verified.signed),
                "files": verified.files,
                "pending": verified.pending,
                "earlier": [{"file": name, "size": signed.size} for name, signed in verified.earlier.items()],
            }
        )
        return EXIT_OK
    _tell_checkpoint(verified.signed)
    tell(f"intact: every entry and {verified.files} tiles, key {verified.signed.key.keyid[:16]}", fg="green")
    for name, signed in verified.earlier.items():
        tell(f"grew from {name} ({signed.size} entries)", fg="green")
    if verified.pending:
        tell(
            f"{verified.pending} more acknowledged entries wait to be published: `devicepipe log checkpoint`",
            fg="yellow",
        )
    if verified.torn:
        tell("a batch that nobody had an acknowledgement of was interrupted; the next append cuts it off", fg="yellow")
    return EXIT_OK


@log.command()
@click.argument("index", type=int)
@_log_argument
@click.option("--output", type=click.Path(path_type=Path), help="Write the proof into this file (default: print it).")
@_trusted_key
@_history
@_origin
@project_option
@json_option
def prove(
    index: int,
    log_folder: Path | None,
    *,
    output: Path | None,
    key: str | None,
    history: Path | None,
    origin: str | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Prove that entry INDEX is in LOG: a file that is checked offline, with the log's key and nothing else.

    Exit codes: 0 made, 2 no such log or entry, 4 the log does not hold there.
    """
    opened = _open(log_folder, folder, key, history, origin)
    data = opened.prove(index).to_bytes()
    if output is not None:
        _write(output, data)
    if as_json:
        print_json(
            {"index": index, **_checkpoint_json(opened.signed), "file": str(output or ""), "proof": data.decode()}
        )
    elif output is None:
        click.echo(data.decode(), nl=False)
    else:
        tell(f"entry {index} of {opened.size} in {opened.signed.origin}: {output}", fg="green")
    return EXIT_OK


@log.command()
@_log_argument
@_trusted_key
@_history
@_origin
@click.option("--state", required=True, type=click.Path(path_type=Path), help="The witness's file for this log.")
@click.option("--name", required=True, help="The witness's name, e.g. witness.example.com/qa.")
@click.option("--signer", required=True, metavar="URI", help="The witness's private key, e.g. file:witness.key.pem.")
@click.option("--public", required=True, type=click.Path(path_type=Path), help="Its public half: a PEM file, Ed25519.")
@click.option("--first", is_flag=True, help="The witness sees this log for the first time.")
@click.option("--full", is_flag=True, help="Verify the whole log first, not only that it grew.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the cosigned checkpoint here (default: print it)."
)
@project_option
@json_option
def witness(
    log_folder: Path | None,
    *,
    key: str | None,
    history: Path | None,
    origin: str | None,
    state: Path,
    name: str,
    signer: str,
    public: Path,
    first: bool,
    full: bool,
    output: Path | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Cosign the checkpoint of LOG as its witness, if the log grew from what the witness saw last.

    Refuses a log that was rolled back or rewritten. The witness's key and file belong to somebody else than the log.

    Exit codes: 0 cosigned, 2 wrong key or file, 4 refused.
    """
    from devicepipe.evidence.ledger.log import Log
    from devicepipe.evidence.ledger.note import NoteKey, NoteSigner
    from devicepipe.evidence.ledger.verify import verify_log
    from devicepipe.evidence.ledger.witness import witness_log
    from devicepipe.signing.keys import PublicKey, load_signer

    if key is None:
        raise UsageError("--key is missing", remedy="name the log's key, from somewhere else than the log's folder")
    (trust, _), place, half = trust_of(key, history, origin), _folder(log_folder, folder), PublicKey.load(public)
    own = NoteSigner(NoteKey.of_witness(name, half), load_signer(signer, half, Path()))
    if full:
        verify_log(place, trust)
    seen = witness_log(lambda: Log.open(place, trust), trust, state, own, first=first)
    if output is not None:
        _write(output, seen.data)
    if as_json:
        document = {"before": seen.before, **_checkpoint_json(seen.signed), "file": str(output or "")}
        print_json({**document, "vkey": own.key.text(), "cosigned": seen.data.decode()})
    elif output is None:
        click.echo(seen.data.decode(), nl=False)
    else:
        grew = "seen for the first time" if seen.before is None else f"grew from {seen.before}"
        tell(f"cosigned {seen.signed.origin} at {seen.signed.size} entries ({grew}): {output}", fg="green")
        tell(f"verifier key: {own.key.text()}")
    return EXIT_OK


@log.command()
@_log_argument
@click.option(
    "--add", "added", multiple=True, type=click.Path(path_type=Path), help="Take over the cosignatures of this copy."
)
@_witnesses
@click.option("--vkey", is_flag=True, help="Print the log's verifier key instead.")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the checkpoint into this file (default: print it)."
)
@_trusted_key
@_history
@_origin
@project_option
@json_option
def checkpoint(
    log_folder: Path | None,
    *,
    added: tuple[Path, ...],
    witnesses: tuple[str, ...],
    vkey: bool,
    output: Path | None,
    key: str | None,
    history: Path | None,
    origin: str | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Print the checkpoint of LOG, to be kept elsewhere; publish first what an interrupted append left.

    Exit codes: 0 printed, 2 no such log, 4 the log or a cosignature does not hold.
    """
    from devicepipe.evidence.ledger.note import NoteKey
    from devicepipe.evidence.ledger.verify import read_earlier
    from devicepipe.evidence.ledger.writer import store_cosignatures

    signed = _settled(log_folder, folder, key, history, origin)
    place, trust = _folder(log_folder, folder), project_trust(key, history, origin, folder)
    keys = [witness_key(one) for one in witnesses]
    for name, data in read_earlier(added).items():
        signed = store_cosignatures(place, trust, data, keys, name)
    text = NoteKey.of_log(signed.origin, signed.key).text()
    if output is not None:
        _write(output, signed.data)
    if as_json:
        document = {**_checkpoint_json(signed), "vkey": text, "file": str(output or "")}
        print_json({**document, "checkpoint": signed.data.decode()})
    elif vkey:
        click.echo(text)
    elif output is None:
        click.echo(signed.data.decode(), nl=False)
    else:
        _tell_checkpoint(signed)
        tell(f"written to {output}")
    return EXIT_OK


# --- what they share ---------------------------------------------------------------------------------------------------


def _settled(
    log_folder: Path | None, folder: Path, key: str | None, history: Path | None, origin: str | None
) -> SignedCheckpoint:
    """The log's checkpoint, once what waits in its journal is published."""
    from devicepipe.evidence.ledger.journal import JOURNAL
    from devicepipe.evidence.ledger.writer import recover_log

    opened = _open(log_folder, folder, key, history, origin)
    journal = opened.disk.folder / JOURNAL
    if not journal.is_file() or not journal.stat().st_size:
        return opened.signed
    recovery = recover_log(opened.disk.folder, project_trust(key, history, origin, folder))
    if recovery.published:
        note(f"published {recovery.published} entries that an interrupted append left")
    if recovery.torn:
        note(f"cut off {recovery.torn} bytes of a batch that was never acknowledged")
    return _open(log_folder, folder, key, history, origin).signed


def _folder(log_folder: Path | None, folder: Path) -> Path:
    return log_folder if log_folder is not None else open_project(folder).state / "log"


def _open(log_folder: Path | None, folder: Path, key: str | None, history: Path | None, origin: str | None) -> Log:
    from devicepipe.evidence.ledger.log import Log

    return Log.open(_folder(log_folder, folder), project_trust(key, history, origin, folder))


def _verify_proofs(paths: Sequence[Path], trust: Trust, believed: KeyTrust, *, as_json: bool) -> int:
    from dataclasses import replace

    from devicepipe.evidence.ledger.entry import decode_entry
    from devicepipe.evidence.ledger.proof import verify_proof
    from devicepipe.evidence.ledger.verify import read_earlier

    # Of a revoked key those count that its revocation lists.
    data, any_key = read_earlier(paths), replace(trust, keys=believed.keys, revoked=())
    proven = [(name, verify_proof(one, any_key, name)) for name, one in data.items()]
    for name, one in proven:
        believed.check_kept(one.checkpoint.key, data[name], name)
    entries = [(name, one, decode_entry(one.entry, name)) for name, one in proven]
    if as_json:
        print_json(
            [
                {"file": name, "index": one.index, **_checkpoint_json(one.checkpoint), "entry": entry.to_json()}
                for name, one, entry in entries
            ]
        )
        return EXIT_OK
    for name, one, entry in entries:
        tell(f"{name}: in {one.checkpoint.origin}, among the first {one.checkpoint.size}", fg="green")
        _tell_entry(one.index, entry)
    return EXIT_OK


def _checkpoint_json(signed: SignedCheckpoint) -> dict[str, Any]:
    return {
        "origin": signed.origin,
        "size": signed.size,
        "root": signed.root.hex(),
        "keyid": signed.key.keyid,
        "witnesses": [{"name": one.name, "time": one.time} for one in signed.cosigned],
    }


def _tell_checkpoint(signed: SignedCheckpoint) -> None:
    from datetime import UTC, datetime

    tell(f"{signed.origin}: {signed.size} entries, root {signed.root.hex()}", bold=True)
    for one in signed.cosigned:
        tell(f"  cosigned by {one.name} on {datetime.fromtimestamp(one.time, UTC):%Y-%m-%dT%H:%M:%SZ}")


def _tell_entry(number: int, entry: Entry) -> None:
    details = "".join(f"  {name}={value}" for name, value in entry.details.items())
    digest = f"  sha256:{entry.digest[:16]}" if entry.digest else ""
    tell(f"{number:>7}  {entry.at}  {entry.kind:14}  {entry.by}  {entry.subject}{digest}{details}")


def _time(text: str | None, option: str) -> str | None:
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise UsageError(
            f"{option} '{text}' is no time", remedy="write it in UTC, e.g. 2026-11-29 or 2026-11-29T10:00:00Z"
        )
    return text.removesuffix("Z")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path, remedy="name a file that can be") from error
