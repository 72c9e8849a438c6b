"""Factory images, identities and the other things that are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.bench.factory import flash_contents, load_factory
from devicepipe.bench.faults import BadIdentityError
from devicepipe.bench.protocol import identity_errors, parse_identity
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Identity
from tests.bench.samples import COMMIT, board, write_hex

END = ":00000001FF\n"
# The example of Intel's "Hexadecimal Object File Format Specification", revision A (1988), as a data record: 3 bytes at 0x0030.
DATA = ":0300300002337A1E\n"


def test_published_record(tmp_path: Path) -> None:
    (tmp_path / "a.hex").write_text(DATA + END)
    assert load_factory(tmp_path / "a.hex") == {0x30: b"\x02\x33\x7a"}


@settings(max_examples=25)
@given(
    st.dictionaries(st.integers(0, 60).map(lambda page: page * 0x1000), st.binary(min_size=1, max_size=300), min_size=1)
)
def test_what_is_written_is_read(tmp_path: Path, segments: dict[int, bytes]) -> None:
    read = load_factory(write_hex(tmp_path / "a.hex", segments))
    assert read == dict(sorted(segments.items()))
    flash = flash_contents(board("microbit"), read, file=tmp_path / "a.hex")
    assert len(flash) == 0x40000
    assert all(flash[at : at + len(data)] == data for at, data in segments.items())
    assert flash.count(0xFF) >= 0x40000 - sum(map(len, segments.values()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DATA, "cut off"),
        ("", "cut off"),
        (DATA.replace("1E", "1F") + END, "not Intel HEX"),
        (DATA + DATA + END, "not Intel HEX"),
        ("hello\n" + END, "not Intel HEX"),
        (END, "holds no data"),
        (":é\n" + END, "not ASCII"),
    ],
    ids=["truncated", "empty", "checksum", "overlap", "text", "no-data", "not-ascii"],
)
def test_broken_factory_image(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.hex").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load_factory(tmp_path / "a.hex")


def test_missing_factory_image(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_factory(tmp_path / "a.hex")


def test_factory_image_of_another_board(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="outside the flash of board 'microbit'"):
        flash_contents(board("microbit"), {0x3FFFF: b"ab"}, file=tmp_path / "a.hex")


GOOD = f"OK id board=microbit version=0.1.0+0 commit={COMMIT} digest={'d' * 64} key=development serial=emulated"


def test_identity_is_read_and_compared() -> None:
    seen = parse_identity(GOOD)
    assert (seen.board, seen.serial, seen.key) == ("microbit", "emulated", "development")
    assert identity_errors(seen, seen) == []
    assert identity_errors(seen.model_copy(update={"serial": "", "key": ""}), seen) == []
    for name in Identity.model_fields:
        assert identity_errors(seen, seen.model_copy(update={name: "other"})) != []


@pytest.mark.parametrize(
    "reply",
    [
        "ERR unknown-command",
        "OK status",
        "OK id",
        GOOD.replace("commit=", "comit="),
        GOOD.replace("digest=", "digest= "),
        GOOD + " board=other",
    ],
)
def test_reply_that_is_no_identity(reply: str) -> None:
    with pytest.raises(BadIdentityError):
        parse_identity(reply)
