"""What a rule reads of the evidence: the inputs of a decision, to be shown to who asks why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devicepipe.policy.rule import RuleText

_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PATH = re.compile(r"(?<![\w.])(?:release|board)(?:\s*\.\s*[A-Za-z_]\w*)+(?:\s*\()?")


@dataclass(frozen=True, slots=True)
class Input:
    """A value that a rule reads: its path, e.g. `board.tests.failed`, whether the evidence has it, and what it is there."""

    path: str
    present: bool
    value: Any = None


def inputs(rule: RuleText, variables: Mapping[str, Mapping[str, Any]]) -> tuple[Input, ...]:
    """What a rule reads, in the order in which its expressions name it.

    Args:
        rule: The rule.
        variables: The data by variable: `release` and, in scope "board", `board`.
    """
    found: dict[str, Input] = {}
    for expression in (rule.expression, rule.passed, rule.failed):
        for match in _PATH.finditer(_TEXT.sub("''", expression)):
            parts = [part.strip() for part in match[0].rstrip("( \n").split(".")]
            one = _look_up(parts[:-1] if match[0].endswith("(") else parts, variables)
            found.setdefault(one.path, one)
    return tuple(found.values())


def _look_up(parts: list[str], variables: Mapping[str, Any]) -> Input:
    value: Any = variables
    for length, part in enumerate(parts):
        if not isinstance(value, Mapping):
            return Input(".".join(parts[:length]), present=True, value=value)
        if part not in value:
            return Input(".".join(parts[: length + 1]), present=False)
        value = value[part]
    return Input(".".join(parts), present=True, value=value)
