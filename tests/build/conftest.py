"""The sample PlatformIO project, copied and built."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from devicepipe.build.collect import Role
from devicepipe.build.platformio import Build, BuildInputs, build_board
from devicepipe.build.surroundings import Surroundings
from devicepipe.project.board import Board, load_board

SAMPLE = Path(__file__).with_name("sample_project")

BuildSample = Callable[..., Build]


def copy_sample(target: Path) -> Path:
    shutil.copytree(SAMPLE, target, ignore=shutil.ignore_patterns("__pycache__", ".pio"))
    return target


@pytest.fixture(scope="session")
def board() -> Board:
    return load_board(SAMPLE / "boards" / "sample.json", "sample")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> BuildInputs:
    key = tmp_path_factory.mktemp("keys") / "image.pub.pem"
    key.write_text("-----BEGIN PUBLIC KEY-----\n", encoding="ascii")
    return BuildInputs(
        version="1.2.3",
        commit="c" * 40,
        source_date_epoch=1_700_000_000,
        image_key=key,
        image_key_sha256="d" * 64,
        key_kind="development",
    )


@pytest.fixture(scope="session")
def build_sample(board: Board, inputs: BuildInputs) -> BuildSample:
    """Builds environments of the sample in a folder of its own below `folder`."""

    def build(
        folder: Path,
        environments: dict[Role, str],
        cancel: threading.Event | None = None,
        surroundings: Surroundings | None = None,
    ) -> Build:
        return build_board(
            project=copy_sample(folder / "project"),
            board=board,
            environments=environments,
            inputs=inputs,
            output=folder / "bundle",
            log=folder / "build.log",
            cancel=cancel or threading.Event(),
            surroundings=surroundings,
        )

    return build


BOTH: dict[Role, str] = {"application": "application", "bootloader": "bootloader"}


@pytest.fixture(scope="session")
def built(build_sample: BuildSample, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The sample's application and bootloader, built once."""
    return build_sample(tmp_path_factory.mktemp("first"), BOTH)
