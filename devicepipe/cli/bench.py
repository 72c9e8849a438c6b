"""`devicepipe bench`: the devices of the inventory, who has them, and what a person does with one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.bench_device import console, device_argument, flash, health, power, reset, seconds
from devicepipe.cli.common import json_option, note, open_inventory, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from devicepipe.bench.lease import LeaseRecord
    from devicepipe.bench.service import Health
    from devicepipe.project.inventory import DeviceEntry, Inventory


@click.group()
def bench() -> None:
    """The devices of hil/bench.toml, real and emulated: what there is, who has it, and whether it is well.

    A device is one user's at a time; docs/reference/bench.md tells the rest.
    """


@bench.command("list")
@project_option
@json_option
def list_(folder: Path, as_json: bool) -> int:
    """List the devices: in service or why not, and who has them.

    Exit codes: 0 listed, 2 bench.toml is wrong.
    """
    from devicepipe.bench.lease import FOLDER_VARIABLE, LeaseStore
    from devicepipe.bench.service import Service

    inventory, leases, service = open_inventory(folder), LeaseStore(), Service.here()
    states = [(entry, service.reason(entry), leases.read(entry.id)) for entry in inventory.devices.values()]
    found = {entry.id: service.last_health(entry.id) for entry, *_ in states}
    if as_json:
        print_json([_entry_json(entry, reason, record, found[entry.id]) for entry, reason, record in states])
        return EXIT_OK
    if not leases.folder.is_dir() and FOLDER_VARIABLE in os.environ:
        note(
            f"{FOLDER_VARIABLE}={leases.folder}: there is no such folder yet, so no lease and no health check is known"
        )
    width = max(len("id"), *(len(entry.id) for entry, *_ in states))
    boards = max(len("board"), *(len(entry.board) for entry, *_ in states))
    tell(f"{'id':{width}}  {'board':{boards}}  {'bench':12}  {'state':14}  tags", bold=True)
    for entry, reason, record in states:
        state = "out of service" if reason else "held" if record.holder else "free"
        colour = "red" if reason else "yellow" if record.holder else "green"
        place = "emulated" if entry.emulated else entry.bench or "no bench"
        tell(
            f"{entry.id:{width}}  {entry.board:{boards}}  {place:12}  {state:14}  {' '.join(entry.tags)}".rstrip(),
            fg=colour,
        )
        if reason:
            tell(f"{'':{width}}  {reason}")
        if record.holder:
            tell(f"{'':{width}}  {_held(record)}")
        if (last := found[entry.id]) is not None and not last.wrong:
            tell(f"{'':{width}}  passed its health check on {last.time}", dim=True)
        if entry.calibration_due and entry.calibration_due >= service.today:
            tell(f"{'':{width}}  calibrated until {entry.calibration_due.isoformat()}", dim=True)
    return EXIT_OK


@bench.command()
@device_argument
@click.option("--for", "duration", default="1h", show_default=True, help="How long, e.g. 90s, 30m, 2h, 1d.")
@click.option("--purpose", default="", help="What for; whoever finds it held can read it.")
@project_option
@json_option
def lease(device: str, duration: str, purpose: str, folder: Path, as_json: bool) -> int:
    """Take DEVICE for yourself.

    No test and nobody else uses it then; all your shells have the lease together.
    Your own commands `console`, `flash`, `reset` and `power` go on working. Exit codes: 0 it is yours, 3 somebody else has it.
    """
    from devicepipe.bench.holder import this_user
    from devicepipe.bench.lease import LeaseStore

    entry = _shared(open_inventory(folder), device)
    store = LeaseStore()
    store.acquire(entry.id, this_user(purpose), seconds(duration))
    record = store.read(entry.id)
    if as_json:
        print_json(_lease_json(record))
    else:
        tell(f"{entry.id}: {_held(record)}")
    return EXIT_OK


@bench.command()
@device_argument
@click.option("--force", is_flag=True, help="End it though it is somebody else's; that goes into the product's log.")
@click.option("--reason", default="", help="With --force: why.")
@project_option
@json_option
def release(device: str, force: bool, reason: str, folder: Path, as_json: bool) -> int:
    """Give DEVICE back.

    A test that is running on it ends in `error` if its lease is taken. Exit codes: 0 it is free, 2 it is not yours, or nobody's, or
    --force without a --reason.
    """
    from devicepipe.bench.holder import this_user
    from devicepipe.bench.lease import LeaseStore

    entry = _shared(open_inventory(folder), device)
    store, user = LeaseStore(), this_user()
    record = store.read(entry.id)
    override = force and record.holder is not None and not record.holder.leaves_to(user)
    if override:
        _log_override(folder, entry.id, str(user), str(record.holder), reason)
    ended = store.release_by(entry.id, user, force=override)
    if as_json:
        print_json(_lease_json(ended))
    else:
        tell(f"{entry.id}: free; it was {_held(ended)}")
    return EXIT_OK


def _log_override(folder: Path, device: str, by: str, former: str, reason: str) -> None:
    """Say in the product's log that a device is taken from its holder: before it is, so that none ever is without that."""
    from devicepipe.evidence.facts import utc_now
    from devicepipe.evidence.ledger.entry import make_entry
    from devicepipe.stages import ledger

    if not reason.strip():
        raise UsageError(
            "--force takes a --reason", remedy='say why: --reason "the session hangs, and nobody is there"'
        )
    details = {"former": former, "reason": " ".join(reason.split())}
    entry = make_entry("lease-override", at=utc_now(), by=by, subject=device, details=details)
    ledger.append(open_project(folder), [entry])


def _shared(inventory: Inventory, device: str) -> DeviceEntry:
    entry = inventory.device(device)
    if entry.emulated:
        raise UsageError(
            f"'{device}' is emulated: every session has one of its own, so it is nobody's", remedy="use it at any time"
        )
    return entry


def _held(record: LeaseRecord) -> str:
    from devicepipe.bench.lease import moment

    return f"held by {record.holder} until {moment(record.expires_on)} (token {record.token})"


def _entry_json(entry: DeviceEntry, reason: str, record: LeaseRecord, health: Health | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "board": entry.board,
        "bench": entry.bench,
        "emulated": entry.emulated,
        "inService": not reason,
        "reason": reason,
        "tags": list(entry.tags),
        "serialNumber": entry.serial_number,
        "port": entry.port,
        "calibrationDue": entry.calibration_due.isoformat() if entry.calibration_due else None,
        "drivers": entry.drivers,
        "health": {"time": health.time, "wrong": health.wrong, "says": health.says} if health else None,
        "fixtureRevision": entry.fixture_revision,
        "lease": _lease_json(record) if record.holder else None,
    }


def _lease_json(record: LeaseRecord) -> dict[str, Any]:
    from devicepipe.bench.lease import moment

    holder = record.holder
    return {
        "device": record.device,
        "token": record.token,
        "user": holder.user if holder else None,
        "host": holder.host if holder else None,
        "pid": holder.process.pid if holder and holder.process else None,
        "purpose": holder.purpose if holder else "",
        "acquiredOn": moment(record.acquired_on),
        "expiresOn": moment(record.expires_on),
    }


for _command in (health, console, flash, reset, power):
    bench.add_command(_command)
