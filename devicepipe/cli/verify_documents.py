"""`devicepipe verify-documents`: signed copies of a release's documents, checked by certificates and against the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, json_option, print_json, project_option, tell
from devicepipe.cli.trusted_key import trusted_key, trusted_key_options
from devicepipe.errors import EXIT_OK, IntegrityError, UsageError

if TYPE_CHECKING:
    from devicepipe.signing.pdf_check import PdfSignature


_PDF = ".pdf"
_MAXIMUM = 256 * 1024 * 1024
"""Of a signed document, in bytes: it is read whole."""
_REMEDY = "name the bundle it was made of, and the devicepipe that made that"


@click.command("verify-documents")
@click.argument("signed", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--bundle",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The release that they are documents of.",
)
@click.option(
    "--certificate",
    required=True,
    type=click.Path(path_type=Path),
    help="What the signer's must lead to, or is, in PEM.",
)
@click.option(
    "--tsa-certificates",
    type=click.Path(path_type=Path),
    help="What the time-stamping authority's must lead to, in PEM: each document must have a time-stamp then.",
)
@trusted_key_options
@project_option
@json_option
def verify_documents(
    signed: Path,
    *,
    bundle: Path,
    certificate: Path,
    tsa_certificates: Path | None,
    key: Path | None,
    history: Path | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Check the copies that `sign-documents` wrote into FOLDER, with no network.

    Each is signed once, over all of it, by a certificate for documents that leads to the trusted one; what was signed is the
    bundle's document with the signatures of people that lie beside the bundle (those up to now, or up to the one that was the
    last then), and the signature added nothing else. Where the release stands now, and
    which documents of it are not in FOLDER, is told.

    Exit codes: 0 all hold, 2 nothing to check, 4 a copy, the bundle or a signature does not hold; the first is named.
    """
    from devicepipe.evidence.files import read_file, shown
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.signing.pdf_certificates import read_certificates
    from devicepipe.signing.pdf_check import check_pdf
    from devicepipe.signing.pdf_revision import check_revision
    from devicepipe.stages.approved_copies import possible_copies, sealed_copies
    from devicepipe.stages.standing import signed_standing

    names = sorted(path.name for path in signed.iterdir() if path.suffix.lower() == _PDF)
    if not names:
        raise UsageError("has no signed documents", file=signed, remedy="name the folder that sign-documents wrote to")
    trusted = read_certificates(certificate)
    authorities = read_certificates(tsa_certificates) if tsa_certificates is not None else []
    verified = verify_bundle(bundle, trusted_key(key, history, folder))
    documents = {f"{name}{_PDF}" for name in sealed_copies(verified)}
    if others := set(names) - documents:
        raise IntegrityError("is no document of this release", link=shown(min(others)), remedy=_REMEDY)
    wanted = {name: read_file(signed, name, _MAXIMUM) for name in names}
    found = {name: check_pdf(data, trusted, authorities, name) for name, data in wanted.items()}
    states: dict[str, str] = {}
    for state, copies in possible_copies(verified):
        for name, data in [*wanted.items()]:
            copy = copies.get(name.removesuffix(_PDF))
            if copy is not None and data.startswith(copy):
                check_revision(data, copy, name)
                states[name] = state
                del wanted[name]
        if not wanted:
            break
    if wanted:
        raise IntegrityError(
            "is signed, but is no document of this release with the signatures beside it",
            link=min(wanted),
            remedy=_REMEDY,
        )
    now = str(signed_standing(verified)[2].state)
    _tell(found, states, sorted(documents - found.keys()), now, as_json=as_json)
    return EXIT_OK


def _tell(
    found: dict[str, PdfSignature], states: dict[str, str], missing: list[str], now: str, *, as_json: bool
) -> None:
    from devicepipe.approval.lifecycle import State
    from devicepipe.evidence.files import shown

    if as_json:
        documents = [
            {
                "file": name,
                "signer": one.signer,
                "stampedOn": one.stamped_on.isoformat() if one.stamped_on else None,
                "state": states[name] or None,
            }
            for name, one in found.items()
        ]
        print_json({"documents": documents, "missing": missing, "state": now})
        return
    if now == "withdrawn":
        tell("the release was withdrawn", fg="red")
    for name, one in found.items():
        when = f", stamped on {one.stamped_on:%Y-%m-%d %H:%M:%S} UTC" if one.stamped_on else ""
        shows = f"shows a release that is {states[name]}" if states[name] else "shows no signatures of people"
        tell(f"  {name}: signed by {shown(one.signer)}{when}; {shows}")
    count = len(found) + len(missing)
    tell(f"{len(found)} of {counted(count, 'document')} of this release, as signed", fg="green")
    if others := {*states.values()} - {"", now}:
        before = " or ".join(State(one).told for one in sorted(others))
        tell(f"the release is {State(now).told} now, no longer {before}", fg="yellow")
    if missing:
        tell(f"not here: {', '.join(missing)}", fg="yellow")
