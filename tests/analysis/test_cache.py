"""The cache of analyses: each key is made once, whoever asks, and a failure leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from devicepipe.analysis.cache import Cache, Said
from devicepipe.errors import BenchError


def said(keys: Sequence[str]) -> list[Said]:
    return [[{"of": key}] for key in keys]


def test_only_what_is_missing_is_made_and_the_order_is_that_of_the_keys() -> None:
    cache, made = Cache(), []

    def make(keys: Sequence[str]) -> list[Said]:
        made.append(list(keys))
        return said(keys)

    cache.get(["b"], make)
    assert cache.get(["a", "b", "c"], make) == said("abc")
    assert cache.get(["c", "a"], make) == said("ca")
    assert made == [["b"], ["a", "c"]]
    assert cache.hits == 3


def test_two_boards_at_once_make_a_source_once() -> None:
    cache, asked, going = Cache(), threading.Event(), threading.Event()

    def slow(keys: Sequence[str]) -> list[Said]:
        asked.set()
        going.wait()
        return said(keys)

    def refused(keys: Sequence[str]) -> list[Said]:
        raise AssertionError(keys)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, ["a"], slow)
        asked.wait()
        second = pool.submit(cache.get, ["a"], refused)
        going.set()
        assert first.result() == second.result() == said("a")


def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    cache, asked, going = Cache(), threading.Event(), threading.Event()

    def failing(_: Sequence[str]) -> list[Said]:
        asked.set()
        going.wait()
        raise BenchError("the tool failed")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, ["a"], failing)
        asked.wait()
        second = pool.submit(cache.get, ["a"], failing)
        going.set()
        for one in (first, second):
            with pytest.raises(BenchError, match="the tool failed"):
                one.result()
    assert cache.get(["a"], said) == said("a")
