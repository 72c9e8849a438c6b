"""One-time codes of authenticators (RFC 6238): each is taken once, and none before it."""

from __future__ import annotations

from base64 import b32encode
from datetime import datetime

import pyotp
import sqlalchemy as sa

from devicepipe.approval.schema import ACCOUNT
from devicepipe.approval.secret_box import Secrets

ISSUER = "devicepipe"
_STEP = 30  # seconds that a one-time code holds (RFC 6238, section 5.2)
_WINDOW = 1  # steps that a clock may be off


def take_code(db: sa.Connection, account: str, opened: Secrets, code: str, now: datetime) -> bool:
    """Take a code, once; whether it is a right one. Its step is stored, and none up to it is taken again (RFC 6238, 5.2)."""
    codes, step = _codes(opened), int(now.timestamp()) // _STEP
    for one in range(step - _WINDOW, step + _WINDOW + 1):
        if pyotp.utils.strings_equal(codes.at(one * _STEP), code):
            unused = ACCOUNT.update().where(ACCOUNT.c.id == account, ACCOUNT.c.last_step < one)
            return db.execute(unused.values(last_step=one)).rowcount > 0
    return False


def enrolment_uri(opened: Secrets, account: str) -> str:
    """The `otpauth:` URI that an authenticator takes."""
    return _codes(opened).provisioning_uri(name=account, issuer_name=ISSUER)


def _codes(opened: Secrets) -> pyotp.TOTP:
    return pyotp.TOTP(b32encode(opened.totp).decode(), interval=_STEP)
