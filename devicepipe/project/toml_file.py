"""TOML files that people write, as typed values: a mistake is named by file, line, key and what was expected."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from devicepipe.errors import UsageError
from devicepipe.project.toml_lines import line_of

Where = tuple[str | int, ...]
"""A key: path of keys and array-of-tables indexes, e.g. ("board", 1, "manifest")."""

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

_UNKNOWN, _MISSING = "extra_forbidden", "missing"
_PATTERNS: dict[str, str] = {}
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@]*:[^\s/@]*@", re.IGNORECASE)
_OF_KEY = re.compile(r"([a-z][a-z0-9-]*): ")


def matching(pattern: str, words: str, *, max_length: int | None = None) -> StringConstraints:
    """What a text must match: `words` say it to whom wrote another one."""
    _PATTERNS[pattern] = words
    return StringConstraints(pattern=pattern, max_length=max_length)


def kebab(name: str) -> str:
    """The key of a field: `safety-class` for `safety_class`."""
    return name.replace("_", "-")


class Table(BaseModel):
    """Base of every table: frozen, no unknown keys, keys in kebab case, nothing converted.

    TOML has arrays only: a field that is a tuple of tables says `Field(strict=False)`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=kebab, populate_by_name=True, strict=True, defer_build=True
    )


T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A TOML file that was read; `advice` is what to do about a mistake in it that no better remedy is known for."""

    path: Path
    text: str
    advice: str = ""

    @classmethod
    def read(cls, path: Path, *, remedy: str = "", advice: str = "") -> TomlFile:
        """Read a file; `remedy` is what to do where it cannot be read, `advice` about a mistake in it.

        Raises:
            UsageError: It cannot be read.
        """
        try:
            return cls(path, path.read_text(encoding="utf-8"), advice)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot be read: {error}", file=path, remedy=remedy) from error

    def parse(self, model: type[T], *, remedy: str = "") -> T:
        """The content as a typed value; `remedy` is what to do about a mistake that no better one is known for.

        Raises:
            UsageError: It is not TOML, or has a wrong, unknown or missing key.
        """
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            line = int(found[1]) if found else len(self.text.splitlines())
            said = str(error).replace("Cannot overwrite a value", "a key or table stands here that is there already")
            raise UsageError(
                f"is not valid TOML: {said}", file=self.path, line=line, remedy=remedy or self.advice
            ) from error
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise self._mistake(error, model, remedy) from error

    def refuse_passwords(self) -> None:
        """See that no value is a URL with a password. Call it of a file that is TOML.

        Raises:
            UsageError: One is; it is not repeated.
        """
        for where, text in _texts(tomllib.loads(self.text)):
            if _PASSWORD_IN_URL.search(text):
                raise self.error(
                    "is a URL that holds a password or a key, and this file lies in every bundle",
                    where,
                    remedy="take it out and change it; let what uses it find it in the environment or in its own settings",
                )

    def error(self, message: str, where: Where, *, remedy: str = "") -> UsageError:
        """A UsageError at a key."""
        key = ".".join(str(part) for part in where)
        name = self._name(where)
        if name and f"'{name}'" not in message:
            message = f"{message} ({where[0]} '{name}')"
        return UsageError(
            message, file=self.path, line=line_of(self.text, where), key=key, remedy=remedy or self.advice
        )

    def _name(self, where: Where) -> str:
        """How people know the table of an array that a key is in, e.g. a device's id; "" where it has no such key."""
        match where:
            case (str() as array, int() as index, *keys) if keys not in (["id"], ["name"]):
                try:
                    entry = tomllib.loads(self.text)[array][index]
                    return str(entry.get("id", entry.get("name", "")))
                except (tomllib.TOMLDecodeError, LookupError, TypeError, AttributeError):
                    return ""
        return ""

    def _mistake(self, error: ValidationError, model: type[Table], remedy: str) -> UsageError:
        message, where, known = explain(error, model)
        return self.error(message, where, remedy=known or remedy)


def _texts(value: Any, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """Every text in a value of TOML, with its key."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*where, key))


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[str, Where, str]:
    """What to say of a mistake: what is wrong, at which key of the table, and what to do, "" where nothing better is known."""
    first = first_mistake(error)
    where: Where = tuple(part for part in first["loc"] if part != "[key]")
    if first["type"] == _UNKNOWN:
        return "unknown key", where, f"known keys: {', '.join(_known_keys(model, where[:-1])) or 'none'}"
    if first["type"] == _MISSING:
        return "missing key", where, ""
    if first["type"] == "tuple_type" and isinstance(first["input"], dict):
        return f"expected a list of tables: write [[{where[-1]}]]", where, ""
    if first["type"] == "value_error" and isinstance(first["input"], dict):
        # It is about more than one key of a table, and names the one to look at.
        message = _plain(first["msg"])
        key = _OF_KEY.match(message)
        return (message[key.end() :], (*where, key[1]), "") if key else (message, where, "")
    return _expected(first), where, ""


def _expected(first: Any) -> str:
    """What was expected of a value, and what was found, in words of TOML."""
    kind, found, message = first["type"], first["input"], _plain(first["msg"])
    if kind == "too_short":
        return f"expected at least {_entries(first['ctx']['min_length'])}"
    if kind == "date_type" and isinstance(found, str) and _is_date(found):
        return f"expected a date, found a text: write {found} without quotes"
    if kind == "tuple_type":
        message = "expected a list: […]"
    elif kind == "string_pattern_mismatch" and first["ctx"]["pattern"] in _PATTERNS:
        message = f"expected {_PATTERNS[first['ctx']['pattern']]}"
    return f"{message}, found {'a table' if isinstance(found, dict) else _as_toml(found)}"


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "expected")


def _entries(number: int) -> str:
    return "one entry" if number == 1 else f"{number} entries"


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _as_toml(value: Any) -> str:
    """A value about as it stands in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return repr(value)


def first_mistake(error: ValidationError) -> Any:
    """The mistake to tell of: a misspelt key is both unknown and missing, and the unknown one is where the user has to look."""
    return min(error.errors(), key=lambda each: each["type"] != _UNKNOWN)


def _known_keys(model: type[BaseModel], where: Where) -> list[str]:
    """The keys of the table at `where`."""
    for part in where:
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                model = _table_in(field.annotation) or model
    return sorted(field.alias or name for name, field in model.model_fields.items())


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a field holds, be it alone, optional or in an array."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)
