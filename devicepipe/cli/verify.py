"""`devicepipe verify`: one command, a clear yes or the first broken link."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import json_option, print_json, tell
from devicepipe.cli.trusted_key import with_history
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.evidence.predicates import Release


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), help="The release key to trust: a public PEM file."
)
@click.option(
    "--history",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The history of the product's keys, where the release key was ever changed: bundles of each count for its time.",
)
@click.option("-v", "--verbose", is_flag=True, help="List every link that was checked.")
@json_option
def verify(bundle: Path, *, key: Path, history: Path | None, verbose: bool, as_json: bool) -> int:
    """Check the release bundle in the folder BUNDLE with nothing but a public key: no network, no repository.

    People's signatures, in BUNDLE.signatures beside it, and what ships of it, in BUNDLE.production, are checked with it. What
    `devicepipe pull` fetched is checked, too: whether it was withdrawn since, only its repository tells.

    The exit code is about the bundle alone: of a release that was withdrawn, the text says so first, and JSON in `approval.state`.

    Exit codes: 0 intact and releasable, 1 intact but NOT RELEASABLE, 2 no such bundle or key, 4 not intact (the first
    broken link is named).
    """
    from devicepipe.cli.approve import standing_json, tell_standing
    from devicepipe.cli.production import production_json, tell_production
    from devicepipe.evidence.production import production_folder, verify_production
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.signing.keys import PublicKey
    from devicepipe.stages.pull import is_fetched
    from devicepipe.stages.standing import signed_standing

    if not key.is_file():
        raise UsageError("is no file", file=key, remedy="name the public PEM file of the release key")
    trust = with_history(PublicKey.load(key), history)
    if is_fetched(bundle):
        return _fetched(bundle, trust, as_json=as_json)
    verified = verify_bundle(bundle, trust)
    release = verified.release
    record, policy, standing = signed_standing(verified)
    ships = verify_production(verified) if os.path.lexists(production_folder(bundle)) else None
    code = EXIT_OK if release.releasable else EXIT_PRODUCT_FAILED
    if as_json:
        links = [{"link": link.link, "check": link.check} for link in verified.links]
        print_json(
            {
                "intact": True,
                "keyid": verified.public_key.keyid,
                "release": release.to_json(),
                "links": links,
                "approval": standing_json(record, policy, standing),
                "production": production_json(ships) if ships is not None else None,
            }
        )
        return code
    if verbose:
        for link in (*verified.links, *(ships.links if ships is not None else ())):
            tell(f"  {link.link}: {link.check}", dim=True)
    tell(f"{release.product} {release.version}, commit {release.commit[:12]}, sealed {release.sealed_on}", bold=True)
    withdrawn = standing.state == "withdrawn"
    if withdrawn:
        tell("WITHDRAWN: it must not be used any more", fg="red", bold=True)
    tell(
        f"intact: {len(verified.names())} files, {len(verified.links)} links checked, key {verified.public_key.keyid[:16]}",
        fg="green",
    )
    if release.development_keys:
        tell("signed with DEVELOPMENT keys: not for production", fg="yellow")
    _tell_gate(release, withdrawn=withdrawn)
    if record.signatures:
        tell_standing(record, policy, standing, state=not withdrawn)
    if ships is not None:
        tell_production(ships)
    return code


def _fetched(folder: Path, trust: KeyTrust, *, as_json: bool) -> int:
    """Check what `devicepipe pull` fetched."""
    from devicepipe.cli.pull import fetched_json, tell_fetched
    from devicepipe.stages.pull import verify_fetched

    fetched = verify_fetched(folder, trust)
    release = fetched.release
    trust.check_product(release.product)
    if as_json:
        print_json({"intact": True, "release": release.to_json()} | fetched_json(fetched))
        return EXIT_OK
    tell(f"{release.product} {release.version}, commit {release.commit[:12]}, sealed {release.sealed_on}", bold=True)
    tell_fetched(fetched)
    tell(
        f"intact: {fetched.files} files, for {', '.join(fetched.boards)}; released, if it was not withdrawn since",
        fg="green",
    )
    return EXIT_OK


def _in_a_line(text: str) -> str:
    return " ".join(text.split())


def _tell_gate(release: Release, *, withdrawn: bool) -> None:
    """What the rules decided."""
    if withdrawn:
        tell(f"before that, its gate said: {'' if release.releasable else 'not '}releasable")
    elif release.releasable:
        tell("RELEASABLE, WITH WAIVERS" if release.waived else "RELEASABLE", fg="green", bold=True)
    else:
        tell("NOT RELEASABLE", fg="red", bold=True)
        for reason in release.reasons:
            tell(f"  {_in_a_line(reason)}")
    for waived in release.waived or ():
        tell(f"  {_in_a_line(waived)}", fg="yellow")
    for weakened in release.weakened or ():
        tell(f"  rule changed: {_in_a_line(weakened)}", fg="yellow")
