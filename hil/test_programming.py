"""Programming: confirmation in two steps, limits, the drug library. Requirements: requirements/programming.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.conftest import Pump

pytestmark = pytest.mark.virtual_time(at="plant_sent")

MORPHINE = 1


def limits(pump: Pump, drug: int) -> dict[str, int]:
    """The limits of a drug, as the device tells them."""
    fields = pump.ask(f"library {drug}")
    return {key: int(value) for key, value in fields.items() if key != "name"}


@pytest.mark.verifies("SRS-021")
def test_programme_takes_effect_only_by_its_token(pump: Pump) -> None:
    """Start is refused while idle and programmed; a wrong token is refused and the pump waits on; the right one makes it ready."""
    assert pump.command("start") == "ERR start state=idle"
    token = pump.program(rate=123)
    assert 1000 <= int(token) <= 9999
    assert pump.command("start") == "ERR start state=programmed"
    for wrong in (int(token) + 1, int(token) - 1, 0, 1, 10_000 + int(token)):
        assert pump.command(f"confirm token={wrong}") == "ERR confirm token", wrong
        assert pump.status().state == "programmed"
    assert pump.command(f"confirm token={token}") == "OK confirm"
    status = pump.status()
    assert (status.state, status.rate, status.vtbi) == ("ready", 0, 5000)
    pump.assert_stands(2000)
    assert pump.command("start") == "OK start rate=123"


@pytest.mark.verifies("RC-016", kind="effectiveness")
@pytest.mark.verifies("SRS-021")
def test_token_of_an_earlier_programme_confirms_nothing(pump: Pump) -> None:
    """Two programmes have different tokens; the first one's is refused after the second; a token counts once."""
    first = pump.program(rate=100)
    pump.command("stop")
    second = pump.program(rate=200)
    assert first != second
    assert pump.command(f"confirm token={first}") == "ERR confirm token"
    assert pump.command(f"confirm token={second}") == "OK confirm"
    assert pump.command(f"confirm token={second}") == "ERR confirm state=ready"


@pytest.mark.verifies("SRS-021")
def test_confirmation_comes_too_late_after_thirty_seconds(pump: Pump) -> None:
    """After 29.5 s the confirmation is taken; after 30.2 s it is refused as expired, and the pump is idle and cannot be started."""
    token = pump.program()
    pump.run(29_500)
    assert pump.command(f"confirm token={token}") == "OK confirm"
    pump.command("stop")
    token = pump.program()
    pump.run(30_200)
    assert pump.command(f"confirm token={token}") == "ERR confirm expired"
    assert pump.status().state == "idle"
    assert pump.command("start") == "ERR start state=idle"


@pytest.mark.verifies("RC-015", kind="effectiveness")
@pytest.mark.verifies("SRS-022")
def test_hard_limits(pump: Pump) -> None:
    """Morphine at its hard limits is taken; 0.1 ml/h outside of them it is refused, and the programme that was confirmed stays."""
    drug = limits(pump, MORPHINE)
    pump.prepare(rate=100, vtbi=3000)
    for rate in (drug["hard-min"] - 1, drug["hard-max"] + 1):
        reply = pump.command(f"program syringe=3 drug={MORPHINE} rate={rate} vtbi=1000")
        # Below 0.1 ml/h no rate is left that the pump itself would take.
        assert reply == ("ERR program rate-limit" if rate == 0 else "ERR program hard-limit"), rate
        status = pump.status()
        assert (status.state, status.vtbi) == ("ready", 3000)
    assert pump.command("start") == "OK start rate=100"
    pump.command("stop")
    for rate in (drug["hard-min"], drug["hard-max"]):
        pump.infuse(rate=rate, vtbi=1000, drug=MORPHINE)
        pump.command("stop")


@pytest.mark.verifies("SRS-022")
def test_drugs_that_the_library_does_not_hold_are_refused(pump: Pump) -> None:
    """ERR program drug for 0, 999 and 65537 (1 for who forgets the overflow of 16 bits); the pump stays idle."""
    for drug in (0, 999, 65_536 + MORPHINE):
        assert pump.command(f"program syringe=3 drug={drug} rate=100 vtbi=1000") == "ERR program drug", drug
        assert pump.status().state == "idle"
        assert pump.command(f"library {drug}") == "ERR library drug", drug


@pytest.mark.verifies("SRS-023")
def test_soft_limits_need_an_override(pump: Pump) -> None:
    """Outside the soft limits: limit=soft, ERR confirm soft-limit without override, OK with it, and the log tells of it."""
    drug = limits(pump, MORPHINE)
    outside = [
        rate
        for rate, possible in (
            (drug["soft-min"] - 1, drug["soft-min"] > drug["hard-min"]),
            (drug["soft-max"] + 1, drug["soft-max"] < drug["hard-max"]),
        )
        if possible
    ]
    assert outside
    for rate in outside:
        reply = pump.ask(f"program syringe=3 drug={MORPHINE} rate={rate} vtbi=1000")
        assert reply["limit"] == "soft", rate
        assert pump.command(f"confirm token={reply['token']}") == "ERR confirm soft-limit"
        assert pump.status().state == "programmed"
        assert pump.command("start") == "ERR start state=programmed"
        assert pump.command(f"confirm token={reply['token']} override") == "OK confirm"
        newest = pump.ask(f"log {pump.ask('log')['newest']}")
        assert (newest["event"], newest["value"]) == ("confirm", "1")
        pump.command("stop")


@pytest.mark.verifies("SRS-023")
def test_within_the_soft_limits_no_override_is_asked_for(pump: Pump) -> None:
    """At both soft limits: limit=none, confirmed without override, and the log says 0."""
    drug = limits(pump, MORPHINE)
    for rate in (drug["soft-min"], drug["soft-max"]):
        reply = pump.ask(f"program syringe=3 drug={MORPHINE} rate={rate} vtbi=1000")
        assert reply["limit"] == "none", rate
        assert pump.command(f"confirm token={reply['token']}") == "OK confirm"
        newest = pump.ask(f"log {pump.ask('log')['newest']}")
        assert (newest["event"], newest["value"]) == ("confirm", "0")
        pump.command("stop")


@pytest.mark.verifies("SRS-024")
def test_library_tells_what_it_is(pump: Pump) -> None:
    """Version, number of drugs and digest; each drug's limits in order: hard-min ≤ soft-min ≤ soft-max ≤ hard-max."""
    reply = pump.command("library")
    found = re.fullmatch(r"OK library version=\d+\.\d+\.\d+\+\d+ drugs=(\d+) digest=[0-9a-f]{64}", reply)
    assert found, reply
    assert int(found[1]) >= 3
    for drug, name in ((1, "morphine-1mg"), (2, "saline-test"), (3, "heparin")):
        fields = pump.ask(f"library {drug}")
        assert (fields["id"], fields["name"]) == (str(drug), name)
        one = limits(pump, drug)
        assert one["hard-min"] <= one["soft-min"] <= one["soft-max"] <= one["hard-max"]
    assert limits(pump, 1)["lockout"] == 600
    assert (limits(pump, 2)["lockout"], limits(pump, 2)["hourly"]) == (5, 200)


def library_copies(pump: Pump) -> tuple[int, int, int]:
    """Offset of the region of the drug library, the size of half of it, and the offset of the half that holds the factory's."""
    region = pump.device.board.regions["library"]
    half = region.size // 2
    for offset in (region.offset, region.offset + half):
        if pump.device.read_flash(offset, 4) == b"\x3d\xb8\xf3\x96":
            return region.offset, half, offset
    pytest.fail("there is no library in the factory image")


@pytest.mark.verifies("RC-025", kind="effectiveness")
@pytest.mark.verifies("SRS-024")
@pytest.mark.parametrize("where", ["header", "payload", "signature", "erased"])
def test_library_that_is_not_whole_is_not_used(pump: Pump, where: str) -> None:
    """One bit of its header, its payload or its signature changed, or no library: programmes are refused with no-library."""
    begin, half, offset = library_copies(pump)
    data = bytearray(pump.device.read_flash(offset, half))
    if where == "erased":
        data = bytearray(b"\xff" * half)
    else:
        header_size, protected = int.from_bytes(data[8:10], "little"), int.from_bytes(data[10:12], "little")
        end = header_size + int.from_bytes(data[12:16], "little") + protected
        end += int.from_bytes(data[end + 2 : end + 4], "little")  # of the TLVs: the last one is the signature
        data[{"header": 20, "payload": header_size + 20, "signature": end - 1}[where]] ^= 0x01
    pump.write_flash(offset, bytes(data))
    pump.reset()
    assert pump.command("library") == "ERR library none"
    assert pump.command("program syringe=3 drug=2 rate=100 vtbi=1000") == "ERR program no-library"
    assert pump.status().state == "idle"
    assert begin <= offset


@pytest.mark.verifies("SRS-024")
def test_either_copy_of_the_library_is_used(pump: Pump) -> None:
    """The library in the other half only, or in both: the same version and digest."""
    begin, half, offset = library_copies(pump)
    other = begin if offset != begin else begin + half
    said = pump.command("library")
    data = pump.device.read_flash(offset, half)
    pump.write_flash(other, data)
    for erase in (False, True):
        if erase:
            pump.write_flash(offset, b"\xff" * half)
        pump.reset()
        assert pump.command("library") == said
        pump.run(300)
        pump.infuse()
        pump.command("stop")
