"""`devicepipe pull`: a release from a repository, for whoever programs devices or checks what is sent to them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, print_json, tell
from devicepipe.cli.trusted_key import with_history
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.signing.keys import PublicKey
    from devicepipe.stages.pull import Fetched

_KEY = "release.pub.pem"


@click.command()
@click.argument("repository")
@click.argument("version", required=False)
@click.option("--product", help="Of which product (default: the only one).")
@click.option("--board", "boards", multiple=True, help="Only the files of this board (repeatable; default: all).")
@click.option(
    "--root",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The root metadata to begin with, from the publisher; needed the first time.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The release key to trust, a public PEM file; needed the first time, and kept.",
)
@click.option("--replace-key", is_flag=True, help="Trust --key in the place of the release key that was kept.")
@click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    help="The history of the publisher's keys, where its release key was ever changed.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the folder PRODUCT-VERSION goes (default: here).",
)
@click.option(
    "--trust",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where what is trusted is kept (default: below ~/.local/state/devicepipe, by repository).",
)
@json_option
def pull(
    repository: str,
    version: str | None,
    *,
    product: str | None,
    boards: tuple[str, ...],
    root: Path | None,
    key: Path | None,
    replace_key: bool,
    history: Path | None,
    output: Path,
    trust: Path | None,
    as_json: bool,
) -> int:
    """Fetch VERSION of a release, or the newest one, from REPOSITORY: a folder, https://…, file:///… or s3://….

    The TUF client refuses metadata that are forged, expired, older than seen before, or of different states, and files of another
    length or digest. What the release key and people signed is then verified, offline. The folder appears whole or not at all.

    Exit codes: 0 fetched (or was already), 1 that release has been withdrawn, 2 no such release, root or key, 3 it cannot be
    fetched, 4 what comes does not hold.
    """
    from devicepipe.stages.pull import pull as pull_release

    url = repository if "://" in repository else Path(repository).resolve().as_uri()
    place = trust or _state_home() / "devicepipe" / "trust" / hashlib.sha256(url.encode()).hexdigest()[:16]
    public = _release_key(place, key, url, replace=replace_key)
    found = pull_release(
        url,
        place,
        output,
        root=_read(root) if root is not None else None,
        release_key=with_history(public, history),
        product=product,
        version=version,
        boards=boards,
    )
    if key is not None:
        _keep(place, public.pem)
    state, fetched = found.state, found.fetched
    if as_json:
        print_json(
            state.to_json()
            | {"folder": str(found.folder), "new": found.new, "unproven": dict(found.unproven)}
            | fetched_json(fetched)
        )
        return EXIT_OK
    tell(f"{state.product} {state.version}, released {state.on[:10]}: {state.meaning}", bold=True)
    tell_fetched(fetched)
    for title, why in found.unproven.items():
        tell(f"the repository says that {title} is withdrawn, and no signature proves it: {why}", fg="yellow")
    tell(f"{fetched.files} files verified, {'now' if found.new else 'already'} in {found.folder}", fg="green")
    return EXIT_OK


def fetched_json(fetched: Fetched) -> dict[str, Any]:
    """What was verified of a release that was fetched, as JSON data."""
    return {
        "files": fetched.files,
        "developmentKeys": fetched.release.development_keys,
        "productionKey": fetched.production.production_key.to_json(),
        "boards": {name: fetched.production.board(name).shipped for name in fetched.boards},
        "signatures": [one.signature.to_json() for one in fetched.record.signatures],
    }


def tell_fetched(fetched: Fetched) -> None:
    """What was verified of a release that was fetched, for people."""
    for one in fetched.record.signatures:
        tell(f"  {one.signature.action:9} {one.signature.told}")
    if fetched.release.development_keys:
        tell("signed with DEVELOPMENT keys: not for production", fg="yellow")


def _release_key(trust: Path, named: Path | None, url: str, *, replace: bool) -> PublicKey:
    """The release key that is named, which is the one that was kept, unless that is to be replaced; else the kept one."""
    from devicepipe.signing.keys import PublicKey

    if named is not None:
        public = PublicKey.load(named)
        if not replace and (trust / _KEY).is_file() and PublicKey.load(trust / _KEY).keyid != public.keyid:
            raise UsageError(
                f"is not the release key that is trusted for {url}",
                file=named,
                remedy="leave --key out; only if you know from the publisher that the key was changed: --replace-key",
            )
        return public
    if not (trust / _KEY).is_file():
        raise UsageError(
            f"no release key is trusted for {url} yet", remedy="name the one that its publisher gave you: --key FILE"
        )
    return PublicKey.load(trust / _KEY)


def _keep(trust: Path, pem: bytes) -> None:
    from devicepipe.evidence.ledger.disk import Disk

    Disk(trust).replace(_KEY, pem, f".{_KEY}.new")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", file=file, remedy="name the publisher's root.json"
        ) from error


def _state_home() -> Path:
    """Where a user's programs keep their state (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
