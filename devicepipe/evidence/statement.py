"""in-toto Statements (v1): what an attestation says of which files.

What always holds of a `Statement`: at least one subject, each a file of the bundle by name with its SHA-256, none twice.
A statement has exactly one text: RFC 8785 canonical JSON, or the release statement's fixed pretty form. A text that differs
from what its content would be written as (white space, order, duplicate keys, number forms) is refused, so that two readers can
never understand it differently.

Source: in-toto attestation framework, spec/v1/statement.md; RFC 8785.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import rfc8785
from pydantic import ValidationError

from devicepipe.errors import IntegrityError
from devicepipe.evidence.model import Model
from devicepipe.evidence.names import RULE, clash, is_name
from devicepipe.evidence.predicates import STATEMENT_TYPE, Digest, Subject

MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_DEPTH = 64
MAXIMUM_SUBJECTS = 20_000

P = TypeVar("P", bound=Model)

_KEYS = {"_type", "subject", "predicateType", "predicate"}


class Statement(Model):
    """A statement: its subjects, the predicate's type and the predicate as JSON data."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]

    def digest_of(self, name: str) -> str | None:
        """The SHA-256 that the statement gives for a file; None if the file is not among its subjects."""
        for subject in self.subjects:
            if subject.name == name:
                return subject.digest.sha256
        return None


def make_statement(
    predicate_type: str, predicate: Model | Mapping[str, Any], digests: Mapping[str, str], link: str
) -> Statement:
    """A statement about files, sorted by name.

    Args:
        predicate_type: The predicate's type URI.
        predicate: A predicate of `predicates.py`, or JSON data (an SBOM).
        digests: SHA-256 by file name.
        link: What the statement is called in errors.

    Raises:
        IntegrityError: No subject, a bad name, or names that differ in case alone.
    """
    data = predicate.to_json() if isinstance(predicate, Model) else dict(predicate)
    subjects = tuple(Subject(name=name, digest=Digest(sha256=digests[name])) for name in sorted(digests))
    _check_subjects([subject.name for subject in subjects], link)
    return Statement(subjects=subjects, predicate_type=predicate_type, predicate=data)


def canonical_text(statement: Statement) -> bytes:
    """The statement as RFC 8785 canonical JSON."""
    return canonical(_to_data(statement))


def pretty_text(statement: Statement) -> bytes:
    """The statement in the release statement's form: sorted keys, two spaces, UTF-8, one newline at the end."""
    return _pretty(_to_data(statement))


def parse_canonical(text: bytes, link: str) -> Statement:
    """Read a statement written by `canonical_text`.

    Raises:
        IntegrityError: Anything else, naming `link`.
    """
    data = strict_json(text, link)
    try:
        same = canonical(data) == text
    except ValueError:
        same = False
    return _of_data(data, same=same, link=link)


def parse_pretty(text: bytes, link: str) -> Statement:
    """Read a statement written by `pretty_text`.

    Raises:
        IntegrityError: Anything else, naming `link`.
    """
    data = strict_json(text, link)
    return _of_data(data, same=_pretty(data) == text, link=link)


def read_predicate(data: Mapping[str, Any], model: type[P], link: str) -> P:
    """A predicate as a typed value.

    The data must be exactly what the value is written as: pydantic takes 1 or "yes" for true, and other readers do not.

    Raises:
        IntegrityError: The data are not of the model, or another spelling of the value; names `link`.
    """
    try:
        value = model.from_json(data)
    except ValidationError as error:
        raise IntegrityError(f"its predicate is wrong: {_first(error)}", link=link) from error
    try:
        same = canonical(value.to_json()) == canonical(data)
    except ValueError:
        same = False
    if not same:
        raise IntegrityError("its predicate is not in the form that its values are written in", link=link)
    return value


def canonical(data: object) -> bytes:
    """JSON data as RFC 8785 canonical JSON; ValueError where it has no such form."""
    text: bytes = rfc8785.dumps(data)  # type: ignore[arg-type]  # checked by itself at run time
    return text


def strict_json(text: bytes, link: str) -> Any:
    """Read JSON of bounded size and depth, without duplicate keys, NaN or lone surrogates.

    Raises:
        IntegrityError: It is not such JSON.
    """
    if len(text) > MAXIMUM_BYTES:
        raise IntegrityError(f"is larger than {MAXIMUM_BYTES} bytes", link=link)
    try:
        data = json.loads(text.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"is not strict JSON: {str(error)[:200]}", link=link) from error
    level: list[Any] = [data]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return data
    raise IntegrityError(f"is nested deeper than {MAXIMUM_DEPTH} levels", link=link)


def _children(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _pretty(data: object) -> bytes:
    return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _to_data(statement: Statement) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [subject.to_json() for subject in statement.subjects],
        "predicateType": statement.predicate_type,
        "predicate": statement.predicate,
    }


def _of_data(data: Any, *, same: bool, link: str) -> Statement:
    if not isinstance(data, dict) or set(data) != _KEYS or data["_type"] != STATEMENT_TYPE:
        raise IntegrityError(f"is not an in-toto statement of type {STATEMENT_TYPE}", link=link)
    subjects = data["subject"]
    if not isinstance(subjects, list) or len(subjects) > MAXIMUM_SUBJECTS:
        raise IntegrityError(f"expected a list of at most {MAXIMUM_SUBJECTS} subjects", link=link)
    if not same:
        raise IntegrityError("is not in canonical form: its bytes are not what its content is written as", link=link)
    try:
        statement = Statement(
            subjects=tuple(Subject.from_json(subject) for subject in subjects),
            predicate_type=data["predicateType"],
            predicate=data["predicate"],
        )
    except ValidationError as error:
        raise IntegrityError(f"is not a statement of ours: {_first(error)}", link=link) from error
    _check_subjects([subject.name for subject in statement.subjects], link)
    return statement


def _first(error: ValidationError) -> str:
    """Place and message of the first thing that is wrong."""
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _check_subjects(names: list[str], link: str) -> None:
    if not names:
        raise IntegrityError("has no subject", link=link)
    for name in names:
        if not is_name(name):
            raise IntegrityError(f"has a subject with the name {name[:200]!r}; expected {RULE}", link=link)
    if names != sorted(names):
        raise IntegrityError("its subjects are not sorted by name", link=link)
    if twin := clash(names):
        raise IntegrityError(f"has the subject {twin!r} twice, or beside one that differs in case alone", link=link)
