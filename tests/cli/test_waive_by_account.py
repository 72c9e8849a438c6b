"""`devicepipe waive --as`: signed by the account of who may waive, logged, proven; refused before any secret is asked for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from devicepipe.approval.accounts import Identified
from devicepipe.cli import identify
from devicepipe.cli.main import cli
from devicepipe.durable import write_new
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.entry import Entry
from devicepipe.evidence.personal_waivers import beside, open_given
from devicepipe.evidence.signatures import open_roster
from devicepipe.policy.waivers import read_waiver
from devicepipe.project.config import Project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger
from tests.cli.calls import WORDS, entries, run

RULE = ("no-failed-verdicts", "--board", "one", "--finding", "failed: hil/test_a.py::test_b: no volume")
SOON = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()


def waive(who: str, *secrets: str, more: tuple[str, ...] = ()) -> Any:
    words = ("waive", *RULE, "--reason", "It is the\ntest.", "--until", SOON, "--as", who, *more)
    return run(*words, secrets=secrets)[1]


def folder(root: Path) -> Path:
    return root / "policy/waivers"


def files(root: Path) -> dict[str, bytes]:
    found = (path for path in folder(root).rglob("*") if path.is_file())
    return {path.relative_to(folder(root)).as_posix(): path.read_bytes() for path in found}


def test_a_waiver_is_signed_by_its_person_logged_and_proven_beside_it(
    root: Path, people: dict[str, pyotp.TOTP]
) -> None:
    told = waive("quinn", WORDS["quinn"], people["quinn"].now())["waiver"]
    assert (told["by"], told["role"]) == ("Quinn", "quality")
    assert (told["signer"]["account"], told["signer"]["role"]) == ("quinn", "qa")
    assert told["signer"]["components"] == ["password", "totp"]
    found, name = files(root), f"no-failed-verdicts.one.{SOON}.dsse.json"
    assert len(found) == 3
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    waiver, _ = open_given(found[name], key, beside(found), name)
    assert waiver.to_json() == told
    (entry,) = entries("waiver")
    assert (entry["by"], entry["subject"], entry["details"]["reason"]) == ("quinn", name, "It is the test.")
    assert [one["by"] for one in entries("login")] == ["quinn"]


def test_a_machine_that_is_behind_waives_with_the_time_of_the_roster(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None counts that is older than its roster; and nobody waits for a clock that is a minute slow."""
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    made = open_roster((root / "approval/roster.dsse.json").read_bytes(), key, "pump", "the roster").on
    behind = datetime.fromisoformat(made) - timedelta(minutes=1)
    monkeypatch.setattr("devicepipe.stages.waiver.datetime", type("Clock", (), {"now": lambda _: behind}))
    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.approval.record.AHEAD", timedelta(seconds=30))
        with pytest.raises(UsageError, match="the roster is dated"):
            waive("quinn", WORDS["quinn"], people["quinn"].now())
    assert waive("quinn", WORDS["quinn"], people["quinn"].now())["waiver"]["signer"]["on"] == made


def test_a_second_one_goes_on_in_the_session_under_a_name_of_its_own(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    waive("quinn", WORDS["quinn"], people["quinn"].now())
    told = waive("quinn", WORDS["quinn"])
    assert told["file"].endswith(f"{SOON}-2.dsse.json")
    assert told["waiver"]["signer"]["components"] == ["password"]
    assert len(files(root)) == 5  # the roster is one file
    assert len(entries("waiver")) == 2


@pytest.mark.parametrize(
    ("who", "more", "why"),
    [
        ("eva", (), "eva may not waive no-failed-verdicts with the roles engineer: only quality may"),
        ("ron", ("--role", "quality"), "ron may not waive no-failed-verdicts as quality"),
        ("quinn", ("--role", "reviewer"), "quinn may not waive no-failed-verdicts as reviewer"),
        ("nobody", (), "the roster knows no nobody"),
        ("quinn", ("--by", "A. Tester"), "an account has its own printed name"),
    ],
)
def test_who_may_not_waive_is_told_before_any_secret_is_asked_for(
    root: Path, people: dict[str, pyotp.TOTP], who: str, more: tuple[str, ...], why: str
) -> None:
    assert people
    with pytest.raises(UsageError, match=why):
        waive(who, more=more)
    assert not folder(root).exists()
    assert entries("waiver") == []


def test_a_wrong_secret_waives_nothing(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    for secrets in (("not the password", people["quinn"].now()), (WORDS["quinn"], "000000")):
        with pytest.raises(UsageError, match="is wrong"):
            waive("quinn", *secrets)
    assert not folder(root).exists()
    assert [one["details"]["outcome"] for one in entries("login")] == ["refused", "refused"]


def git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=Q", "-c", "user.email=Quinn@example.com", *words],
        cwd=root,
        check=True,
        capture_output=True,
    )


def test_an_author_of_the_change_is_told_so_unless_the_product_does_not_separate(
    root: Path, people: dict[str, pyotp.TOTP]
) -> None:
    git(root, "init", "-q")
    git(root, "add", "devicepipe.toml")
    git(root, "commit", "-qm", "feat: a change")
    with pytest.raises(UsageError, match="quinn is an author of the change, and may not waive as qa"):
        waive("quinn")
    with (root / "devicepipe.toml").open("a") as file:
        file.write('\n[approval]\nseparate = ["reviewer"]\n')
    assert waive("quinn", WORDS["quinn"], people["quinn"].now())["waiver"]["signer"]["account"] == "quinn"


def test_in_a_shallow_clone_which_hides_authors_nobody_waives(
    root: Path, people: dict[str, pyotp.TOTP], tmp_path: Path
) -> None:
    assert people
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "-q")
    for message in ("feat: a change", "feat: another"):
        git(whole, "commit", "-qm", message, "--allow-empty")
    git(whole, "clone", "-q", "--depth", "1", whole.as_uri(), str(tmp_path / "clone"))
    (tmp_path / "clone/.git").rename(root / ".git")
    with pytest.raises(UsageError, match="is a shallow clone"):
        waive("quinn")


def test_a_product_may_take_waivers_of_accounts_only(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    with (root / "devicepipe.toml").open("a") as file:
        file.write('\n[policy]\nwaivers-by = "account"\n')
    with pytest.raises(UsageError, match="takes waivers of accounts only"):
        run("waive", *RULE, "--reason", "r", "--until", SOON, "--role", "quality")
    with pytest.raises(UsageError, match="say what you are"):
        run("waive", *RULE, "--reason", "r", "--until", SOON)
    assert waive("quinn", WORDS["quinn"], people["quinn"].now())["file"]


def test_one_by_the_release_key_is_logged_and_proven_too(root: Path) -> None:
    run("waive", *RULE, "--reason", "r", "--until", SOON, "--role", "quality", "--by", "A. Tester")
    (entry,) = entries("waiver")
    assert (entry["by"], entry["details"]["role"]) == ("A. Tester", "quality")
    found = files(root)
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    name = next(one for one in found if one.endswith(".dsse.json"))
    assert open_given(found[name], key, beside(found), name)[0].signer is None


def test_without_its_proof_it_is_none_and_a_changed_one_is_told(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    waive("quinn", WORDS["quinn"], people["quinn"].now())
    found = files(root)
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    name = f"no-failed-verdicts.one.{SOON}.dsse.json"
    proof = name.replace(".dsse.json", ".tlog-proof")
    without = {one: data for one, data in found.items() if one != proof}
    given = read_waiver(found[name], key, name, "0" * 64, beside(without))
    assert (given.waiver, given.problem) == (None, "is not proven to be in the log")
    data = bytearray(found[name])
    data[200] ^= 1
    with pytest.raises(IntegrityError):
        open_given(bytes(data), key, beside(found), name)


def test_nothing_is_written_where_the_log_cannot_be(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    checkpoint = root / ".devicepipe/log/checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b"/log\n", b"/other\n", 1))
    with pytest.raises(IntegrityError):
        waive("quinn", WORDS["quinn"], people["quinn"].now())
    assert not folder(root).exists()


class KilledError(BaseException):
    """Where the process ends."""


@pytest.mark.parametrize("step", range(4), ids=["before the roster", "before the log", "before the proof", "before it"])
def test_a_killed_process_leaves_no_waiver_without_its_proof_and_the_next_one_works(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    written: list[Path] = []

    def write(path: Path, data: bytes) -> bool:
        if len(written) == (step if step == 0 else step - 1):
            raise KilledError
        written.append(path)
        return write_new(path, data)

    real = ledger.append

    def append(project: Project, batch: Sequence[Entry]) -> range:
        if batch[0].kind == "waiver":
            raise KilledError
        return real(project, batch)

    with monkeypatch.context() as patch:
        if step == 1:
            patch.setattr(ledger, "append", append)
        else:
            patch.setattr("devicepipe.stages.waiver.write_new", write)
        with pytest.raises(KilledError):
            _waive_raw(people)
    assert not [name for name in files(root) if name.endswith(".dsse.json") and not name.startswith("rosters/")]
    logged = len(entries("waiver"))
    assert logged == (1 if step > 1 else 0)
    told = waive("quinn", WORDS["quinn"])
    found, name = files(root), Path(told["file"]).name
    key = PublicKey.load(root / ".devicepipe/keys/release.pub.pem")
    assert open_given(found[name], key, beside(found), name)[0].to_json() == told["waiver"]
    assert len(entries("waiver")) == logged + 1


def _waive_raw(people: dict[str, pyotp.TOTP]) -> None:
    """As `waive`, letting through what ends the process."""
    reading, writing = os.pipe()
    os.write(writing, f"{WORDS['quinn']}\n{people['quinn'].now()}\n".encode())
    os.close(writing)
    words = ["waive", *RULE, "--reason", "r", "--until", SOON, "--as", "quinn", "--secrets-fd", str(reading)]
    cli.main(words, standalone_mode=False)


def test_who_lost_the_role_while_the_password_was_typed_waived_all_the_same(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the roster before: a question for a password that is left open lets nobody keep a right."""
    typed = identify.identify

    def slowly(project: Project, account: str, secrets_fd: int | None) -> Identified:
        run("account", "roles", "quinn", "--role", "engineer")
        return typed(project, account, secrets_fd)

    monkeypatch.setattr(identify, "identify", slowly)
    with pytest.raises(UsageError, match="the roster was signed anew meanwhile"):
        waive("quinn", WORDS["quinn"], people["quinn"].now())
    assert not folder(root).exists()
    assert not entries("waiver")
