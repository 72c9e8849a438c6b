# SPDX-License-Identifier: Apache-2.0
"""The pump's delivery against an exact model of it: fractions, computed from the geometry of the syringes and from time.

The C code is compiled for this computer and called as it is. The model knows nothing of ticks' remainders or of how the code
sums: it has the volume asked for as a fraction of time and rate, and the volume of a step from the bore.
"""

import ctypes
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SOURCES = Path(__file__).parents[2] / "firmware" / "src"
BORES = {1: Fraction(1206, 100), 2: Fraction(1450, 100), 3: Fraction(1913, 100), 4: Fraction(2672, 100)}  # mm
RATE_MAX = {1: 500, 2: 1000, 3: 1000, 4: 1000}  # 0.1 ml/h
PI = Fraction(31415926535897932384626433832795028841971, 10**40)
TICK = Fraction(1, 360_000)  # h
PICOLITRES = 10**6  # in a microlitre


class Delivery(ctypes.Structure):
    """struct delivery of control/delivery.h."""

    _fields_ = (
        ("step", ctypes.c_uint32),
        ("due", ctypes.c_uint32),
        ("delivered", ctypes.c_uint64),
        ("bolus", ctypes.c_uint64),
        ("bolus_rate", ctypes.c_uint32),
    )


def exact_step(syringe: int) -> Fraction:
    """Picolitres of a motor step of 2.5 µm."""
    area = PI / 4 * BORES[syringe] ** 2  # mm²
    return area * Fraction(25, 10_000) * PICOLITRES


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    shared = tmp_path_factory.mktemp("delivery") / "delivery.so"
    source = SOURCES / "application/control/delivery.c"
    flags = ["-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Werror", f"-I{SOURCES}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(shared)], check=True)
    loaded = ctypes.CDLL(str(shared))
    loaded.delivery_syringe.restype = ctypes.c_void_p
    loaded.delivery_has_bolus.restype = ctypes.c_bool
    return loaded


def begin(library: ctypes.CDLL, syringe: int) -> Delivery:
    delivery = Delivery()
    library.delivery_start(ctypes.byref(delivery), ctypes.c_void_p(library.delivery_syringe(syringe)))
    return delivery


def run(library: ctypes.CDLL, delivery: Delivery, rate: int, ticks: int) -> int:
    return sum(library.delivery_tick(ctypes.byref(delivery), rate) for _ in range(ticks))


@pytest.mark.parametrize("syringe", sorted(BORES))
def test_volume_of_a_step_is_within_half_a_picolitre(library: ctypes.CDLL, syringe: int) -> None:
    error = abs(begin(library, syringe).step - exact_step(syringe))
    assert error <= Fraction(1, 2)
    assert error / exact_step(syringe) < Fraction(1, 10**6)
    assert exact_step(syringe) < Fraction(141, 100) * PICOLITRES


@settings(max_examples=60, database=None, derandomize=True)
@given(
    syringe=st.sampled_from(sorted(BORES)),
    phases=st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 3000)), min_size=1, max_size=6),
)
def test_account_is_behind_rate_times_time_by_less_than_a_step(
    library: ctypes.CDLL, syringe: int, phases: list[tuple[int, int]]
) -> None:
    delivery = begin(library, syringe)
    steps, asked = 0, Fraction(0)
    for rate, ticks in phases:
        allowed = min(rate, RATE_MAX[syringe])
        steps += run(library, delivery, allowed, ticks)
        asked += Fraction(allowed, 10) * 1000 * PICOLITRES * TICK * ticks  # ml/h to pl
        assert delivery.delivered == steps * delivery.step
        assert 0 <= asked - delivery.delivered < delivery.step
        assert steps == asked // delivery.step
        # And what the plunger really displaced, by the exact geometry: off by the rounding of the step and no more.
        assert abs(steps * exact_step(syringe) - delivery.delivered) <= Fraction(steps, 2)


@settings(max_examples=40, database=None, derandomize=True)
@given(
    syringe=st.sampled_from([2, 3, 4]),
    rate=st.integers(0, 500),
    bolus_rate=st.integers(50, 500),
    volume=st.integers(10, 100),
    before=st.integers(0, 500),
    after=st.integers(0, 500),
)
def test_bolus_is_its_volume_on_top_of_the_programme(
    library: ctypes.CDLL, syringe: int, rate: int, bolus_rate: int, volume: int, before: int, after: int
) -> None:
    delivery = begin(library, syringe)
    ticks = before
    steps = run(library, delivery, rate, before)
    library.delivery_bolus(ctypes.byref(delivery), volume, bolus_rate)
    while library.delivery_has_bolus(ctypes.byref(delivery)):
        steps += run(library, delivery, rate, 1)
        ticks += 1
    steps += run(library, delivery, rate, after)
    ticks += after
    asked = Fraction(rate, 10) * 1000 * PICOLITRES * TICK * ticks + volume * PICOLITRES
    assert steps == asked // delivery.step
