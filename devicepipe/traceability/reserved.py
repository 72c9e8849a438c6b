"""Names of fields that have a meaning of their own in some format: they go out, and come back, with `field-` before them."""

from __future__ import annotations

PREFIX = "field-"
_TABLES = "id type title text foreign-id"
_DOORSTOP = "active derived header level links normative ref references reviewed item-type"
_STRICTDOC = "mid statement files"
_NEEDS = (
    "content description docname doctype lineno lineno-content section-name sections parts tags layout style hide hide-status "
    "hide-tags collapse arch template pre-template post-template content-id content-node external-css external-url is-external "
    "is-import is-modified is-need is-part type-color type-prefix type-style type-name id-prefix id-parent id-complete full-title "
    "max-amount max-content-lines max-title-length jinja-content modifications has-dead-links has-forbidden-dead-links tags-str "
    "constraints constraints-passed constraints-results constraints-error parent-needs-computed id-parts target-id "
    "signature-name pre-content post-content"
)
_MLX = "class nocaptions captions hidetype trace backtrace traces"
_TAKEN = frozenset(f"{_TABLES} {_DOORSTOP} {_STRICTDOC} {_NEEDS} {_MLX}".split())


def outward(key: str) -> str:
    """The name under which a field of ours goes out."""
    return f"{PREFIX}{key}" if _is_taken(key) else key


def inward(key: str) -> str:
    """The field of ours that goes out under that name."""
    rest = key.removeprefix(PREFIX)
    return rest if key.startswith(PREFIX) and _is_taken(rest) else key


def _is_taken(key: str) -> bool:
    # StrictDoc's grammar takes no names that begin with the last two.
    return key in _TAKEN or key.startswith((PREFIX, "uid", "relations"))
