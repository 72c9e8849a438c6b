"""The database of accounts: what is told of its URL, and who may read its file."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from devicepipe.approval.accounts import Accounts
from devicepipe.cli.main import _as_ours
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.config import load_project
from devicepipe.stages.approval import open_accounts
from tests.approval.conftest import CHEAP
from tests.traceability.test_reviews import make_project

SECRET = "s3cr3t"
MALFORMED = [
    f"postgresql+psycopg://dp:first@{SECRET}@127.0.0.1/x",
    f"postgresql+psycopg://dp:{SECRET}/x@127.0.0.1:5432/x",
    f"postgresql+psycopg://dp:first@{SECRET}/rest@127.0.0.1/x",
    f"postgresql+psycopg://dp:p:{SECRET}@host:54x2/x",
    f"postgresql+psycopg://dp:{SECRET}/x",
    f"postgresql+psycopg://dp:abc#{SECRET}@127.0.0.1:1/x",
    f"postgresql+psycopg://127.0.0.1:1/x?password=first@{SECRET}",
    f"postgresql+psycopg://dp:{SECRET}@[::1/x",
    f"postgresql+psycopg:{SECRET}",
    f"postgresql+psycopg//dp:{SECRET}@h/x",
    f"postgres://dp:{SECRET}@h/x",
    f"mysql+pymysql://dp:{SECRET}@h/x",
    f"sqlite:///{SECRET}?mode=ro",
]
REFUSED = [
    f"postgresql+psycopg://dp:{SECRET}@127.0.0.1:1/x",
    f"postgresql+psycopg://{SECRET}@127.0.0.1:1/x",
    f"postgresql+psycopg://dp:{SECRET}@127.0.0.1:99999/x",
    f"postgresql+psycopg://dp:{SECRET}@127.0.0.1:1/x?nonsense={SECRET}2",
    f"postgresql+psycopg://127.0.0.1:1/x?password={SECRET}&user=dp",
    f"postgresql+psycopg://dp:pw@127.0.0.1:1/x?sslmode={SECRET}",
    f"postgresql+nonsense://dp:{SECRET}@h/x",
]
"""Well-formed, and no server or driver takes them."""
IN_THE_FILE = [
    f"postgresql+psycopg://dp:{SECRET}@db.example.com/accounts",
    f"postgresql+psycopg://dp@db.example.com/accounts?password={SECRET}",
    f"postgresql+psycopg://dp@db.example.com/accounts?sslmode=require&sslpassword={SECRET}",
    *MALFORMED,
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_url_that_could_be_read_in_two_ways_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="the URL of the database of accounts is malformed") as caught:
        Accounts(url, CHEAP)
    _says_nothing_of_it(caught.value)


@pytest.mark.parametrize("url", REFUSED)
def test_an_error_of_the_database_repeats_no_password_port_or_user(url: str) -> None:
    with pytest.raises(BenchError, match="the database of accounts cannot be used") as caught:
        Accounts(url, CHEAP)
    _says_nothing_of_it(caught.value)


def test_an_error_of_the_database_names_its_host() -> None:
    with pytest.raises(BenchError, match=r"127\.0\.0\.7"):
        Accounts("postgresql+psycopg://dp:a%40b@127.0.0.7:15432/x", CHEAP)


@pytest.mark.parametrize("url", IN_THE_FILE)
def test_a_password_of_the_database_is_refused_in_the_file_that_is_published(url: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    file = tmp_path / "devicepipe.toml"
    file.write_text(f'{file.read_text()}\n[approval]\naccounts = "{url}"\n')
    with pytest.raises(UsageError) as caught:
        load_project(file)
    assert caught.value.key == "approval.accounts"
    _says_nothing_of_it(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://dp@db.example.com:5432/x?sslmode=require", "sqlite:////srv/a.sqlite"]
)
def test_a_url_without_a_password_is_taken_from_the_file(url: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    file = tmp_path / "devicepipe.toml"
    file.write_text(f'{file.read_text()}\n[approval]\naccounts = "{url}"\n')
    assert load_project(file).approval.accounts == url


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f'[publication]\nrepository = "s3://AKIA:{SECRET}@bucket/x"\n', "publication.repository"),
        (f'[approval]\ntsa = "https://me:{SECRET}@tsa.example.com"\ntsa-certificates = "x"\n', "approval.tsa"),
        (f'[approval.oidc]\nissuer = "https://me:{SECRET}@x"\nclient-id = "x"\n', "approval.oidc.issuer"),
    ],
)
def test_a_password_in_any_url_is_refused_in_the_file_that_is_published(text: str, key: str, tmp_path: Path) -> None:
    make_project(tmp_path)
    file = tmp_path / "devicepipe.toml"
    file.write_text(f"{file.read_text()}\n{text}")
    with pytest.raises(UsageError, match="this file lies in every bundle") as caught:
        load_project(file)
    assert (caught.value.key, bool(caught.value.line)) == (key, True)
    _says_nothing_of_it(caught.value)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_else_can_read_the_accounts_and_guess_at_leisure(umask: int, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    with _umask(umask):
        open_accounts(project).dispose()
        file = tmp_path / ".devicepipe/accounts.sqlite"
        with closing(sqlite3.connect(file)) as database:
            database.execute("INSERT INTO account_identity VALUES ('a', 'b', 'c')")
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in file.parent.glob("accounts.sqlite*")}
    assert modes == {"accounts.sqlite": 0o600, "accounts.sqlite-journal": 0o600}


def test_accounts_that_others_could_read_are_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "accounts.sqlite"
    Accounts(f"sqlite:///{file}", CHEAP).dispose()
    file.chmod(0o664)
    Accounts(f"sqlite:///{file}", CHEAP).dispose()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _says_nothing_of_it(error: Exception) -> None:
    told = _as_ours(error)
    assert SECRET not in f"{told} {told.to_json()}"
    assert told.remedy
