"""The life of a release: every step that may follow, every one that may not, and what holds of any sequence of signatures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.approval.lifecycle import (
    FROM,
    RIGHTS,
    Act,
    Action,
    ApprovalPolicy,
    Role,
    Standing,
    State,
    after,
    objection,
)
from devicepipe.errors import UsageError

POLICY = ApprovalPolicy()
SUBMITTED = Act(Action.SUBMIT, "eva", Role.ENGINEER)
REVIEWED = Act(Action.APPROVE, "ron", Role.REVIEWER)
ACCEPTED = Act(Action.APPROVE, "quinn", Role.QA)
RELEASED = Act(Action.RELEASE, "rita", Role.RELEASE_MANAGER)
WITHDRAWN = Act(Action.WITHDRAW, "quinn", Role.QA)
REJECTED = Act(Action.REJECT, "quinn", Role.QA)

LIVES: dict[str, tuple[list[Act], State]] = {
    "nothing signed": ([], State.DRAFT),
    "submitted": ([SUBMITTED], State.CANDIDATE),
    "one of two approvals": ([SUBMITTED, REVIEWED], State.CANDIDATE),
    "both approvals": ([SUBMITTED, REVIEWED, ACCEPTED], State.APPROVED),
    "in the other order": ([SUBMITTED, ACCEPTED, REVIEWED], State.APPROVED),
    "released": ([SUBMITTED, REVIEWED, ACCEPTED, RELEASED], State.RELEASED),
    "withdrawn when it was out": ([SUBMITTED, REVIEWED, ACCEPTED, RELEASED, WITHDRAWN], State.WITHDRAWN),
    "withdrawn as a draft": ([WITHDRAWN], State.WITHDRAWN),
    "rejected": ([SUBMITTED, REVIEWED, REJECTED], State.DRAFT),
    "rejected when it was approved": ([SUBMITTED, REVIEWED, ACCEPTED, REJECTED], State.DRAFT),
    "rejected and submitted again: all approvals anew": ([SUBMITTED, REVIEWED, REJECTED, SUBMITTED, ACCEPTED], State.CANDIDATE),
    "an approval taken back": ([SUBMITTED, REVIEWED, ACCEPTED, Act(Action.RETRACT, "ron", Role.REVIEWER)], State.CANDIDATE),
}  # fmt: skip


def replay(acts: Iterable[Act], policy: ApprovalPolicy, authors: Iterable[str] = ()) -> Standing:
    """Where a release stands after all that was signed, in that order."""
    standing = Standing(authors=frozenset(authors))
    for act in acts:
        standing = after(standing, act, policy)
    return standing


@pytest.mark.parametrize("life", LIVES)
def test_signatures_lead_where_they_should(life: str) -> None:
    acts, state = LIVES[life]
    assert replay(acts, POLICY).state is state


REFUSED: dict[str, tuple[list[Act], Act, str]] = {
    # what is wrong: (signed before, the act, part of the reason)
    "approved before it was submitted": ([], REVIEWED, "that is a draft cannot be approved: what can be signed now: submit"),
    "released without approvals": ([SUBMITTED], RELEASED, "a release that is a candidate cannot be released"),
    "released with one approval missing": ([SUBMITTED, REVIEWED], RELEASED, "cannot be released"),
    "submitted twice": ([SUBMITTED], SUBMITTED, "cannot be submitted"),
    "anything after it was withdrawn": ([WITHDRAWN], SUBMITTED, "nothing can be signed any more"),
    "rejected when it is out": ([SUBMITTED, REVIEWED, ACCEPTED, RELEASED], REJECTED, "cannot be rejected"),
    "approved by an engineer": ([SUBMITTED], Act(Action.APPROVE, "eva", Role.ENGINEER), "an engineer may not approve"),
    "released by QA": ([SUBMITTED, REVIEWED, ACCEPTED], Act(Action.RELEASE, "quinn", Role.QA), "may not release: release-manager"),
    "one person in two roles": ([SUBMITTED, REVIEWED], Act(Action.APPROVE, "ron", Role.QA), "has approved it already, as reviewer"),
    "approved by who submitted": ([SUBMITTED], Act(Action.APPROVE, "eva", Role.QA), "eva submitted it"),
    "approved by an author": ([SUBMITTED], Act(Action.APPROVE, "ada", Role.QA), "ada is an author of the change"),
    "a role that is not asked for": ([SUBMITTED], Act(Action.APPROVE, "reg", Role.REGULATORY), "no approval as regulatory"),
    "an approval taken back by another": (
        [SUBMITTED, REVIEWED], Act(Action.RETRACT, "quinn", Role.QA), "quinn has not approved it as qa"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_may_not_be_signed_is_refused_with_the_reason(what: str) -> None:
    before, act, reason = REFUSED[what]
    standing = replay(before, POLICY, authors={"ada"})
    assert reason in objection(standing, act, POLICY)
    with pytest.raises(UsageError):
        after(standing, act, POLICY)


@pytest.mark.parametrize("thresholds", [{}, {Role.QA: 0}, {Role.ENGINEER: 1}], ids=["none", "nobody", "who may not"])
def test_a_policy_that_asks_for_nothing_or_for_the_impossible_is_none(thresholds: dict[Role, int]) -> None:
    with pytest.raises(ValueError, match=r"at least one|may not approve"):
        ApprovalPolicy(thresholds)


def test_every_action_has_states_and_roles() -> None:
    assert FROM.keys() == RIGHTS.keys() == {*Action}
    assert all(FROM[action] and RIGHTS[action] for action in Action)
    assert not any(State.WITHDRAWN in states for states in FROM.values())


PEOPLE = ("ada", "eva", "ron", "quinn", "rita")
acts = st.builds(Act, st.sampled_from(Action), st.sampled_from(PEOPLE), st.sampled_from(Role))
policies = st.builds(
    ApprovalPolicy,
    st.dictionaries(st.sampled_from(sorted(RIGHTS[Action.APPROVE])), st.integers(1, 2), min_size=1),
    st.frozensets(st.sampled_from(Role)),
)


@given(st.lists(acts, max_size=60), policies)
def test_whatever_is_tried_what_always_holds_holds(tried: list[Act], policy: ApprovalPolicy) -> None:
    standing, signed = Standing(authors=frozenset({"ada"})), []
    for act in tried:
        if objection(standing, act, policy):
            continue
        before, standing = standing, after(standing, act, policy)
        signed.append(act)
        assert before.state is not State.WITHDRAWN
        people = [one.account for one in standing.approvals]
        assert len(people) == len({*people})
        for one in standing.approvals:
            if one.role in policy.separate:
                assert one.account not in {"ada", *standing.submitters}
        if standing.state in (State.APPROVED, State.RELEASED):
            assert not standing.missing(policy)
        if standing.state is State.RELEASED:
            assert before.state is State.APPROVED
            assert act.role is Role.RELEASE_MANAGER
    assert replay(signed, policy, authors={"ada"}) == standing


@given(st.permutations([REVIEWED, ACCEPTED, Act(Action.APPROVE, "reg", Role.REGULATORY)]), st.booleans())
def test_the_order_of_approvals_does_not_matter_but_one_that_is_left_out_does(order: list[Act], complete: bool) -> None:
    policy = ApprovalPolicy({Role.REVIEWER: 1, Role.QA: 1, Role.REGULATORY: 1})
    given_acts = order if complete else order[:-1]
    standing = replay([SUBMITTED, *given_acts], policy)
    assert standing.state is (State.APPROVED if complete else State.CANDIDATE)


def test_two_people_in_one_role_are_two_people() -> None:
    policy = ApprovalPolicy({Role.QA: 2})
    pair = [Act(Action.APPROVE, name, Role.QA) for name in ("quinn", "quentin")]
    assert replay([SUBMITTED, *pair], policy).state is State.APPROVED
    for one, two in itertools.product(pair, repeat=2):
        if one == two:
            with pytest.raises(UsageError, match="one person is one approval"):
                replay([SUBMITTED, one, two], policy)
