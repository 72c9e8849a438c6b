"""The digests of installed packages: of what a wheel brought, and not of where it was put."""

from __future__ import annotations

import shutil
from importlib.metadata import distribution
from pathlib import Path

from devicepipe.build.provenance import build_tools
from devicepipe.build.python_environment import _package, environment_listing, package


def test_every_tool_of_the_build_has_a_digest() -> None:
    tools = {tool.name: tool for tool in build_tools()}
    assert tools.keys() == {"devicepipe", "platformio", "scons", "python"}
    assert all(len(tools[name].sha256 or "") == 64 for name in ("platformio", "scons", "python"))


def test_the_listing_names_each_package_once_and_no_path() -> None:
    lines = environment_listing().decode().splitlines()
    assert len(lines) == len(set(lines))
    assert [line for line in lines if line.startswith("platformio==6")]
    assert not [line for line in lines if "/" in line]


def test_an_unknown_package_is_none() -> None:
    assert package("no-such-package-anywhere") is None


def test_what_an_installer_writes_has_no_say_and_content_has(tmp_path: Path) -> None:
    found = distribution("click")
    where = Path(str(found.locate_file(f"click-{found.version}.dist-info")))
    copy = tmp_path / where.name
    shutil.copytree(where, copy)
    record = copy / "RECORD"
    original = package("click")
    text = record.read_text("utf-8")

    def digest() -> object:
        return _package(type(found)(copy))  # type: ignore[call-arg]

    assert digest() == original
    record.write_text(text + "../../../bin/click,sha256=abc,1\nclick.dist-info/INSTALLER,sha256=abc,1\n", "utf-8")
    assert digest() == original
    record.write_text(text + "click/more.py,sha256=abc,1\n", "utf-8")
    assert digest() != original
