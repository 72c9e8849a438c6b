"""[policy] of devicepipe.toml: which rule sets judge a release, and what the product changes about them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from devicepipe.project.toml_file import Table, Text

DEFAULT_RULE_SET = "release"

Role = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
"""What a person is in the company, e.g. "quality": what a waiver says, or an account has (evidence/personal_waivers.py)."""


class RuleChange(Table):
    """[[policy.change]] (and [[change]] of a rule set): a rule that is left out, or judges otherwise; and why."""

    rule: Text
    severity: Literal["error", "warning"] | None = None
    leave_out: bool = False
    waivable_by: tuple[Role, ...] | None = Field(default=None, strict=False)
    reason: Text

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        others = self.severity is not None or self.waivable_by is not None
        if self.leave_out == others:
            raise ValueError("a change says either leave-out = true, or severity, waivable-by or both")
        return self


class PolicySettings(Table):
    """[policy]: what judges a release, and who waives.

    Attributes:
        rule_sets: The rule sets, by the name of one that devicepipe brings along or the path of a file.
        waivers: The folder of waivers.
        waivers_by: Whether they must be signed by the accounts of people, or may be by whoever holds the release key.
        change: What the product changes about rules.
    """

    rule_sets: tuple[Text, ...] = Field(default=(DEFAULT_RULE_SET,), min_length=1, strict=False)
    waivers: Text = "policy/waivers"
    waivers_by: Literal["account", "release-key"] = "release-key"
    change: tuple[RuleChange, ...] = Field(default=(), strict=False)


def is_path(rule_set: str) -> bool:
    """Whether a rule set is named by a path, and not by the name of one that devicepipe brings along."""
    return "/" in rule_set or rule_set.endswith(".toml")
