"""The product's folder of state: locks by which commands on one machine wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devicepipe.durable import locked
from devicepipe.project.config import Project


@contextmanager
def locked_in_state(project: Project, name: str) -> Iterator[None]:
    """Wait until nobody else holds the product's lock of this name. It is not beside what it guards, where git would see it.

    Raises:
        UsageError, OSError: As `locked`.
    """
    project.state.mkdir(exist_ok=True)
    with locked(project.state / f"{name}.lock"):
        yield
