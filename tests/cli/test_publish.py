"""`devicepipe publish`, `unpublish`, `pull` and `repository`, as people use them; the stock TUF client judges what they made."""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner
from tuf.ngclient import Updater

from devicepipe.approval.accounts import AccountRules
from devicepipe.approval.secret_box import Cost
from devicepipe.cli.main import cli
from devicepipe.distribution.client import StoreFetcher
from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.errors import DevicepipeError, IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.evidence.synthetic_bundle import Keys, Made, Pair, make_bundle
from tests.evidence.synthetic_production import make_production
from tests.traceability.test_reviews import make_project

WORDS = {
    "eva": "horse battery staple",
    "ron": "quite another phrase",
    "quinn": "seven blue elephants",
    "mara": "eleven wooden spoons",
}
ROLES = {"eva": "engineer", "ron": "reviewer", "quinn": "qa", "mara": "release-manager"}


def run(*arguments: object, secrets: tuple[str, ...] = ()) -> tuple[int, Any]:
    """Call a command with `--json`; its exit code and what it printed."""
    words = [str(one) for one in arguments]
    if secrets:
        reading, writing = os.pipe()
        os.write(writing, "".join(f"{secret}\n" for secret in secrets).encode())
        os.close(writing)
        words += ["--secrets-fd", str(reading)]
    result = CliRunner().invoke(cli, [*words, "--json"], standalone_mode=False)
    if isinstance(result.exception, DevicepipeError):
        raise result.exception
    assert result.exception is None, result.exception
    return result.return_value or 0, json.loads(result.stdout)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    cheap = functools.partial(AccountRules, cost=Cost(memory_kib=64, iterations=1, lanes=1))
    monkeypatch.setattr("devicepipe.stages.approval.AccountRules", cheap)
    return tmp_path


@pytest.fixture
def people(root: Path) -> dict[str, pyotp.TOTP]:
    """The authenticators of the team."""
    found: dict[str, pyotp.TOTP] = {}
    for id_, role in ROLES.items():
        words = ("account", "add", id_, "--name", id_.title(), "--email", f"{id_}@example.com", "--role", role)
        totp = pyotp.parse_uri(run(*words, secrets=(WORDS[id_],))[1]["authenticator"])
        assert isinstance(totp, pyotp.TOTP)
        found[id_] = totp
    return found


def make_release(root: Path, version: str = "1.2.3") -> Made:
    """A release of the project's keys, and what ships of it."""
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir(exist_ok=True)
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    made = make_bundle(root / "dist", keys=pairs, version=version, name=f"pump-{version}")
    make_production(made)
    return made


def sign(command: str, bundle: Path, who: str, people: dict[str, pyotp.TOTP], meaning: str = "I have read it") -> Any:
    """Sign, with a code where the session takes one."""
    words = (command, bundle, "--as", who, "--meaning", meaning)
    try:
        return run(*words, secrets=(WORDS[who], people[who].now()))[1]
    except UsageError as error:
        if "taken" not in error.message and "code" not in error.message:
            raise
        return run(*words, secrets=(WORDS[who],))[1]


def approve(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    for command, who in (("submit", "eva"), ("approve", "ron"), ("approve", "quinn")):
        sign(command, bundle, who, people)


@pytest.fixture
def bundle(root: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """An approved release, and a repository to publish it in."""
    made = make_release(root)
    approve(made.path, people)
    assert run("repository", "init") == (
        0, {"version": 1, "file": str(root / "publication/root.json"), "published": True, "missing": ""}
    )  # fmt: skip
    return made.path


def pull(root: Path, *arguments: str, first: bool = False, trust: str = "trust") -> Any:
    words = ["pull", "dist/repository", *arguments, "--output", "pulled", "--trust", trust]
    if first:
        words += ["--root", "publication/root.json", "--key", ".devicepipe/keys/release.pub.pem"]
    return run(*words)[1]


def stock(root: Path) -> Updater:
    base = (root / "dist/repository").as_uri()
    folder = root / "stock"
    folder.mkdir(exist_ok=True)
    return Updater(
        str(folder),
        f"{base}/metadata/",
        str(folder),
        f"{base}/targets/",
        StoreFetcher(base),
        bootstrap=(root / "publication/root.json").read_bytes(),
    )


def test_an_approved_release_is_published_pulled_and_withdrawn(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    told = sign("publish", bundle, "mara", people, "Released to the field")
    assert (told["state"], told["version"], told["meaning"], told["changed"]) == (
        "released", "1.2.3", "Released to the field", True,
    )  # fmt: skip
    assert run("approvals", bundle)[1]["state"] == "released"
    got = pull(root, first=True)
    assert (got["version"], got["new"], got["developmentKeys"]) == ("1.2.3", True, True)
    production = bundle.with_name(f"{bundle.name}.production")
    image = "images/alpha/factory.hex"
    assert (root / "pulled/pump-1.2.3" / image).read_bytes() == (production / image).read_bytes()
    target = stock(root).get_targetinfo(f"pump/1.2.3/{image}")
    assert target is not None

    before = {path: path.read_bytes() for path in (root / "dist/repository/targets").rglob("*") if path.is_file()}
    told = sign("unpublish", bundle, "quinn", people, "Field report 7")
    assert (told["state"], told["meaning"], told["changed"]) == ("withdrawn", "Field report 7", True)
    assert run("approvals", bundle)[1]["state"] == "withdrawn"
    with pytest.raises(WithdrawnError, match=r"pump 1\.2\.3 was withdrawn on .*: Field report 7"):
        pull(root, "1.2.3")
    assert stock(root).get_targetinfo(f"pump/1.2.3/{image}") is None
    assert all(path.read_bytes() == data for path, data in before.items())
    log = run("log", "show", "--kind", "publication")[1]
    assert [(one["by"], one["subject"], one["details"]["outcome"]) for one in log] == [
        ("mara", "pump 1.2.3", "published"), ("quinn", "pump 1.2.3", "withdrawn"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="withdrawn cannot be released"):
        sign("publish", bundle, "mara", people)


def test_publishing_again_changes_nothing_and_asks_for_nothing(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    metadata = sorted(path.name for path in (root / "dist/repository/metadata").iterdir())
    assert run("publish", bundle)[1]["changed"] is False
    assert sorted(path.name for path in (root / "dist/repository/metadata").iterdir()) == metadata
    assert len(run("log", "show", "--kind", "publication")[1]) == 1
    assert pull(root, first=True)["new"] is True
    assert pull(root)["new"] is False


def test_a_release_that_is_not_approved_is_not_published(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    made = make_release(root)
    run("repository", "init")
    for state in ("draft", "candidate"):
        with pytest.raises(UsageError, match=f"a release that is {state} cannot be released"):
            sign("publish", made.path, "mara", people)
        if state == "draft":
            sign("submit", made.path, "eva", people)
    assert run("repository", "status")[1]["releases"] == []


def test_only_a_release_manager_publishes(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="no role that may release"):
        sign("publish", bundle, "quinn", people)
    with pytest.raises(UsageError, match="--as is missing"):
        run("publish", bundle)
    assert run("repository", "status")[1]["releases"] == []


@pytest.mark.parametrize("what", ["dropped", "flipped", "of-another-release", "missing"])
def test_what_does_not_ship_as_attested_is_not_signed_and_not_published(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], what: str
) -> None:
    production = bundle.with_name(f"{bundle.name}.production")
    image = production / "images/alpha/application.signed.bin"
    if what == "dropped":
        image.unlink()
    elif what == "flipped":
        image.write_bytes(image.read_bytes()[:-1] + b"!")
    elif what == "missing":
        shutil.rmtree(production)
    else:
        other = make_release(root, "1.2.4").path
        shutil.rmtree(production)
        shutil.copytree(other.with_name(f"{other.name}.production"), production)
    with pytest.raises(UsageError if what == "missing" else IntegrityError):
        sign("publish", bundle, "mara", people)
    assert run("approvals", bundle)[1]["state"] == "approved"
    assert run("repository", "status")[1]["releases"] == []


def test_a_release_that_was_withdrawn_without_the_repository_is_withdrawn_there_too(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    sign("withdraw", bundle, "quinn", people, "Field report 8")
    assert run("repository", "status")[1]["releases"][0]["state"] == "released"
    assert run("unpublish", bundle)[1]["meaning"] == "Field report 8"
    assert run("repository", "status")[1]["releases"][0]["state"] == "withdrawn"


def test_what_was_never_published_is_not_unpublished(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="is not published"):
        sign("unpublish", bundle, "quinn", people)
    assert run("approvals", bundle)[1]["state"] == "approved"


def test_a_version_is_published_of_one_bundle_only(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    for folder in (bundle, record_folder(bundle), bundle.with_name(f"{bundle.name}.production")):
        shutil.rmtree(folder)
    keys = open_keys(load_project(root / "devicepipe.toml"))
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    from tests.evidence.synthetic_bundle import Spoil

    spoil = Spoil(files={"documents/report.pdf": b"%PDF-1.7 another one\n"})
    made = make_bundle(root / "dist", keys=pairs, name="pump-1.2.3", spoil=spoil)
    make_production(made)
    approve(made.path, people)
    with pytest.raises(UsageError, match="is published, of another bundle"):
        sign("publish", made.path, "mara", people)


def test_the_newest_release_is_pulled_and_an_older_one_by_name(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    newer = make_release(root, "1.10.0").path
    approve(newer, people)
    sign("publish", newer, "mara", people)
    assert pull(root, first=True)["version"] == "1.10.0"
    assert pull(root, "1.2.3")["version"] == "1.2.3"
    sign("unpublish", newer, "quinn", people)
    assert pull(root)["version"] == "1.2.3"
    with pytest.raises(UsageError, match="no such release"):
        pull(root, "9.9.9")


def test_pull_needs_a_root_and_a_key_to_begin_with(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    with pytest.raises(UsageError, match="no release key is trusted"):
        pull(root)
    key = root / ".devicepipe/keys/release.pub.pem"
    with pytest.raises(UsageError, match="nothing of .* is trusted yet"):
        pull(root, "--key", str(key))
    other = root / "other.json"
    other.write_text('{"signed": {}, "signatures": []}')
    with pytest.raises(IntegrityError, match="is no TUF metadata"):
        pull(root, "--key", str(key), "--root", str(other))
    with pytest.raises(IntegrityError):
        pull(root, "--key", str(root / ".devicepipe/keys/image.pub.pem"), "--root", "publication/root.json")
    assert not (root / "pulled").exists() or [path for path in (root / "pulled").iterdir() if path.is_dir()] == []


def test_init_is_once_and_status_tells(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="there is a repository"):
        run("repository", "init")
    sign("publish", bundle, "mara", people)
    code, told = run("repository", "status", "--full")
    assert code == 0
    assert told["filesChecked"] == told["releases"][0]["files"] > 10
    assert {role: of["version"] for role, of in told["roles"].items()} == {
        "root": 1, "timestamp": 2, "snapshot": 2, "targets": 2,
    }  # fmt: skip
    assert run("repository", "refresh")[1]["renewed"] == ["timestamp"]
    assert run("repository", "refresh", "--all")[1]["renewed"] == ["targets", "snapshot", "timestamp"]
