"""`devicepipe sign-documents`: the record copies of a release's documents, with PAdES signatures and who approved the release."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.trusted_key import trusted_key, trusted_key_options
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.project.config import Project
    from devicepipe.signing.time_stamps import TimeStampAuthority


@click.command("sign-documents")
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write them."
)
@click.option(
    "--sign-key",
    required=True,
    type=click.Path(path_type=Path),
    help="The signer's RSA key, PKCS #8 in PEM; of an encrypted one the passphrase is asked for.",
)
@click.option(
    "--certificate",
    required=True,
    type=click.Path(path_type=Path),
    help="The key's certificate in PEM, and its issuers'.",
)
@click.option("--reason", required=True, help="Why they are signed, as readers show it.")
@click.option("--tsa", metavar="URL", help="The time-stamping authority (default: `tsa` of [approval]).")
@click.option(
    "--tsa-certificates",
    type=click.Path(path_type=Path),
    help="The certificates, in PEM, that the authority's own must lead to.",
)
@trusted_key_options
@project_option
@json_option
def sign_documents(
    bundle: Path,
    *,
    output: Path,
    sign_key: Path,
    certificate: Path,
    reason: str,
    tsa: str | None,
    tsa_certificates: Path | None,
    key: Path | None,
    history: Path | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Sign the record copies (PDF/A-3b) of the documents of BUNDLE (PAdES), and write them into a folder.

    Of a release that people signed, the copies show every signature in their approval block. The bundle is verified first and
    stays as it is: up to the signature, each file is the one in it, or that one with the approval block filled in.

    Where a time-stamping authority is named, here or in devicepipe.toml, each signature has a time-stamp of it (RFC 3161).

    Exit codes: 0 signed, 2 a key or certificate that cannot sign, or files that are there already, 3 the time-stamping authority
    failed, 4 the bundle, its signatures or a time-stamp do not hold.
    """
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.signing.pdf import PdfSigner
    from devicepipe.stages.approved_copies import approved_copies, sealed_copies
    from devicepipe.stages.logged import shown_as_logged
    from devicepipe.stages.standing import signed_standing

    if output.resolve().is_relative_to(bundle.resolve()):
        raise UsageError("lies inside the bundle, which is sealed", file=output, remedy="name a folder outside it")
    project = _project(folder) if key is not None else open_project(folder)
    authority = _authority(tsa, tsa_certificates, project)
    trust = trusted_key(key, history, folder)
    signer = PdfSigner.load(sign_key, certificate)
    verified = verify_bundle(bundle, trust)
    record, _, standing = signed_standing(verified)
    if key is None:
        shown_as_logged(open_project(folder), verified)
    targets = {name: output / f"{name}.pdf" for name in sealed_copies(verified)}
    if there := [target for target in targets.values() if target.exists()]:
        raise UsageError("is there already, and is not replaced", file=there[0], remedy="name an empty folder")
    copies = approved_copies(verified, record, standing) if record.signatures else sealed_copies(verified)
    signed = {
        targets[name]: signer.sign(data, reason=reason, link=f"{name}.pdf", authority=authority)
        for name, data in copies.items()
    }
    _write(signed)
    state = str(standing.state) if record.signatures else None
    if as_json:
        files = [str(target) for target in signed]
        stamped = authority.url if authority else None
        print_json({"signer": signer.subject, "files": files, "state": state, "timeStampedBy": stamped})
        return EXIT_OK
    said = f"{counted(len(signed), 'document')} signed by {signer.subject} in {output}"
    tell(f"{said}, time-stamped by {authority.url}" if authority else said, fg="green")
    if state is not None:
        tell(f"they show the signatures of people: {state.upper()}")
    return EXIT_OK


def _project(folder: Path) -> Project | None:
    """The project that `folder` lies in, where there is one."""
    from devicepipe.project.config import find_project

    try:
        find_project(folder.resolve())
    except UsageError:
        return None
    return open_project(folder)


def _authority(url: str | None, certificates: Path | None, project: Project | None) -> TimeStampAuthority | None:
    """The time-stamping authority of the options, else that of the project."""
    from devicepipe.signing.time_stamps import TimeStampAuthority

    if (url is None) != (certificates is None):
        raise UsageError(
            "a time-stamping authority takes both --tsa and --tsa-certificates",
            remedy="name the certificates that its own must lead to: without them, anybody's time-stamp would do",
        )
    if url is not None and certificates is not None:
        return TimeStampAuthority.load(url, certificates)
    settings = project.approval if project is not None else None
    if project is None or settings is None or settings.tsa is None or settings.tsa_certificates is None:
        return None
    return TimeStampAuthority.load(settings.tsa, project.root / settings.tsa_certificates)


def _write(files: dict[Path, bytes]) -> None:
    """Write files whole, never over others."""
    for target, data in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_bytes(data)
        try:
            os.link(new, target)
        except FileExistsError as error:
            raise UsageError(
                "is there already, and is not replaced", file=target, remedy="name an empty folder"
            ) from error
        finally:
            new.unlink()
