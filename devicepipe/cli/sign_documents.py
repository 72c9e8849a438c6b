"""`devicepipe sign-documents`: the record copies of a release's documents, with PAdES signatures."""

from __future__ import annotations

from pathlib import Path

import click

from devicepipe.cli.common import counted, json_option, open_project, print_json, project_option, tell
from devicepipe.cli.secrets_in import SecretsIn, secrets_option
from devicepipe.errors import EXIT_OK, UsageError

_RECORD = "documents/record/"


@click.command("sign-documents")
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where to write them."
)
@click.option(
    "--sign-key", required=True, type=click.Path(path_type=Path), help="The signer's RSA key, PKCS #8 in PEM."
)
@click.option(
    "--certificate",
    required=True,
    type=click.Path(path_type=Path),
    help="The key's certificate in PEM, and its issuers'.",
)
@click.option("--reason", required=True, help="Why they are signed, as readers show it.")
@click.option("--encrypted", is_flag=True, help="The key is encrypted: ask for its passphrase.")
@click.option("--key", type=click.Path(path_type=Path), help="The release key to trust (default: the project's).")
@secrets_option
@project_option
@json_option
def sign_documents(
    bundle: Path,
    *,
    output: Path,
    sign_key: Path,
    certificate: Path,
    reason: str,
    encrypted: bool,
    key: Path | None,
    secrets_fd: int | None,
    folder: Path,
    as_json: bool,
) -> int:
    """Sign the record copies (PDF/A-3b) of the documents of BUNDLE (PAdES), and write them into a folder.

    The bundle is verified first and stays as it is: up to the signature, each file is the one in it.

    Exit codes: 0 signed, 2 a key or certificate that cannot sign, or files that are there already, 4 the bundle is not intact.
    """
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.signing.keys import PublicKey
    from devicepipe.signing.pdf import PdfSigner
    from devicepipe.stages.context import open_keys

    if output.resolve().is_relative_to(bundle.resolve()):
        raise UsageError("lies inside the bundle, which is sealed", file=output, remedy="name a folder outside it")
    passphrase = SecretsIn(secrets_fd).ask(f"Passphrase of {sign_key.name}") if encrypted else None
    signer = PdfSigner.load(sign_key, certificate, passphrase)
    public = PublicKey.load(key) if key is not None else open_keys(open_project(folder)).release.public
    verified = verify_bundle(bundle, public)
    names = [name for name in verified.names() if name.startswith(_RECORD) and name.endswith(".pdf")]
    if not names:
        raise UsageError("has no record copies of documents", file=bundle, remedy="make the release anew")
    targets = {name: output / name.removeprefix(_RECORD) for name in names}
    if there := [target for target in targets.values() if target.exists()]:
        raise UsageError("is there already, and is not replaced", file=there[0], remedy="name an empty folder")
    signed = {target: signer.sign(verified.read(name), reason=reason, link=name) for name, target in targets.items()}
    output.mkdir(parents=True, exist_ok=True)
    for target, data in signed.items():
        target.write_bytes(data)
    if as_json:
        print_json({"signer": signer.subject, "files": [str(target) for target in signed]})
    else:
        tell(f"{counted(len(signed), 'document')} signed by {signer.subject} in {output}", fg="green")
    return EXIT_OK
