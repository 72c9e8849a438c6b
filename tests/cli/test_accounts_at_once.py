"""Two administrators at once, and commands that fail or are killed: accounts and roster never differ for it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.ledger.entry import Entry
from devicepipe.evidence.signatures import open_roster
from devicepipe.project.config import Project, load_project
from devicepipe.signing.keys import PublicKey
from devicepipe.stages import ledger, rosters
from devicepipe.stages.context import Keys
from devicepipe.stages.rosters import alone_with_roster, current_roster
from tests.cli.calls import enrol, entries, run
from tests.cli.rotation import configure
from tests.cli.test_rosters import ROSTER, write
from tests.killing import killed_at, points_of

FINISHED = "interrupted change finished"
BESIDE = "approval/.roster.dsse.json.new"


def in_roster(root: Path) -> set[str]:
    from devicepipe.stages.context import open_keys

    keys = open_keys(load_project(root / "devicepipe.toml"))
    return {one.account for one in open_roster((root / ROSTER).read_bytes(), keys.trust, "pump", "roster").people}


def in_database() -> set[str]:
    return {one["account"] for one in run("account", "list")[1]}


def finished() -> list[str]:
    return [one["subject"] for one in entries("account") if one["details"]["change"] == FINISHED]


def add(who: str) -> Callable[[], object]:
    return lambda: enrol(who, "some words of mine", "qa")


def rotate(root: Path) -> None:
    """Bring another release key in."""
    key = Ed25519PrivateKey.generate()
    private, public = root / "next.key.pem", root / "next.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    run("keys", "rotate", "release", "--signer", f"file:{private}", "--public", public, "--reason", "it is time")


def child(action: Callable[[], object]) -> int:
    """Do it in another process; its id."""
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(60)
            action()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a forked child must never come back
            os._exit(1)
    return pid


def code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def waits(root: Path, action: Callable[[], object]) -> bool:
    """Do it in another process while this one has the roster; whether it waited until that was over, and then did it."""
    reading, writing = os.pipe()

    def told() -> None:
        os.read(reading, 1)
        action()

    pid = child(told)  # forked before: a lock is shared with children
    with alone_with_roster(load_project(root / "devicepipe.toml")):
        os.write(writing, b"x")
        time.sleep(1.5)
        waited = os.waitpid(pid, os.WNOHANG) == (0, 0)
    assert waited
    return code(pid) == 0


def test_two_accounts_added_at_once_are_both_in_database_and_roster(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = rosters.check_accounts

    def slowly(*arguments: object) -> None:
        checked(*arguments)  # type: ignore[arg-type]
        time.sleep(0.5)

    monkeypatch.setattr(rosters, "check_accounts", slowly)
    assert [code(pid) for pid in [child(add("nina")), child(add("otto"))]] == [0, 0]
    assert in_roster(root) == in_database() == {*people, "nina", "otto"}
    run("account", "roles", "eva", "--role", "engineer", "--role", "qa")
    assert finished() == []


@pytest.mark.parametrize("act", [add("nina"), lambda: run("account", "roster")], ids=["account add", "account roster"])
def test_a_command_waits_for_the_one_that_changes_the_roster(
    root: Path, people: dict[str, pyotp.TOTP], act: Callable[[], object]
) -> None:
    assert people
    assert waits(root, act)


def test_who_reads_the_roster_between_its_log_and_its_file_fails_neither(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who signs takes no lock, and puts the roster in its place before the command that made it."""
    append, read = ledger.append, []

    def meanwhile(project: Project, new: list[Entry], keys: Keys | None = None) -> range:
        numbers = append(project, new, keys)
        read.append(current_roster(project))
        return numbers

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", meanwhile)
        add("nina")()
    assert read == [(root / ROSTER).read_bytes()]
    assert in_roster(root) == in_database() == {*people, "nina"}
    assert finished() == []


def test_two_who_finish_the_roster_of_a_killed_process_both_read_it(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (root / ROSTER).read_bytes()
    add("nina")()
    newest = (root / ROSTER).read_bytes()
    (root / ROSTER).rename(root / BESIDE)
    (root / ROSTER).write_bytes(old)
    project, put, read = load_project(root / "devicepipe.toml"), Path.replace, []

    def second(path: Path, target: Path) -> Path:
        monkeypatch.undo()
        read.append(current_roster(project))
        return put(path, target)

    monkeypatch.setattr(Path, "replace", second)
    read.append(current_roster(project))
    assert read == [newest, newest]


def test_an_account_whose_roster_cannot_be_signed_is_not_made(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> bytes:
        raise BenchError("the token is gone")

    with monkeypatch.context() as patch:
        patch.setattr(rosters, "sign_roster", gone)
        with pytest.raises(BenchError, match="the token is gone"):
            add("nina")()
        with pytest.raises(BenchError, match="the token is gone"):
            run("account", "close", "ron")
    assert in_roster(root) == in_database() == {*people}
    assert not any(one["closed"] for one in run("account", "list")[1])
    add("nina")()
    assert in_roster(root) == in_database() == {*people, "nina"}
    assert finished() == []


def test_a_change_that_could_not_be_logged_is_finished_by_the_next_command(
    root: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> range:
        raise BenchError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.stages.ledger.append", full)
        with pytest.raises(BenchError, match="no space left"):
            add("nina")()
    run("account", "roles", "eva", "--role", "engineer", "--role", "qa")
    assert in_roster(root) == in_database() == {*people, "nina"}
    assert finished() == ["nina"]
    assert [one["subject"] for one in entries("key-use")][-3:] == ["roster 3", "roster 4", "roster 5"]


def test_account_add_is_killed(
    root: Path, people: dict[str, pyotp.TOTP], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whenever the process ends, the next command goes on without an alarm, and database and roster are of one mind."""
    kept = tmp_path_factory.mktemp("kept")
    for name in (".devicepipe", "approval"):
        shutil.copytree(root / name, kept / name)

    def put_back() -> None:
        for name in (".devicepipe", "approval"):
            shutil.rmtree(root / name)
            shutil.copytree(kept / name, root / name)

    total = points_of(add("nina"))
    assert total > 20
    seen = set()
    for point in range(total // 3, total + 1, 2):
        put_back()
        acknowledged = killed_at(add("nina"), point)
        made = "nina" in in_database()
        assert made or not acknowledged, point
        run("account", "roles", "eva", "--role", "engineer", "--role", "qa")
        assert in_roster(root) == in_database() == {*people, *(["nina"] if made else [])}, point
        seen.add((made, *finished()))
    assert {(False,), (True,), (True, "nina")} == seen


def test_what_lies_beside_the_roster_excuses_no_writing_into_the_database(
    root: Path, people: dict[str, pyotp.TOTP]
) -> None:
    assert people
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "quinn", "--role", "engineer")
    for beside in (old, (root / ROSTER).read_bytes(), b"{}"):  # an older roster, the present one, and none
        (root / BESIDE).write_bytes(beside)
        write(
            root,
            ("DELETE FROM account_role WHERE account = 'quinn'", ()),
            ("INSERT INTO account_role VALUES ('quinn', 'qa')", ()),
        )
        with pytest.raises(UsageError, match="quinn: roles is qa in the database, engineer in the roster"):
            run("account", "roles", "eva", "--role", "engineer")
    assert finished() == []


def test_an_older_roster_is_not_signed_anew_by_a_rotation(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert people
    old = (root / ROSTER).read_bytes()
    run("account", "roles", "quinn", "--role", "engineer")
    newest = (root / ROSTER).read_bytes()
    (root / ROSTER).write_bytes(old)
    with pytest.raises(UsageError, match="this is not the newest roster, which is number 4"):
        rotate(root)
    (root / ROSTER).write_bytes(newest)
    assert waits(root, lambda: rotate(root))


def test_a_revocation_waits_for_who_changes_accounts_roster_or_keys(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert people
    old = PublicKey.load(root / ".devicepipe/keys/release.pub.pem").keyid
    rotate(root)
    configure(root, release=f"file:{root / 'next.key.pem'}", release_public="next.pub.pem")
    assert waits(root, lambda: run("keys", "revoke", old, "--reason", "laptop stolen", "--keep-no-others"))
    assert [one["details"]["change"] for one in entries("key-change")][-1] == "revoked"
