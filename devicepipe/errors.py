"""The error tree: one root, parted by who has to act.

A failure of the *product* (a failed test, a rule that does not hold) is never an exception: it is a verdict in the evidence.
What always holds: every error says what is wrong in its message and what the user can do in `remedy`; `exit_code` is what
the command line returns for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

EXIT_OK = 0
EXIT_PRODUCT_FAILED = 1
EXIT_USAGE = 2
EXIT_BENCH = 3
EXIT_INTEGRITY = 4


class DevicepipeError(Exception):
    """Root of all errors that devicepipe raises on purpose.

    Attributes:
        message: What is wrong, one sentence.
        remedy: What the user can do about it; may be empty.
    """

    exit_code: ClassVar[int] = EXIT_PRODUCT_FAILED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}" if self.remedy else self.message

    def to_json(self) -> dict[str, str | int]:
        """The error as one JSON object, for `--json`."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "remedy": self.remedy,
            "exitCode": self.exit_code,
        }


class UsageError(DevicepipeError):
    """The user's input is wrong: names the file, line and key where it can.

    Attributes:
        file: The file that holds the mistake, or None for the command line.
        line: 1-based line number, or None.
        key: Dotted key inside the file, or None.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        key: str | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        parts = [part for part in (where, self.key, self.message) if part]
        text = ": ".join(parts)
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text

    def to_json(self) -> dict[str, str | int]:
        """The error as one JSON object, with its place."""
        place: dict[str, str | int] = {}
        if self.file is not None:
            place["file"] = str(self.file)
        if self.line is not None:
            place["line"] = self.line
        if self.key is not None:
            place["key"] = self.key
        return super().to_json() | place


class ProductError(DevicepipeError):
    """The product's own sources cannot be processed (they do not compile, an image does not fit): not a bench's or tool's fault."""

    exit_code = EXIT_PRODUCT_FAILED


class BenchError(DevicepipeError):
    """The world misbehaved (a tool is missing, a device is silent, a port is gone). Retryable, and never a verdict."""

    exit_code = EXIT_BENCH


class IntegrityError(DevicepipeError):
    """Evidence does not hold. Never retryable.

    Attributes:
        link: The broken link of the chain, as a bundle-relative path or an attestation's name.
    """

    exit_code = EXIT_INTEGRITY

    def __init__(self, message: str, *, link: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.link = link

    def __str__(self) -> str:
        text = f"{self.link}: {self.message}"
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text

    def to_json(self) -> dict[str, str | int]:
        """The error as one JSON object, naming the broken link."""
        return super().to_json() | {"link": self.link}
