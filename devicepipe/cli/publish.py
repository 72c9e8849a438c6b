"""`devicepipe publish` and `unpublish`: a person's signature, and the repository brought into the state that it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, note, open_project, print_json, project_option, tell
from devicepipe.cli.secrets_in import secrets_option
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.distribution.releases import PublishedState
    from devicepipe.evidence.signatures import Given


def _publishing(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def made(function: Callable[..., Any]) -> Callable[..., Any]:
        for one in (
            json_option,
            project_option,
            secrets_option,
            click.option("--role", help="What you sign as (default: the one role of yours that may)."),
            click.option("--as", "account", metavar="ID", help="Your account; not needed where it is signed already."),
            click.option("--meaning", help=f"What your signature means, e.g. {words}."),
            click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path)),
        ):
            function = one(function)
        return function

    return made


@click.command()
@_publishing('"Released to the field"')
def publish(bundle: Path, folder: Path, as_json: bool, **who: Any) -> int:
    """Publish the approved release BUNDLE in the product's repository (docs/reference/publication.md).

    Before anybody is asked for a secret, bundle, signatures, what ships of it (`devicepipe production`) and the repository are
    verified. A release manager's signature then releases it, its files are published, and the log is told. If it was
    interrupted, run it again: it finishes, and asks for no second signature.

    Exit codes: 0 published (or was already), 2 it may not be published now or by you, 3 the repository cannot be used, 4 the
    bundle, what ships, or the repository does not hold.
    """
    from devicepipe.cli.approve import tell_unlogged
    from devicepipe.evidence.production import verify_production
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.stages import publication
    from devicepipe.stages.context import open_keys
    from devicepipe.stages.logged import logged_standing

    project = open_project(folder)
    note(f"verifying {bundle}")
    verified = verify_bundle(bundle, open_keys(project).trust)
    state = logged_standing(project, verified)[1].state
    if state not in ("approved", "released"):
        raise UsageError(
            f"{verified.release.product} {verified.release.version} is {state.told}: only an approved release is published",
            file=bundle,
            remedy=f"see `devicepipe approvals {bundle}` for where it stands",
        )
    repository = publication.open_repository(project)
    production = verify_production(verified)
    publication.check_publishable(project, repository, verified)
    given = _sign(project, verified, "release", **who) if state != "released" else None
    tell_unlogged(verified)
    done = publication.publish(project, repository, verified, production)
    _told(*done, repository.store.url, given, as_json=as_json)
    return EXIT_OK


@click.command()
@_publishing('"Field report 7: alarms without cause"')
def unpublish(bundle: Path, folder: Path, as_json: bool, **who: Any) -> int:
    """Withdraw the published release BUNDLE for good, and have the repository say so.

    Its images are no longer targets of the repository, and `devicepipe pull` refuses it by name. No file is removed from the
    repository. It works although a key of the release was revoked. If it was interrupted, or the release was withdrawn by
    `devicepipe withdraw`, run it (again): it finishes.

    Exit codes: 0 withdrawn (or was already), 2 it is not published, or may not be withdrawn by you, 3 the repository cannot be
    used, 4 the bundle or the repository does not hold.
    """
    from devicepipe.cli.approve import tell_unlogged
    from devicepipe.stages import publication
    from devicepipe.stages.logged import logged_standing, verify_to_withdraw

    project = open_project(folder)
    note(f"verifying {bundle}")
    verified = verify_to_withdraw(project, bundle)
    repository = publication.open_repository(project)
    publication.check_publishable(project, repository, verified)
    if not publication.is_published(project, repository, verified):
        raise UsageError(
            f"{verified.release.product} {verified.release.version} is not published in {repository.store.url}",
            remedy="to withdraw a release that was not published: `devicepipe withdraw`",
        )
    signed = logged_standing(project, verified)[1].state == "withdrawn"
    given = None if signed else _sign(project, verified, "withdraw", **who)
    tell_unlogged(verified)
    done = publication.publish(project, repository, verified, None)
    _told(*done, repository.store.url, given, as_json=as_json)
    return EXIT_OK


def _sign(project: Any, verified: Any, action: str, **who: Any) -> Given:
    from devicepipe.cli.approve import sign_as

    for key, option in (("account", "--as"), ("meaning", "--meaning")):
        if not who[key]:
            raise UsageError(f"{option} is missing: a signature is wanted", remedy="--as ID --meaning TEXT")
    return sign_as(project, verified, action, **who)[0]


def _told(state: PublishedState, changed: bool, url: str, given: Given | None, *, as_json: bool) -> None:
    from devicepipe.cli.approve import tell_signed

    if as_json:
        signed = given.signature.to_json() | {"file": given.file} if given is not None else None
        print_json(state.to_json() | {"changed": changed, "repository": url, "signed": signed})
        return
    if given is not None:
        tell_signed(given)
    done = "published" if state.state == "released" else "withdrawn"
    tell(f"{state.product} {state.version} {'is' if changed else 'was already'} {done} in {url}", fg="green", bold=True)
