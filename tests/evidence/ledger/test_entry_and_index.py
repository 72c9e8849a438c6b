from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger import index
from devicepipe.evidence.ledger.entry import KINDS, Entry, Kind, decode_entry, encode_entry, is_plain_entry, make_entry
from devicepipe.evidence.ledger.index import Search, find, scan
from devicepipe.evidence.ledger.log import Log
from devicepipe.evidence.ledger.tiles import decode_bundle, encode_bundle
from devicepipe.evidence.ledger.writer import open_writer
from tests.evidence.ledger.keys import log_signer
from tests.evidence.ledger.logs import TRUST, digest, make_log, sample

AT = "2026-11-29T10:00:00Z"
LINE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=30
) | st.sampled_from(['"', "\\", "\x20\u00a0", "\u20ac\U0001f600", "\ufb33\ue000", "</script>"])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind: Kind = draw(st.sampled_from(get_args(Kind)))
    rule = KINDS[kind]
    names = [*rule.required, *draw(st.sets(st.sampled_from(rule.optional)) if rule.optional else st.just(set()))]
    details = {name: draw(LINE) for name in names}
    has = rule.digest or draw(st.booleans())
    return make_entry(
        kind, at=AT, by=draw(LINE), subject=draw(LINE), digest=digest(draw(LINE)) if has else None, details=details
    )


@settings(max_examples=300)
@given(entries())
def test_the_text_is_rfc_8785(entry: Entry) -> None:
    text = encode_entry(entry)
    assert text == rfc8785.dumps(entry.to_json())
    assert decode_entry(text, "x") == entry
    assert is_plain_entry(text) is text.isascii()


PIECES = [
    b'"',
    b"\\",
    b",",
    b"{",
    b"}",
    b'"by":"',
    b"\x00",
    b"\xff",
    b"\xe2\x80\xa8",
    b"\xd9\xa1",
    b"a",
    b'","z":"',
    b"\\u0041",
    b"\\/",
    b" ",
    b"",
]


@settings(max_examples=600)
@given(entries(), st.data())
def test_what_is_told_quickly_is_told_rightly(entry: Entry, data: st.DataObject) -> None:
    text = encode_entry(entry)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + data.draw(st.integers(0, 3)) :]
    other = data.draw(st.sampled_from([*KINDS])).encode()
    text = data.draw(st.sampled_from([text, text.replace(entry.kind.encode(), other)]))
    if is_plain_entry(text):
        decode_entry(text, "x")
    elif text.isascii():
        with pytest.raises(IntegrityError):
            decode_entry(text, "x")


@given(entries(), st.data())
def test_no_other_spelling_is_an_entry(entry: Entry, data: st.DataObject) -> None:
    text = encode_entry(entry).decode()
    fields = json.loads(text)
    other = data.draw(
        st.sampled_from(
            [
                text + "\n",
                " " + text,
                json.dumps(fields),
                json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=True).replace(
                    "login", "\\u006cogin"
                ),
                json.dumps(dict(reversed(fields.items())), separators=(",", ":"), ensure_ascii=False),
                text.replace('"at":', f'"at":"{AT}","at":', 1),
                text.replace("{", '{"a":1,', 1),
                text[:-1],
                json.dumps([fields]),
                "null",
            ]
        )
    )
    if other == text:
        return
    with pytest.raises(IntegrityError, match="here: is n"):
        decode_entry(other.encode(), "here")


def test_every_kind_is_described() -> None:
    assert set(get_args(Kind)) == {*KINDS}
    assert [*KINDS] == sorted(KINDS)
    assert all(rule.means and rule.subject for rule in KINDS.values())
    with pytest.raises(UsageError, match="no kind of entry 'gossip'"):
        make_entry("gossip", at=AT, by="a", subject="b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"details": {}}, "needs the details outcome"),
        ({"details": {"outcome": "ok", "password": "x"}}, "has no details password"),
        ({"kind": "waiver", "details": {"rule": "r", "until": "u"}}, "needs a digest: that of the waiver"),
        ({"by": ""}, "by:"),
        ({"by": "a\nb"}, "by:"),
        ({"subject": "\x1b[31m"}, "subject:"),
        ({"subject": "a\u2028b"}, "subject:"),
        ({"at": "2026-11-29 10:00:00"}, "at:"),
        ({"at": "2026-11-29T10:00:00+01:00"}, "at:"),
        ({"digest": "AB" * 32}, "digest:"),
        ({"details": {"outcome": "a\x00"}}, "details.outcome:"),
    ],
)
def test_what_is_no_entry(change: Mapping[str, object], match: str) -> None:
    good = {"kind": "login", "at": AT, "by": "alice", "subject": "alice", "details": {"outcome": "ok"}}
    with pytest.raises(UsageError, match=match):
        make_entry(**{**good, **change})  # type: ignore[arg-type]


def test_the_longest_entry(tmp_path: Path) -> None:
    def entry(length: int) -> Entry:
        return make_entry("account", at=AT, by="a", subject="s" * length, details={"change": "made"})

    least = len(encode_entry(entry(1))) - 1
    log = make_log(tmp_path / "log")
    with open_writer(log, log_signer()) as writer:
        writer.append([entry(65535 - least)])
        with pytest.raises(UsageError, match="an entry of 65536 bytes is too long"):
            writer.append([sample(1), entry(65536 - least)])
        writer.append([sample(2)])  # of the refused batch, nothing happened, and the writer is as good as before
    assert Log.open(log, TRUST).size == 2


# --- the index ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return make_log(tmp_path / "log", 300)


SEARCHES = [
    Search(),
    Search(kinds=("login",)),
    Search(kinds=("login", "approval"), by="bob"),
    Search(since="2026-03", until="2026-05-09"),
    Search(since="2026-03-01T10:20", until="2026-03-01T10:50:00"),
    Search(subject="pump/1"),
    Search(digest=digest("pump8")[:10]),
    Search(by="nobody"),
    Search(by="' OR 1=1 --"),
    Search(subject="%"),
]


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_the_index_finds_what_a_scan_finds(log: Path, search: Search) -> None:
    opened = Log.open(log, TRUST)
    wanted = [(number, sample(number)) for number in range(300) if search.fits(sample(number))]
    assert [*scan(opened, search)] == wanted
    assert [*find(opened, search, log / index.INDEX)] == wanted
    assert [*find(opened, search, log / index.INDEX)] == wanted  # from the index that is there


def test_times_with_fractions() -> None:
    def at(time: str) -> Entry:
        return make_entry("login", at=time, by="a", subject="a", details={"outcome": "ok"})

    assert Search(since="2026-01-01T10:00:00").fits(at("2026-01-01T10:00:00.5Z"))
    assert not Search(since="2026-01-01T10:00:00.5").fits(at("2026-01-01T10:00:00Z"))
    assert Search(until="2026-01-01T10:00:00").fits(at("2026-01-01T10:00:00.5Z"))


def test_the_index_grows_and_is_made_anew(log: Path, tmp_path: Path) -> None:
    path = log / index.INDEX

    def numbers(folder: Path = log) -> list[int]:
        return [number for number, _ in find(Log.open(folder, TRUST), Search(kinds=("login",)), path)]

    first = numbers()
    made = path.stat().st_ino
    with open_writer(log, log_signer()) as writer:
        writer.append([sample(number) for number in range(300, 310)])
    assert numbers() == [*first, 300, 305]
    assert path.stat().st_ino == made
    for damage in (b"", b"no database at all" * 100, path.read_bytes()[:5000]):
        path.write_bytes(damage)
        assert numbers() == [*first, 300, 305]
    other = make_log(tmp_path / "other", 20, of="valve")
    assert numbers(other) == [0, 5, 10, 15]  # an index of another log is not used
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    assert numbers() == [*first, 300, 305]


def test_an_index_that_lies_invents_nothing(log: Path) -> None:
    path, search = log / index.INDEX, Search(kinds=("waiver",))
    assert [*find(Log.open(log, TRUST), search, path)] == []
    with sqlite3.connect(path) as database:
        database.execute("UPDATE entries SET kind = 'waiver', by = 'mallory'")
        database.execute("INSERT INTO entries VALUES (99999, 'waiver', '', '', '', '')")
        database.execute("INSERT INTO entries VALUES (-1, 'waiver', '', '', '', '')")
    database.close()
    assert [*find(Log.open(log, TRUST), search, path)] == []
    logins = Search(kinds=("login",))
    assert [*find(Log.open(log, TRUST), logins, path)] == []  # it can hide: a scan shows
    assert len([*scan(Log.open(log, TRUST), logins)]) == 60


def test_without_an_index(log: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "index.sqlite"
    assert len([*find(Log.open(log, TRUST), Search(kinds=("login",)), nowhere)]) == 60


def test_found_entries_are_checked(log: Path) -> None:
    path = log / index.INDEX
    assert [*find(Log.open(log, TRUST), Search(kinds=("login",)), path)]
    bundle = log / "tile/entries/000"
    texts = decode_bundle(bundle.read_bytes(), 256)
    texts[5] = encode_entry(sample(10))
    bundle.write_bytes(encode_bundle(texts))
    for search in (find(Log.open(log, TRUST), Search(kinds=("login",)), path), scan(Log.open(log, TRUST), Search())):
        with pytest.raises(IntegrityError, match="entry 5 does not hash to what tile/0/000 holds"):
            list(search)
