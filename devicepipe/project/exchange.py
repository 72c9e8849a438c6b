"""[traceability] of devicepipe.toml, where it is about other tools: items that stay with them, their test results, and mappings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from devicepipe.project.toml_file import Table, Text, matching


class TraceMapping(Table):
    r"""[traceability.mapping], or a file of its own: what another tool's words are called here.

    Attributes:
        types: Its item type, or the prefix of its ids, which counts first → our type; "-" leaves such items out, as prose.
        links: Its kind of link → ours; "-" leaves it out. What is not here goes by its own name, or by the types that it joins.
        fields: Its attribute → the name of a field, `title` or `text`; "-" leaves it out.
        ids: Pattern of its ids → what becomes of them, with \1 for the first group; the first that matches the whole id counts.
    """

    types: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    fields: dict[str, str] = Field(default_factory=dict)
    ids: dict[str, str] = Field(default_factory=dict)


class TraceSource(Table):
    """[[traceability.source]]: items that stay in another tool's files and are read there, on every check and release.

    Attributes:
        format: The importer's name.
        path: Its file or folder.
        mapping: A file of mappings; left out, [traceability.mapping].
        options: Settings of the importer.
        strict: Whether something that cannot be carried is an error.
    """

    format: Text
    path: Text
    mapping: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False


class TraceResults(Table):
    """[[traceability.results]]: the results of another test framework, which count as evidence.

    Attributes:
        name: What its tests are called in the matrix, before their own names.
        format: `junit`.
        path: The file, or a pattern of files ("build/*.xml"), relative to the project's root.
        command: What makes them: run in the released sources, before the files are read there. Without it the files are those of
            the working tree, and must say themselves of which commit they are.
        properties: The names of the properties (of a case, or of its suite) that hold the ids of the items that it verifies.
        items: A pattern with one group that finds ids of items in a case's name.
        timeout: The longest that the command may take, in seconds.
    """

    name: Annotated[str, matching(r"^[a-z0-9][a-z0-9._-]*$", "small letters, digits, '.', '_' and '-'", max_length=64)]
    format: Literal["junit"] = "junit"
    path: Text
    command: tuple[str, ...] = Field(default=(), strict=False)
    properties: tuple[str, ...] = Field(default=("verifies", "requirement", "requirements", "item"), strict=False)
    items: str | None = None
    timeout: int = Field(default=600, gt=0)

    @model_validator(mode="after")
    def _pattern(self) -> Self:
        if self.items is not None:
            try:
                groups = re.compile(self.items).groups
            except re.error as error:
                raise ValueError(f"items: is no pattern: {error}") from error
            if groups != 1:
                raise ValueError(f"items: expected a pattern with one group, found {groups}")
        return self
