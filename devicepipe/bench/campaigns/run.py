"""One board's campaign: prepare, spread the points over the cores, sum up.

What always holds: a result is about all the points that were asked for, or there is none.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from devicepipe.bench.campaigns.kinds import CAMPAIGNS, Plan, Share
from devicepipe.bench.campaigns.scenario import blaming, load_scenario
from devicepipe.bench.campaigns.verdict import Verdict
from devicepipe.bench.campaigns.workers import Job, run_jobs
from devicepipe.bench.spec import SessionSpec
from devicepipe.errors import BenchError
from devicepipe.evidence.campaigns import CampaignGroup, CampaignResult
from devicepipe.evidence.predicates import CampaignKind

CHUNK = 64
"""The most points that a process takes at a time: neighbours, whose states recur."""
_SHARES = 4  # parts for each process, so that all end at about the same time
_LEAST = 24  # points, for which it pays to start a process and its devices


def run_campaign(
    kind: CampaignKind,
    spec: SessionSpec,
    module: Path,
    plan: Plan,
    tell: Callable[[str], None],
    cancel: threading.Event,
) -> CampaignResult:
    """Run a campaign.

    Args:
        kind: Which.
        spec: The session: board and images; its `output` takes the logs.
        module: The product's module with its scenario.
        plan: What to try.
        tell: Gets how far it has come.
        cancel: Set to stop it.

    Raises:
        UsageError: The product's module, or the plan.
        ProductError: The device does not do what it must even without a fault.
        BenchError: The bench failed, also where fewer points were tried than were chosen.
        KeyboardInterrupt: `cancel` was set.
    """
    began = time.monotonic()
    campaign = CAMPAIGNS[kind]
    processes = plan.processes or os.cpu_count() or 1
    spec.output.mkdir(parents=True, exist_ok=True)
    tell("the device is prepared")
    recording = spec.model_copy(update={"output": spec.output / "recording"})
    groups = next(run_jobs([Job("recording", _record, (kind, recording, module))], 1, cancel))
    chosen = campaign.choose(groups, plan)
    if plan.only is not None:
        tell("; ".join(campaign.describe(group, point, plan) for group, points in chosen for point in points))
    recorded = time.monotonic() - began
    total, verdict = sum(len(points) for _, points in chosen), Verdict()
    chunk = min(CHUNK, max(_LEAST, total // (_SHARES * processes)))
    jobs = [_job(kind, spec, module, part, plan) for part in parts(chosen, chunk)]
    for one in run_jobs(jobs, processes, cancel):
        verdict.add(one)
        bad = f", {len(verdict.failures)} failed" if verdict.failures else ""
        tell(f"{verdict.tried} of {total} points{bad}")
    settled = sum(counts.total() for counts in verdict.outcomes.values()) + len(verdict.failures)
    if verdict.tried != total or settled != total:
        raise BenchError(f"{verdict.tried} of {total} points were tried: the result would say more than was done")
    order = {group.name: place for place, group in enumerate(groups)}
    return CampaignResult(
        kind=kind,
        board=spec.board.name,
        image_digest=spec.expected.digest,
        groups=[
            CampaignGroup(
                name=group.name,
                size=campaign.size(group),
                points=len(points),
                outcomes=dict(sorted(verdict.outcomes[group.name].items())),
            )
            for group, points in chosen
        ],
        points=total,
        points_possible=campaign.possible(groups, plan),
        seed=plan.seed,
        inside=plan.inside,
        deep=verdict.deep,
        boots=verdict.boots,
        failures=sorted(verdict.failures, key=lambda failure: _place(failure.point, order)),
        processes=processes,
        record_seconds=round(recorded, 1),
        seconds=round(time.monotonic() - began, 1),
    )


def check_module(kind: CampaignKind, module: Path, cancel: threading.Event) -> None:
    """Look whether a product's module can be used, in a process of its own: before hours are spent on what it is for.

    Raises:
        UsageError: It cannot; names file and line.
    """
    next(run_jobs([Job("the module", _check, (kind, module))], 1, cancel))


def _check(kind: CampaignKind, module: Path) -> None:
    load_scenario(module, kind)


def _place(point: str, order: dict[str, int]) -> tuple[int, int]:
    group, _, number = point.rpartition(":")
    return order[group], int(number)


def parts(chosen: Sequence[tuple[Any, list[Any]]], size: int) -> list[Share]:
    """The points in their order, so many in each part but the last; in a part each group stands once."""
    found: list[Share] = []
    room = 0
    for group, points in chosen:
        at = 0
        while at < len(points):
            if room == 0:
                found.append([])
                room = size
            taken = points[at : at + room]
            found[-1].append((group, taken))
            at += len(taken)
            room -= len(taken)
    return found


def _job(kind: CampaignKind, spec: SessionSpec, module: Path, part: Share, plan: Plan) -> Job[Verdict]:
    (first, points), (last, others) = part[0], part[-1]
    begin, end = f"{first.name}:{points[0].number}", f"{last.name}:{others[-1].number}"
    own = spec.model_copy(update={"output": spec.output / begin.replace(":", "-")})
    return Job(f"points {begin} to {end}", _attempt, (kind, own, module, part, plan))


def _record(kind: CampaignKind, spec: SessionSpec, module: Path) -> list[Any]:
    with blaming(module):
        return CAMPAIGNS[kind].record(spec, module)


def _attempt(kind: CampaignKind, spec: SessionSpec, module: Path, part: Share, plan: Plan) -> Verdict:
    with blaming(module):
        return CAMPAIGNS[kind].attempt(spec, module, part, plan)
