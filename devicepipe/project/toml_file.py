"""TOML files that people write, as typed values: a mistake is named by file, line, key and what was expected."""

from __future__ import annotations

import re
import tomllib
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


def kebab(name: str) -> str:
    """The key of a field: `safety-class` for `safety_class`."""
    return name.replace("_", "-")


class Table(BaseModel):
    """Base of every table: frozen, no unknown keys, keys in kebab case, nothing converted.

    TOML has arrays only: a field that is a tuple of tables says `Field(strict=False)`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=kebab, populate_by_name=True, strict=True)


T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A TOML file that was read."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path, *, remedy: str = "") -> TomlFile:
        """Read a file; `remedy` is what to do where it cannot be read.

        Raises:
            UsageError: It cannot be read.
        """
        try:
            return cls(path, path.read_text(encoding="utf-8"))
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
            raise UsageError(f"is not valid TOML: {error}", file=self.path, line=line, remedy=remedy) from error
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise self._mistake(error, model, remedy) from error

    def error(self, message: str, where: Where, *, remedy: str = "") -> UsageError:
        """A UsageError at a key."""
        key = ".".join(str(part) for part in where)
        return UsageError(message, file=self.path, line=line_of(self.text, where), key=key, remedy=remedy)

    def _mistake(self, error: ValidationError, model: type[Table], remedy: str) -> UsageError:
        message, where, known = explain(error, model)
        return self.error(message, where, remedy=known or remedy)


def explain(error: ValidationError, model: type[Table]) -> tuple[str, Where, str]:
    """What to say of a mistake: what is wrong, at which key of the table, and what to do, "" where nothing better is known."""
    first = first_mistake(error)
    where: Where = tuple(part for part in first["loc"] if part != "[key]")
    if first["type"] == _UNKNOWN:
        return "unknown key", where, f"known keys: {', '.join(_known_keys(model, where[:-1])) or 'none'}"
    if first["type"] == _MISSING:
        return "missing key", where, ""
    if first["type"] == "tuple_type" and isinstance(first["input"], dict):
        return f"expected a list of tables: write [[{where[-1]}]]", where, ""
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{message}, found {first['input']!r}", where, ""


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
