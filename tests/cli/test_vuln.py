"""`devicepipe vuln`: a snapshot is pinned by digest and day, and components are checked against it, also those of a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from devicepipe.cli.main import cli
from devicepipe.errors import BenchError, UsageError
from tests.analysis.vulnerability_samples import dump, osv, package
from tests.evidence.synthetic_bundle import make_bundle

REPOSITORY = Path(__file__).parents[2]
CLEAR = osv("SAMPLE-1", package({"introduced": "0"}, {"fixed": "0.9.0"}))
AFFECTING = osv("SAMPLE-1", package({"introduced": "0"}))


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """The reference product as far as a check reads it; nothing is pinned, and it makes no statement."""
    root = tmp_path / "product"
    for part in ("devicepipe.toml", "boards", "requirements", "reports", "hil/campaigns.py"):
        source = REPOSITORY / part
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / part)
    (root / "firmware").mkdir()
    for path in (REPOSITORY / "firmware").glob("*.toml"):
        shutil.copy(path, root / "firmware" / path.name)
    (root / "security/vex").mkdir(parents=True)
    return root


def run(product: Path, *arguments: object) -> Result:
    options = ["vuln", *map(str, arguments), "--project", str(product)]
    return CliRunner().invoke(cli, options, standalone_mode=False)


def pinned(product: Path, *records: dict[str, Any]) -> Any:
    """A snapshot outside the repository, pinned."""
    folder = product.parent / "dump"
    shutil.rmtree(folder, ignore_errors=True)
    done = run(product, "update", dump(folder, *records), "--json")
    assert done.exception is None, done.exception
    return json.loads(done.output)


def test_a_snapshot_is_pinned_and_kept_by_its_digest(product: Path) -> None:
    told = pinned(product, CLEAR)
    lock = (product / "security/snapshot.toml").read_text(encoding="utf-8")
    assert f'sha256 = "{told["sha256"]}"' in lock
    assert "date = 2024-01-02\n" in lock
    assert (product / f".devicepipe/vulnerabilities/{told['sha256']}.sqlite").is_file()
    shutil.rmtree(product.parent / "dump")
    assert run(product, "check").return_value == 0


def test_a_snapshot_in_the_repository_is_read_from_there(product: Path) -> None:
    done = run(product, "update", dump(product / "security/data", CLEAR), "--description", 'a "sample"')
    assert done.exception is None
    lock = (product / "security/snapshot.toml").read_text(encoding="utf-8")
    assert 'path = "security/data"' in lock
    assert 'description = "a \\"sample\\""' in lock
    assert not (product / ".devicepipe").exists()
    assert "fixed         zcbor 0.9.1" in run(product, "check").output


def test_a_component_that_is_affected_ends_with_1(product: Path) -> None:
    pinned(product, AFFECTING)
    done = run(product, "check")
    assert done.return_value == 1
    assert "affected: zcbor 0.9.1 by SAMPLE-1 (0.9.1 is in the affected range of all versions)" in done.output
    document = json.loads(run(product, "check", "--json").output)
    verdicts = {one["name"]: one["verdict"] for one in document["assessment"]["components"]}
    assert (verdicts["zcbor"], verdicts["monocypher"]) == ("affected", "no_data")
    assert len(document["problems"]) == 1


def test_no_data_and_a_stale_snapshot_end_with_1_where_policy_says_so(product: Path) -> None:
    pinned(product, CLEAR)
    config = product / "devicepipe.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('no-data = "accept"', 'no-data = "refuse"'), encoding="utf-8")
    assert "no data: monocypher: no record names it" in run(product, "check").output
    config.write_text(text.replace('no-data = "accept"', 'no-data = "reviewed"'), encoding="utf-8")
    assert run(product, "check").return_value == 0
    config.write_text(text.replace("max-age = 36500", "max-age = 0"), encoding="utf-8")
    done = run(product, "check")
    assert done.return_value == 1
    assert "days old, 0 are allowed" in done.output


def test_what_became_known_since_a_release(product: Path, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path).path
    record = osv("SAMPLE-9", package({"introduced": "0"}, purl="pkg:github/somebody/crypto"))
    pinned(product, record)
    assert run(product, "check").return_value == 0
    done = run(product, "check", bundle)
    assert done.return_value == 1
    assert "affected: crypto 1.0 by SAMPLE-9" in done.output


def test_days_that_cannot_be_are_refused(product: Path) -> None:
    folder = dump(product.parent / "dump", CLEAR)
    for day in ("2024-01-01", "2999-01-01"):
        error = run(product, "update", folder, "--date", day).exception
        assert isinstance(error, UsageError)
        assert "the newest record is of 2024-01-02" in error.message
    assert run(product, "update", folder, "--date", "2024-01-02").exception is None


def test_a_lock_file_that_was_written_by_hand_is_checked(product: Path) -> None:
    error = run(product, "check").exception
    assert isinstance(error, UsageError)
    assert "devicepipe vuln update" in error.remedy
    told = pinned(product, CLEAR)
    lock = product / "security/snapshot.toml"
    text = lock.read_text(encoding="utf-8")
    lock.write_text(text.replace(told["sha256"], "0" * 64), encoding="utf-8")
    assert isinstance(run(product, "check").exception, BenchError)
    lock.write_text(text.replace("date = 2024-01-02", "date = 2023-12-31"), encoding="utf-8")
    error = run(product, "check").exception
    assert isinstance(error, UsageError)
    assert "the newest record is of 2024-01-02, after 2023-12-31" in error.message
    lock.write_text(text + 'path = "security/none"\n', encoding="utf-8")
    assert isinstance(run(product, "check").exception, UsageError)


def test_a_product_without_the_table_is_told_what_to_add(product: Path) -> None:
    config = product / "devicepipe.toml"
    text = config.read_text(encoding="utf-8")
    head, _, tail = text.partition("[vulnerabilities]\n")
    config.write_text(head + "[documents]" + tail.partition("[documents]")[2], encoding="utf-8")
    error = run(product, "check").exception
    assert isinstance(error, UsageError)
    assert "add [vulnerabilities]" in error.remedy
