"""A real browser before the page, and a watch on what it complains of."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.page.standin import StandIn

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM = next((path for name in _NAMES if (path := shutil.which(name))), "")

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; ends with the module, for its driver occupies the thread's event loop."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not _CHROMIUM:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        # Chromium's own sandbox refuses to run for root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """Open the page of a stand-in: `visit(report, history, dark=…, width=…)` gives both.

    At the end the console must be free of errors, nothing may have been asked of anybody else, and no
    hostile string may have run.
    """
    complaints: list[str] = []
    # That an answer failed to come is the network's word, not the page's.
    forgiven = ["Failed to load resource"]
    foreign: list[str] = []
    with ExitStack() as stack:
        pages = []

        def opened(report: Any, history: Any = None, *, forgive: str = "", **traits: Any) -> Any:
            forgiven.extend([forgive] if forgive else [])
            stand_in = stack.enter_context(StandIn(report, {} if history is None else history).running())
            context = browser.new_context(
                viewport={"width": traits.pop("width", 1200), "height": 844},
                color_scheme="dark" if traits.pop("dark", False) else "light",
                **traits,
            )
            stack.callback(context.close)
            context.set_default_timeout(15_000)
            page = context.new_page()
            pages.append(page)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
            own = (stand_in.url, "data:")
            page.on("request", lambda asked: asked.url.startswith(own) or foreign.append(asked.url))
            page.goto(stand_in.url)
            page.wait_for_selector(".election")
            return page, stand_in

        yield opened
        hits = [page.evaluate("window.hit") for page in pages]
    assert not foreign
    assert [each for each in complaints if not any(word in each for word in forgiven)] == []
    assert hits == [None] * len(hits)
