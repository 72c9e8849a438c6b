"""A real browser for the HTML documents: started and stopped by the tests, offline, with every request and error watched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from devicepipe.documents.html_page import render_html
from devicepipe.documents.model import Document

PATIENCE = 60_000
"""Milliseconds: a bound for a browser that hangs, no measure of one on a busy machine."""
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each file of tests, not for the session: Playwright keeps an event loop running in this thread, in which
    nothing that calls `asyncio.run` (pyHanko's signer, in the tests of other files) works."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("no Chromium here; tools/setup.sh installs it (package chromium)")
    # Chromium refuses its sandbox to root; it is shown only files that these tests made.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=program, args=arguments, timeout=PATIENCE)
        yield started
        started.close()


class Opener:
    """Opens documents (or HTML) from disk, each in a context of its own; keeps what was asked for and complained about."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        self._contexts: list[BrowserContext] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __call__(self, what: Document | bytes, *, name: str = "document.html", **options: Any) -> Page:
        path = self._folder / name
        path.write_bytes(what if isinstance(what, bytes) else render_html(what))
        context = self._browser.new_context(offline=True, **options)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens documents; whoever uses it finds no request but for the file itself, and no complaint of the browser."""
    opener = Opener(browser, tmp_path)
    yield opener
    opener.close()
    assert [url for url in opener.requests if not url.startswith(tmp_path.as_uri())] == []
    assert opener.complaints == []
