"""Board manifests: further serial lines, and the drive that holds the flash."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from devicepipe.project.board import Board

MANIFEST: dict[str, Any] = {
    "name": "board",
    "title": "A board",
    "core": "rv32imac",
    "flash": {"base": 0, "size": "0x40000", "page": 1024, "write": 4},
    "ram": {"base": "0x20000000", "size": "0x4000"},
    "regions": {"bootloader": {"offset": 0, "size": "0x2000"}, "slot0": {"offset": "0x2000", "size": "0x4000"}},
}
QEMU = {"driver": "qemu", "program": "qemu-system-riscv32", "machine": "virt"}


def test_links_on_their_own_uart_and_shared() -> None:
    links = {"plant": {"uart": 2}, "smp": {"uart": 0, "lead": ["0609", "0414"]}, "log": {"uart": 0, "lead": "02"}}
    board = Board.model_validate(MANIFEST | {"links": links})
    assert board.uarts == (0, 2)
    assert board.links["smp"].leads == (b"\x06\x09", b"\x04\x14")
    assert board.links["log"].leads == (b"\x02",)
    assert board.links["plant"].leads == ()
    assert Board.model_validate_json(board.model_dump_json()) == board


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"plant": {"uart": 0}}, r"links.plant: shares UART 0 with the console, so it needs a key 'lead'"),
        ({"a": {"uart": 1}, "b": {"uart": 1, "lead": "02"}}, r"links.a: shares UART 1 with link 'b'"),
        ({"a": {"uart": 0, "lead": "02"}, "b": {"uart": 0, "lead": "0203"}}, r"cannot be told from 02 of 'a'"),
        ({"a": {"uart": 0, "lead": ""}}, "should match pattern"),
        ({"a": {"uart": 0, "lead": "2"}}, "should match pattern"),
        ({"a": {"uart": 0, "lead": "060a"}}, "holds a line end"),
        ({"Plant": {"uart": 1}}, "should match pattern"),
        ({"a": {"uart": 1, "speed": 9600}}, "not permitted"),
    ],
)
def test_links_that_cannot_be_told_apart(links: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Board.model_validate(MANIFEST | {"links": links})


def test_cfi_flash_is_said_with_yes_or_no() -> None:
    assert Board.model_validate(MANIFEST | {"emulator": QEMU | {"cfi-flash": True}}).emulator is not None
    with pytest.raises(ValidationError, match="cfi-flash"):
        Board.model_validate(MANIFEST | {"emulator": QEMU | {"cfi-flash": "pflash"}})
