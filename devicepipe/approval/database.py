"""The database of accounts: how it is opened, and what may be told of that.

What always holds: no error repeats any part of its URL but host and name of the database, and that only of a URL that leaves no
doubt which part is which. A SQLite file is its owner's alone (mode 0600), and so is what SQLite puts beside it: who can read it can
guess passwords for as long as they like, and no lock stops that.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import sqlalchemy as sa

from devicepipe.approval.schema import METADATA
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.database_url import is_database_url

_WHERE = "DEVICEPIPE_ACCOUNTS, or `accounts` of [approval] in devicepipe.toml"


def open_database(url: str) -> sa.Engine:
    """The database at a URL, e.g. `sqlite:///accounts.sqlite` or `postgresql+psycopg://host/name`, with its tables.

    Raises:
        UsageError: The URL is none.
        BenchError: The database cannot be reached, or is none of ours.
    """
    if not is_database_url(url):
        raise UsageError(
            "the URL of the database of accounts is malformed",
            remedy=f"check {_WHERE}: sqlite:///FILE or postgresql+psycopg://USER@HOST:PORT/NAME, "
            "with @ : / ? # [ ] % in a password as %40 %3A %2F %3F %23 %5B %5D %25",
        )
    place = sa.make_url(url)
    try:
        if place.database and place.get_backend_name() == "sqlite":
            _keep_private(Path(place.database))
        engine = sa.create_engine(place)
        METADATA.create_all(engine)
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        raise BenchError(
            f"the database of accounts cannot be used: {told(error, place)}",
            remedy=f"check {_WHERE}, and that the server runs",
        ) from error
    return engine


def told(error: Exception, url: sa.URL) -> str:
    """What may be told of a database's error: its first line, without what its URL says besides host and name."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    values = [one for key in url.query for one in url.normalized_query[key] if key not in ("host", "dbname")]
    hidden = {str(one) for one in (url.password, url.username, url.port, *values) if one}
    for one in sorted(hidden, key=len, reverse=True):
        line = re.sub(rf"(?<![\w.]){re.escape(one)}(?!\w)", "…", line)
    return line


def _keep_private(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # By its name: closing a descriptor of a database that is in use here would end SQLite's locks on it.
        if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            file.chmod(0o600)
