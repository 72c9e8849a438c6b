"""A repository that is made anew for each test, and its address over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distribution.publisher import Publisher, served


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path).create()


@pytest.fixture
def url(publisher: Publisher) -> Iterator[str]:
    with served(publisher.folder / "repository") as address:
        yield address
