"""`devicepipe verify-documents`: signed copies of a release's documents, checked by certificates and against the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, IntegrityError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from devicepipe.signing.pdf_check import PdfSignature


_REVISION = b"startxref"


@click.command("verify-documents")
@click.argument("signed", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--bundle",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The release that they are documents of.",
)
@click.option(
    "--certificate", required=True, type=click.Path(path_type=Path), help="What the signer's must lead to, in PEM."
)
@click.option(
    "--tsa-certificates",
    type=click.Path(path_type=Path),
    help="What the time-stamping authority's must lead to, in PEM: each document must have a time-stamp then.",
)
@click.option("--key", type=click.Path(path_type=Path), help="The release key to trust (default: the project's).")
@project_option
@json_option
def verify_documents(
    signed: Path,
    *,
    bundle: Path,
    certificate: Path,
    tsa_certificates: Path | None,
    key: Path | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Check the copies that `sign-documents` wrote into FOLDER, with no network.

    Each is signed once, over all of it, by a certificate that leads to the trusted one; what was signed is the bundle's document
    with the signatures of people that lie beside the bundle: those up to now, or up to the one that was the last then.

    Exit codes: 0 all hold, 2 nothing to check, 4 a copy, the bundle or a signature does not hold; the first is named.
    """
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.signing.keys import PublicKey
    from devicepipe.signing.pdf_check import check_pdf
    from devicepipe.stages.approved_copies import possible_copies
    from devicepipe.stages.context import open_keys

    names = sorted(path.name for path in signed.glob("*.pdf"))
    if not names:
        raise UsageError("has no signed documents", file=signed, remedy="name the folder that sign-documents wrote to")
    trusted = _certificates(certificate)
    authorities = _certificates(tsa_certificates) if tsa_certificates is not None else []
    files = {name: (signed / name).read_bytes() for name in names}
    found = {name: check_pdf(data, trusted, authorities, name) for name, data in files.items()}
    public = PublicKey.load(key) if key is not None else open_keys(open_project(folder)).trust
    states: dict[str, str] = {}
    wanted = dict(files)
    for state, copies in possible_copies(verify_bundle(bundle, public)):
        for name in [name for name, data in wanted.items() if _is_of(data, copies.get(name.removesuffix(".pdf")))]:
            states[name] = state
            del wanted[name]
        if not wanted:
            break
    if wanted:
        raise IntegrityError(
            "is signed, but is no document of this release with the signatures beside it",
            link=min(wanted),
            remedy="name the bundle it was made of, and the devicepipe that made that",
        )
    _tell(found, states, as_json=as_json)
    return EXIT_OK


def _is_of(data: bytes, copy: bytes | None) -> bool:
    """Whether a signed file is that copy and, after it, one revision: that of the signature, which check_pdf found to be last."""
    return copy is not None and data.startswith(copy) and data.count(_REVISION, len(copy)) == 1


def _certificates(path: Path) -> list[x509.Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=path) from error
    except ValueError as error:
        raise UsageError("holds no certificate in PEM", file=path) from error


def _tell(found: dict[str, PdfSignature], states: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "file": name,
                    "signer": one.signer,
                    "stampedOn": one.stamped_on.isoformat() if one.stamped_on else None,
                    "state": states[name] or None,
                }
                for name, one in found.items()
            ]
        )
        return
    for name, one in found.items():
        when = f", stamped on {one.stamped_on:%Y-%m-%d %H:%M:%S} UTC" if one.stamped_on else ""
        shows = f"shows a release that is {states[name]}" if states[name] else "shows no signatures of people"
        tell(f"  {name}: signed by {one.signer}{when}; {shows}")
    tell(f"{counted(len(found), 'document')} of this release, as signed", fg="green")
