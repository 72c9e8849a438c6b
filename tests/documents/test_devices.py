"""What the report says of the device that the tests ran on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from devicepipe.documents.details import tests as section
from devicepipe.documents.model import Cell, KeyValues, Tone
from devicepipe.evidence.results import DriverUse
from tests.documents.release_records import green


def rows(**device: Any) -> dict[str, Cell]:
    record = green()
    run = record.runs[0].model_copy(update={"device": record.runs[0].device.model_copy(update=device)})
    blocks = section(replace(record, runs=(run, *record.runs[1:])), "5")
    return dict(next(block for block in blocks if isinstance(block, KeyValues)).rows)


def test_a_real_device_is_told_with_what_drove_it_and_who_had_it() -> None:
    shown = rows(
        emulated=False,
        emulator=None,
        driver="composed",
        drivers=[DriverUse(role="flash", name="pyocd", says="pyocd 1.0"), DriverUse(role="reset", name="command")],
        bench="lab-1",
        stated_serial="DP-17",
        tags=["scale"],
        calibration_due="2027-03-01",
        fixture_revision="C",
        healthy_on="2026-11-29T03:00:00Z",
        lease_token=7,
        lease_holder="a@b",
        flash_writes=2,
        reflash="when-changed",
    )
    assert "real hardware" in shown["Device"].detail
    assert shown["Drivers"].text == "flash: pyocd (pyocd 1.0)\nreset: command"
    assert (shown["Lease"].text, shown["Lease"].detail) == ("token 7", "a@b")
    assert shown["Flash written"].text == "2 times"
    assert (shown["Bench"].text, shown["Bench"].detail) == ("lab-1", "fixture revision C; scale")
    assert shown["Calibrated until"].text == "2027-03-01"
    assert "passed" in shown["Last health check"].text
    assert shown["Serial number"].detail == "stated: DP-17"


def test_a_device_out_of_service_stands_out() -> None:
    shown = rows(out_of_service="it hangs")
    assert (shown["Out of service"].text, shown["Out of service"].tone) == ("it hangs", Tone.BAD)
    assert not {"Out of service", "Drivers", "Lease"} & {*rows()}
