"""The cross links of the search for secrets: it covered all sources and images, and both keys of the project."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation, Bundle
from devicepipe.evidence.checks import Link, same
from devicepipe.evidence.layout import SOURCE_FILES
from devicepipe.evidence.predicates import SourceInfo
from devicepipe.evidence.secrets import OWN_KEY, Secrets


def check_secrets(bundle: Bundle, attestation: Attestation, source: SourceInfo) -> Link:
    """Check the search for secrets.

    Raises:
        IntegrityError: It left out sources, images or a key, is proven by a tool that did not run, or allows an own key.
    """
    secrets, link = attestation.read(Secrets), attestation.path
    lines = bundle.read(SOURCE_FILES).decode("utf-8", "replace").splitlines()
    same("number of source files", secrets.source_files, len(lines), link, SOURCE_FILES)
    images = sorted(name for name in bundle.names() if name.startswith("images/"))
    same("list of images", secrets.images, images, link, "the bundle")
    for name in (SOURCE_FILES, *images):
        if attestation.statement.digest_of(name) is None:
            raise IntegrityError(f"is not about {name}, which it should be", link=link)
    keys = {key.role: key.keyid for key in secrets.keys}
    same("keys", keys, {"image": source.image_key.keyid, "release": source.release_key.keyid}, link, "the source")
    ran = {tool.name for tool in secrets.tools}
    if wrong := sorted((secrets.proven_on.keys() | {one.tool for one in secrets.findings}) - ran):
        raise IntegrityError(f"has something of {wrong[0]}, which did not run", link=link)
    for one in secrets.findings:
        if one.allowed is not None and (one.place != "source" or one.rule == OWN_KEY):
            raise IntegrityError(f"allows {one.rule} in {one.file}, which nothing can allow", link=link)
    return Link(link, f"{len(lines)} source files, {len(images)} files below images/ and both keys were searched")
