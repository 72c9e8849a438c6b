"""The stage of campaigns: a mistake of the product's module is told at the product's file, not at its copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.stages.campaign import _in_project


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("/copy/hil/campaigns.py", "/pump/hil/campaigns.py"),
        ("/elsewhere/x.py", "/elsewhere/x.py"),
    ],
)
def test_a_mistake_is_told_at_the_products_file(file: str, told: str) -> None:
    error = _in_project(UsageError("bad", file=Path(file), line=3, remedy="do"), Path("/copy"), Path("/pump"))
    assert (str(error.file), error.line, error.message, error.remedy) == (told, 3, "bad", "do")
