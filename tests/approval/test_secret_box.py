"""The box of a person's secrets: it opens with the password for its account, and with nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicepipe.approval.secret_box import Cost, Secrets, close, open_box

CHEAP = Cost(memory_kib=64, iterations=1, lanes=1)
SECRETS = Secrets.new()
BOX = close(SECRETS, "quinn", "correct horse", CHEAP)


def test_the_password_opens_what_was_closed_and_the_key_signs() -> None:
    opened = open_box(BOX, "quinn", "correct horse")
    assert opened == SECRETS
    signature = bytes.fromhex(opened.signer().sign(b"text").signature)
    assert opened.public_key().verifies(signature, b"text")
    assert not opened.public_key().verifies(signature, b"other text")


@pytest.mark.parametrize(("account", "password"), [("quinn", "correct horsE"), ("quinn", ""), ("ron", "correct horse")])
def test_another_password_or_account_opens_nothing(account: str, password: str) -> None:
    assert open_box(BOX, account, password) is None


@settings(max_examples=300)
@given(st.integers(0, len(BOX) * 8 - 1))
def test_a_flipped_bit_opens_nothing(bit: int) -> None:
    # Bits of the cost are left out: a damaged one may ask for more memory than there is; they are the next test's.
    damaged = bytearray(BOX)
    damaged[bit // 8] ^= 1 << bit % 8
    if not 1 <= bit // 8 < 13:
        assert open_box(bytes(damaged), "quinn", "correct horse") is None


def test_a_box_that_says_it_was_cheaper_opens_nothing() -> None:
    dear = close(SECRETS, "quinn", "correct horse", Cost(memory_kib=128, iterations=2, lanes=1))
    assert open_box(dear, "quinn", "correct horse") == SECRETS
    assert open_box(BOX[:13] + dear[13:], "quinn", "correct horse") is None


@given(st.binary(max_size=60))
def test_what_is_no_box_opens_nothing(data: bytes) -> None:
    assert open_box(data[:41], "quinn", "correct horse") is None


def test_neither_secret_is_in_the_box_or_in_what_is_printed_of_it() -> None:
    assert SECRETS.seed not in BOX
    assert SECRETS.totp not in BOX
    assert SECRETS.seed.hex() not in repr(SECRETS)
    assert repr(SECRETS.seed) not in repr(SECRETS)
    assert close(SECRETS, "quinn", "correct horse", CHEAP) != BOX
