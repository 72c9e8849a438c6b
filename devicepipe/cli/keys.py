"""`devicepipe keys`: which keys sign, made for development at first use; keys made, changed and revoked, and their history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.evidence.key_history import KeyHistory, KeyLife, Role
    from devicepipe.project.config import Project
    from devicepipe.stages.key_changes import ChangedKeys

_ROLES = ("release", "image", "production")
_reason = click.option("--reason", required=True, help="Why, as it stands in the history and the log.")


@click.group(invoke_without_command=True)
@project_option
@json_option
@click.pass_context
def keys(context: click.Context, folder: Path, as_json: bool) -> None:
    """Show the keys that sign images and releases; make, change and revoke keys.

    Without [keys] in devicepipe.toml, development keys are made under .devicepipe/keys (mode 0600, ignored by git), and
    everything signed with them says so.
    """
    if context.invoked_subcommand is not None:
        return
    from devicepipe.evidence.predicates import KeyInfo
    from devicepipe.stages.context import check_in_force, open_keys, public_half

    project = open_project(folder)
    opened = open_keys(project)
    roles = {"image": opened.image.public, "release": opened.release.public}
    production = public_half(project, "production")
    if production is not None:
        check_in_force(project, opened.history, "production", production)
        roles["production"] = production
    if as_json:
        infos = {
            role: KeyInfo(keyid=key.keyid, scheme=key.scheme, development=key.development)
            for role, key in roles.items()
        }
        print_json({role: infos[role].to_json() | {"pem": key.pem.decode()} for role, key in roles.items()})
        return
    for role, key in roles.items():
        kind = "DEVELOPMENT key" if key.development else "key"
        tell(f"{role:10} {key.scheme} {kind} {key.keyid}")
        configured = getattr(project.keys, f"{role}_public")
        path = project.root / configured if configured else project.state / "keys" / f"{role}.pub.pem"
        tell(f"{'':10} public half: {path}")


@keys.command()
@click.argument("uri")
@click.option("--public", required=True, type=click.Path(path_type=Path), help="Write the public half into this file.")
@click.option(
    "--scheme",
    type=click.Choice(["ed25519", "ecdsa-sha2-nistp256"]),
    default="ed25519",
    show_default=True,
    help="The kind of key. Images take ed25519.",
)
@click.option("--existing", is_flag=True, help="Make none: only write the public half of the key that is there.")
@json_option
def make(uri: str, *, public: Path, scheme: str, existing: bool, as_json: bool) -> int:
    """Make a key pair: on a token (pkcs11:…), which the private half never leaves, or in an encrypted file (file:PATH).

    PIN or passphrase come from the usual sources, docs/reference/keys.md.
    """
    from devicepipe.signing.make_keys import existing_key, make_key_pair

    if public.exists():
        raise UsageError("there is a file already", file=public, remedy="name another one")
    made = existing_key(uri, Path()) if existing else make_key_pair(uri, scheme, Path())
    try:
        public.parent.mkdir(parents=True, exist_ok=True)
        with public.open("xb") as file:
            file.write(made.public.pem)
    except OSError as error:
        raise UsageError(
            f"the public half cannot be written: {error.strerror}",
            file=public,
            remedy="the key is made: name another file, with --existing",
        ) from error
    if as_json:
        print_json(
            {"keyid": made.public.keyid, "scheme": made.public.scheme, "public": str(public), "place": made.place}
        )
    else:
        tell(f"{made.public.scheme} key {made.public.keyid}", fg="green")
        tell(f"private half: {made.place}")
        tell(f"public half: {public}")
    return EXIT_OK


@keys.command()
@click.argument("role", type=click.Choice(_ROLES))
@click.option("--signer", required=True, metavar="URI", help="The signer of the new key.")
@click.option("--public", required=True, type=click.Path(path_type=Path), help="Its public half, a PEM file.")
@_reason
@project_option
@json_option
def rotate(role: Role, *, signer: str, public: Path, reason: str, folder: Path, as_json: bool) -> int:
    """Let another key of ROLE come in, signed by the release key in force and by the new key.

    From then on the old key signs nothing more; what it signed stays valid. devicepipe.toml still names the old key when this is
    run, and the new one afterwards.
    """
    from devicepipe.signing.keys import PublicKey, load_signer
    from devicepipe.stages.context import SigningKey
    from devicepipe.stages.key_changes import rotate_key

    project = open_project(folder)
    half = PublicKey.load(public)
    new = SigningKey(load_signer(signer, half, project.root), half)
    _tell_changed(project, rotate_key(project, role, new, reason), as_json=as_json)
    if not as_json:
        tell(f"now set keys.{role} and keys.{role}-public in devicepipe.toml to the new key", bold=True)
    return EXIT_OK


@keys.command()
@click.argument("keyid")
@_reason
@click.option(
    "--keep",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A bundle that still counts, with its signatures and what ships of it (repeatable).",
)
@click.option(
    "--keep-no-others", is_flag=True, help="Let all other releases that the key signed fall: that cannot be undone."
)
@project_option
@json_option
def revoke(
    keyid: str, *, reason: str, keep: tuple[Path, ...], keep_no_others: bool, folder: Path, as_json: bool
) -> int:
    """Revoke the key KEYID (or the beginning of it): nothing that it signed counts any more, but the bundles that are kept.

    No date is believed, since who has the key can write any: what still counts is listed by digest. The release key in force
    cannot be revoked: rotate it first.

    Releases in the project's folder of releases and in its repository that the key signed are listed, and nothing is revoked
    unless each is kept, or --keep-no-others says that the rest shall fall. Of a key that was revoked already, further bundles
    are kept by running it again with --keep.
    """
    from devicepipe.stages.key_changes import revoke_key

    project = open_project(folder)
    _tell_changed(project, revoke_key(project, keyid, reason, keep, others=keep_no_others), as_json=as_json)
    return EXIT_OK


@keys.command()
@click.argument("history_folder", metavar="[HISTORY]", required=False, type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), help="The release key to trust (default: the project's).")
@project_option
@json_option
def history(history_folder: Path | None, key: Path | None, folder: Path, as_json: bool) -> int:
    """Show and verify the history of the keys in the folder HISTORY (default: the project's).

    Exit codes: 0 it holds, 2 there is none, 4 it does not hold, or the key that is trusted is none of it or was revoked.
    """
    from devicepipe.evidence.key_history import verify_history
    from devicepipe.evidence.key_proofs import check_change_proofs
    from devicepipe.evidence.key_trust import KeyTrust
    from devicepipe.signing.keys import PublicKey
    from devicepipe.stages.context import public_half

    place = history_folder
    if place is None or key is None:
        project = open_project(folder)
        place = place or project.root / project.keys.history
        public = PublicKey.load(key) if key is not None else public_half(project, "release")
    else:
        public = PublicKey.load(key)
    if public is None:
        raise UsageError("the project has no release key yet", remedy="name the one that you trust: --key")
    found = verify_history(place)
    logged = check_change_proofs(place, found, KeyTrust.of(public, found))
    if as_json:
        print_json(_history_json(found, logged))
    else:
        _tell_history(found, logged)
    return EXIT_OK


def _history_json(history: KeyHistory, logged: dict[int, int]) -> dict[str, Any]:
    return {
        "product": history.product,
        "keys": [
            {
                "role": key.role,
                "keyid": key.public.keyid,
                "scheme": key.public.scheme,
                "since": key.since,
                "until": key.until,
                "revoked": key.revoked,
                "reason": key.reason,
                "kept": sorted(key.kept),
                "inForce": key.in_force,
            }
            for key in history.keys
        ],
        "changes": [
            one.change.to_json() | {"file": one.file, "keyid": one.keyid, "entry": logged.get(one.change.number)}
            for one in history.changes
        ],
    }


def _tell_history(history: KeyHistory, logged: dict[int, int]) -> None:
    tell(f"{history.product}: {counted(len(history.changes), 'change')}", bold=True)
    for one in history.changes:
        change = one.change
        index = logged.get(change.number)
        tell(
            f"  {one.file}  {change.on}  {change.role:10} {change.change:6} {one.keyid}  by {change.by}: {change.reason}"
        )
        if index is None:
            tell("    no proof that it is in the log", fg="yellow")
    for key in history.keys:
        tell(f"{key.role:10} {key.public.keyid}  {_state(key)}", fg=None if key.in_force else "yellow")


def _state(key: KeyLife) -> str:
    if key.revoked is not None:
        return f"REVOKED {key.revoked[:10]} ({key.reason}); {counted(len(key.kept), 'file')} kept"
    if key.until is not None:
        return f"in force until {key.until}"
    return f"in force since {key.since}"


def _tell_changed(project: Project, changed: ChangedKeys, *, as_json: bool) -> None:
    files = [str(path.relative_to(project.root)) for path in changed.files]
    if as_json:
        one = changed.history.changes[-1]
        print_json(one.change.to_json() | {"keyid": one.keyid, "files": files})
        return
    for key in changed.history.keys:
        tell(f"{key.role:10} {key.public.keyid}  {_state(key)}")
    tell(f"commit {', '.join(files)}")
