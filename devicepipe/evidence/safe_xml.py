"""Reading XML without trusting it: no document type, so no entities, external references or "billion laughs"."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from devicepipe.errors import UsageError

_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def parse_xml(data: bytes, path: Path) -> Any:
    """The root element of an XML document (lxml), comments and processing instructions left out.

    Args:
        data: The document.
        path: Its file, for errors.

    Raises:
        UsageError: It is not well-formed, or has a document type; with the line.
    """
    from lxml import etree

    refused = "has a document type, which may hold entities and external references: refused"
    remedy = "remove the <!DOCTYPE …> declaration"
    if found := _DOCTYPE.search(data):
        line = data.count(b"\n", 0, found.start()) + 1
        raise UsageError(refused, file=path, line=line, remedy=remedy)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UsageError(f"is not well-formed XML: {error.msg}", file=path, line=error.lineno or 1) from error
    except ValueError as error:
        raise UsageError(f"is not XML: {error}", file=path, line=1) from error
    if root.getroottree().docinfo.doctype:  # in an encoding that hid it above
        raise UsageError(refused, file=path, line=1, remedy=remedy)
    return root


def local_name(element: Any) -> str:
    """The name of an element without its namespace."""
    name: str = element.tag
    return name.rpartition("}")[2]


def children(element: Any) -> list[Any]:
    """The elements inside an element; none of None."""
    return [] if element is None else [one for one in element if isinstance(one.tag, str)]


def child(element: Any, name: str) -> Any:
    """The first element of that name inside an element, or None."""
    return next((one for one in children(element) if local_name(one) == name), None)
