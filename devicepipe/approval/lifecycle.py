"""The life of a release, as a pure function of what people signed: draft, candidate, approved, released, withdrawn.

    draft --submit--> candidate --approve (until every threshold is met)--> approved --release--> released --withdraw--> withdrawn
    candidate, approved --reject--> draft          all approvals so far are void
    candidate, approved --retract--> candidate     the signer takes the own approval back
    draft, candidate, approved --withdraw--> withdrawn

What always holds: nothing follows `withdrawn`; a state is reached by signatures alone, and the same signatures give the same state;
an approval counts once a person, in the one role that it was given in, whatever accounts they have had; whoever wrote or ever
submitted a change is never among those who approve it in a role that must be separate (21 CFR 11.10(f) sequencing, 11.10(g)
authority; IEC 62304 5.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from devicepipe.errors import UsageError


class State(StrEnum):
    """Where a release is."""

    DRAFT = "draft"
    CANDIDATE = "candidate"
    APPROVED = "approved"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"

    @property
    def told(self) -> str:
        """What is said of a release that is there: "a draft", "approved"."""
        return f"a {self}" if self in (State.DRAFT, State.CANDIDATE) else str(self)


class Action(StrEnum):
    """What a signature does."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    RETRACT = "retract"
    RELEASE = "release"
    WITHDRAW = "withdraw"


class Role(StrEnum):
    """What a person is to a release. An account can have several; a signature is given in one."""

    ENGINEER = "engineer"
    REVIEWER = "reviewer"
    QA = "qa"
    REGULATORY = "regulatory"
    RELEASE_MANAGER = "release-manager"


FROM: Final[Mapping[Action, frozenset[State]]] = {
    Action.SUBMIT: frozenset({State.DRAFT}),
    Action.APPROVE: frozenset({State.CANDIDATE}),
    Action.REJECT: frozenset({State.CANDIDATE, State.APPROVED}),
    Action.RETRACT: frozenset({State.CANDIDATE, State.APPROVED}),
    Action.RELEASE: frozenset({State.APPROVED}),
    Action.WITHDRAW: frozenset({State.DRAFT, State.CANDIDATE, State.APPROVED, State.RELEASED}),
}
"""The states in which an action may be signed."""

_JUDGES: Final = frozenset({Role.REVIEWER, Role.QA, Role.REGULATORY, Role.RELEASE_MANAGER})
RIGHTS: Final[Mapping[Action, frozenset[Role]]] = {
    Action.SUBMIT: frozenset({Role.ENGINEER, Role.RELEASE_MANAGER}),
    Action.APPROVE: _JUDGES,
    Action.REJECT: _JUDGES,
    Action.RETRACT: _JUDGES,
    Action.RELEASE: frozenset({Role.RELEASE_MANAGER}),
    Action.WITHDRAW: frozenset({Role.QA, Role.REGULATORY, Role.RELEASE_MANAGER}),
}
"""The roles that may sign an action."""


@dataclass(frozen=True, slots=True)
class Act:
    """A signature, as far as it moves a release: what is done, by which account, in which role.

    `person` is whose account it is, by one name for all accounts that they have had; "" where that is the account.
    """

    action: Action
    account: str
    role: Role
    person: str = ""

    @property
    def by(self) -> str:
        """Whose act it is."""
        return self.person or self.account


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """What a release takes to be approved.

    Attributes:
        thresholds: Role -> how many different people must approve in it. Never empty, each at least 1.
        separate: The roles in which neither an author nor who submitted may approve.
    """

    thresholds: Mapping[Role, int] = field(default_factory=lambda: {Role.REVIEWER: 1, Role.QA: 1})
    separate: frozenset[Role] = frozenset({Role.REVIEWER, Role.QA, Role.REGULATORY})

    def __post_init__(self) -> None:
        if not self.thresholds or min(self.thresholds.values()) < 1:
            raise ValueError("a policy asks for at least one approval, and for at least one in each role that it names")
        if wrong := self.thresholds.keys() - RIGHTS[Action.APPROVE]:
            raise ValueError(f"{', '.join(sorted(wrong))} may not approve")


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a release stands: its state, the approvals that count, who wrote the change, and all who ever submitted it.

    Authors and submitters are people, as `Act.by` names them.
    """

    state: State = State.DRAFT
    approvals: tuple[Act, ...] = ()
    authors: frozenset[str] = frozenset()
    submitters: frozenset[str] = frozenset()
    releasable: bool = True

    def missing(self, policy: ApprovalPolicy) -> dict[Role, int]:
        """How many approvals are wanted yet, by role; empty where there are enough."""
        given = [act.role for act in self.approvals]
        wanted = {role: count - given.count(role) for role, count in policy.thresholds.items()}
        return {role: count for role, count in wanted.items() if count > 0}


def objection(standing: Standing, act: Act, policy: ApprovalPolicy) -> str:
    """Why an act may not be signed now, in words; "" where it may."""
    if standing.state not in FROM[act.action]:
        return f"a release that is {standing.state.told} cannot be {_DONE[act.action]}: {_possible(standing.state)}"
    if act.role not in RIGHTS[act.action]:
        return f"{_article(act.role)} may not {act.action}: {' or '.join(sorted(RIGHTS[act.action]))} may"
    if act.action is Action.SUBMIT and not standing.releasable:
        return "a release that is NOT RELEASABLE cannot be submitted"
    own = [one for one in standing.approvals if one.by == act.by]
    if act.action is Action.RETRACT and all(one.role is not act.role for one in own):
        return f"{act.account} has not approved it as {act.role}"
    return _objection_to_approval(standing, act, own, policy) if act.action is Action.APPROVE else ""


def _objection_to_approval(standing: Standing, act: Act, own: list[Act], policy: ApprovalPolicy) -> str:
    if own:
        return f"{act.account} has approved it already, as {own[0].role}: one person is one approval"
    if act.role not in policy.thresholds:
        return f"no approval as {act.role} is asked for: {', '.join(sorted(policy.thresholds))}"
    why = "is an author of the change" if act.by in standing.authors else ""
    why = why or ("submitted it" if act.by in standing.submitters else "")
    return f"{act.account} {why}, and may not approve it as {act.role}" if why and act.role in policy.separate else ""


def after(standing: Standing, act: Act, policy: ApprovalPolicy) -> Standing:
    """Where a release stands when an act has been signed.

    Raises:
        UsageError: It may not be signed now.
    """
    if why := objection(standing, act, policy):
        raise UsageError(why, remedy="see `devicepipe approvals` for where the release stands and what it wants")
    match act.action:
        case Action.SUBMIT:
            return replace(standing, state=State.CANDIDATE, submitters=standing.submitters | {act.by}, approvals=())
        case Action.APPROVE:
            given = replace(standing, approvals=(*standing.approvals, act))
            return given if given.missing(policy) else replace(given, state=State.APPROVED)
        case Action.RETRACT:
            kept = tuple(one for one in standing.approvals if one.by != act.by)
            left = replace(standing, approvals=kept)
            return replace(left, state=State.CANDIDATE if left.missing(policy) else State.APPROVED)
        case Action.REJECT:
            return replace(standing, state=State.DRAFT, approvals=())
        case Action.RELEASE:
            return replace(standing, state=State.RELEASED)
        case Action.WITHDRAW:
            return replace(standing, state=State.WITHDRAWN)


_DONE: Final[Mapping[Action, str]] = {
    Action.SUBMIT: "submitted",
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.RETRACT: "taken an approval back from",
    Action.RELEASE: "released",
    Action.WITHDRAW: "withdrawn",
}


def _possible(state: State) -> str:
    actions = sorted(action for action, states in FROM.items() if state in states)
    return f"what can be signed now: {', '.join(actions)}" if actions else "nothing can be signed any more"


def _article(role: Role) -> str:
    return f"{'an' if role is Role.ENGINEER else 'a'} {role}"
