"""Telling apart what shares a serial line: each line belongs to whom its first bytes say.

What always holds: every byte is given to exactly one owner, in the order of its arrival; a byte is held back only while it is
not decided yet whose line has begun, which is after fewer bytes than the longest lead has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from devicepipe.project.board import Board


def owners(board: Board, uart: int) -> tuple[dict[str, tuple[bytes, ...]], str]:
    """Who has the lines of a UART: the links with their leads, and the one that has it alone, or ""."""
    links = {name: link.leads for name, link in board.links.items() if link.uart == uart}
    alone = next((name for name, leads in links.items() if not leads), "")
    return {name: leads for name, leads in links.items() if leads}, alone


class Router:
    """Parts a stream of bytes by the leads of its lines.

    Args:
        leads: Owner → the byte strings that its lines begin with; none of them begins with another.
        rest: Who owns all other lines.
    """

    def __init__(self, leads: Mapping[str, tuple[bytes, ...]], rest: str = "") -> None:
        self._leads = {lead: owner for owner, several in leads.items() for lead in several}
        self._rest = rest
        self._head = b""
        self._owner: str | None = None

    def restart(self) -> None:
        """Take the next byte for the beginning of a line."""
        self._head, self._owner = b"", None

    def route(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Part bytes as they arrive: owner, and a stretch of bytes for it, which ends at the latest with a line."""
        if not self._leads:
            yield self._rest, data
            return
        for part in _lines(data):
            yield from self._part(part)

    def _part(self, part: bytes) -> Iterator[tuple[str, bytes]]:
        """One line, or a part of one that holds at most its end."""
        if self._owner is None:
            self._head += part
            self._owner = self._decide(self._head)
            if self._owner is None:
                return
            part, self._head = self._head, b""
        yield self._owner, part
        if part.endswith(b"\n"):
            self._owner = None

    def _decide(self, head: bytes) -> str | None:
        for lead, owner in self._leads.items():
            if head.startswith(lead):
                return owner
            if lead.startswith(head):
                return None
        return self._rest


def _lines(data: bytes) -> Iterator[bytes]:
    r"""The lines of `data` with their ends: only \n ends one."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end
