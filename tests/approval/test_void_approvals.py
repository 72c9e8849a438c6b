"""Which approvals `approvals` shows as void, and where that leaves a release: against a model that looks at what came later."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from devicepipe.approval.lifecycle import RIGHTS, Act, Action, ApprovalPolicy, Role, Standing, State, after, objection
from devicepipe.evidence.signatures import Given, Roster, Signature, SignedRecord
from devicepipe.stages.standing import counts

PERSON = {"ada": "ada", "eva": "eva", "eva2": "eva", "quinn": "quinn", "reg": "reg", "ron": "ron", "ron2": "ron"}
ACTS = [Act(action, name, role, PERSON[name]) for action in Action for name in PERSON for role in Role]
ENDS = {Action.RELEASE, Action.WITHDRAW}
policies = st.builds(
    ApprovalPolicy,
    st.dictionaries(st.sampled_from(sorted(RIGHTS[Action.APPROVE])), st.integers(1, 2), min_size=1),
    st.frozensets(st.sampled_from(Role)),
)


def stands(number: int, signed: list[Act]) -> bool:
    """Whether nobody rejected the release, and that person took nothing back, after an approval."""
    own = PERSON[signed[number].account]
    return not any(
        act.action is Action.REJECT or (act.action is Action.RETRACT and PERSON[act.account] == own)
        for act in signed[number + 1 :]
    )


def modelled(signed: list[Act], policy: ApprovalPolicy) -> State:
    done = [act.action for act in signed]
    for action, state in ((Action.WITHDRAW, State.WITHDRAWN), (Action.RELEASE, State.RELEASED)):
        if action in done:
            return state
    rejected = max((number for number, action in enumerate(done) if action is Action.REJECT), default=-1)
    if Action.SUBMIT not in done[rejected + 1 :]:
        return State.DRAFT
    left = [act for number, act in enumerate(signed) if act.action is Action.APPROVE and stands(number, signed)]
    given_in = {role: {PERSON[act.account] for act in left if act.role is role} for role in Role}
    enough = all(len(given_in[role]) >= count for role, count in policy.thresholds.items())
    return State.APPROVED if enough else State.CANDIDATE


@given(st.lists(st.integers(0, 10**6), max_size=14), policies, st.booleans())
def test_void_approvals_are_those_that_were_rejected_or_taken_back(
    choices: list[int], policy: ApprovalPolicy, ends: bool
) -> None:
    standing, signed = Standing(authors=frozenset({"ada"})), []
    for choice in choices:
        may = [act for act in ACTS if (ends or act.action not in ENDS) and not objection(standing, act, policy)]
        kinds = sorted({act.action for act in may})
        if not kinds:
            break
        of_kind = [act for act in may if act.action is kinds[choice % len(kinds)]]
        signed.append(of_kind[choice // len(kinds) % len(of_kind)])
        standing = after(standing, signed[-1], policy)
    record = SignedRecord(tuple(map(as_given, signed)))
    for number, one in enumerate(record.signatures):
        void = signed[number].action is Action.APPROVE and not stands(number, signed)
        assert counts(one, record, standing) is not void
    assert standing.state is modelled(signed, policy)


def as_given(act: Act) -> Given:
    """A signature as far as it is looked at here."""
    told = Signature.model_construct(action=act.action.value, account=act.account, role=act.role.value)
    return Given("", "", told, "", Roster.model_construct())
