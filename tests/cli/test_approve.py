"""`devicepipe account`, `submit`, `approve` and their kin, as people use them: secrets by file descriptor, sessions, exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner

from devicepipe.cli.main import cli
from devicepipe.errors import DevicepipeError, IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from devicepipe.project.config import load_project
from devicepipe.stages.context import open_keys
from tests.evidence.synthetic_bundle import Keys, Pair, make_bundle
from tests.traceability.test_reviews import make_project

WORDS = {"eva": "horse battery staple", "ron": "quite another phrase", "quinn": "seven blue elephants"}

Run = Callable[..., Any]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bundle(root: Path) -> Path:
    """A release of the project's keys."""
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir()
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    return make_bundle(root / "dist", keys=pairs).path


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
def people(root: Path) -> dict[str, pyotp.TOTP]:
    """The authenticators of the team."""
    found: dict[str, pyotp.TOTP] = {}
    for id_, role in (("eva", "engineer"), ("ron", "reviewer"), ("quinn", "qa")):
        words = ("account", "add", id_, "--name", id_.title(), "--email", f"{id_}@example.com", "--role", role)
        _, told = run(*words, secrets=(WORDS[id_],))
        totp = pyotp.parse_uri(told["authenticator"])
        assert isinstance(totp, pyotp.TOTP)
        found[id_] = totp
    return found


def sign(command: str, bundle: Path, who: str, *secrets: str, **options: str) -> tuple[int, Any]:
    extra = [word for key, value in options.items() for word in (f"--{key}", value)]
    return run(command, bundle, "--as", who, "--meaning", "I have read it", *extra, secrets=secrets)


def test_a_release_is_submitted_and_approved_by_two_people(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert run("approvals", bundle)[0] == 1
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    _, told = sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    assert (told["state"], told["missing"]) == ("candidate", {"qa": 1})
    _, told = sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    assert told["state"] == "approved"
    code, told = run("approvals", bundle)
    assert code == 0
    assert [(one["action"], one["name"], one["role"]) for one in told["signatures"]] == [
        ("submit", "Eva", "engineer"), ("approve", "Ron", "reviewer"), ("approve", "Quinn", "qa"),
    ]  # fmt: skip
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    assert run("verify", bundle, "--key", key)[1]["approval"]["state"] == "approved"


def test_a_session_goes_on_without_a_code_for_the_next_signature_only_of_the_same_person(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    _, told = sign("retract", bundle, "ron", WORDS["ron"])
    assert told["components"] == ["password"]
    with pytest.raises(UsageError, match="no line for: One-time code"):
        sign("approve", bundle, "quinn", WORDS["quinn"])


@pytest.mark.parametrize("given", ["eva", "ron"])
def test_what_may_not_be_signed_is_told_before_any_secret_is_asked_for(
    bundle: Path, people: dict[str, pyotp.TOTP], given: str
) -> None:
    assert people
    with pytest.raises(UsageError, match=r"no role that may approve|draft cannot be approved"):
        sign("approve", bundle, given)


def test_a_wrong_secret_signs_nothing(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    for secrets in (("not the password", people["eva"].now()), (WORDS["eva"], "000000")):
        with pytest.raises(UsageError, match="is wrong"):
            sign("submit", bundle, "eva", *secrets)
    assert not record_folder(bundle).exists()


def test_who_is_not_in_the_roster_signs_nothing(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    run("account", "close", "eva")
    with pytest.raises(UsageError, match="eva has no role that may submit"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())


def test_a_tampered_record_is_refused_by_verify_and_by_the_next_signer(
    bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    (record_folder(bundle) / "0001.dsse.json").unlink()
    key = bundle.parents[1] / ".devicepipe/keys/release.pub.pem"
    for words in (("verify", bundle, "--key", key), ("approvals", bundle)):
        with pytest.raises(IntegrityError, match="missing, though there are later signatures"):
            run(*words)
    with pytest.raises(IntegrityError, match="missing, though there are later signatures"):
        sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())


def test_a_changed_password_is_the_one_from_now_on(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    CliRunner().invoke(cli, ["account", "password", "eva"], input="", standalone_mode=False)
    reading, writing = os.pipe()
    os.write(writing, f"{WORDS['eva']}\nfour green umbrellas\n".encode())
    os.close(writing)
    words = ["account", "password", "eva", "--secrets-fd", str(reading)]
    assert CliRunner().invoke(cli, words, standalone_mode=False).output == "changed\n"
    with pytest.raises(UsageError, match="is wrong"):
        sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    assert sign("submit", bundle, "eva", "four green umbrellas", people["eva"].now())[1]["state"] == "candidate"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("add", "Eva", "--name", "E", "--email", "e@e", "--role", "qa"), "cannot name an account"),
        (("add", "eva", "--name", "E", "--email", "e@e", "--role", "boss"), "there is no role 'boss'"),
        (("roles", "nobody", "--role", "qa"), "there is no account nobody"),
        (("close", "nobody"), "there is no account nobody"),
    ],
)
def test_mistakes_are_told(root: Path, words: tuple[str, ...], why: str) -> None:
    assert root
    with pytest.raises(UsageError, match=why):
        run("account", *words)
