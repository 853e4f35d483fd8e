"""The page at `/` for browsers, and what comes with it."""

import re

from leaderd.api.dashboard import dashboard
from tests.api.fakes import FakeSource
from tests.api.http import serving

_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_a_browser_gets_the_page_and_everybody_else_the_leaders_name() -> None:
    async with serving(FakeSource()) as served:
        page = await served.ask("/", Accept=_BROWSER)
        assert page.code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["vary"] == "Accept"
        assert page.body == dashboard().body
        head = await served.ask("/", "HEAD", Accept=_BROWSER)
        assert head.headers["content-length"] == str(len(page.body))
        assert head.body == b""
        for accept in ("*/*", "application/json"):
            assert (await served.ask("/", Accept=accept)).json == {"name": "a"}


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = dashboard().body.decode()
    assert set(re.findall(r"https?://[^\s'\"<>)]+", text)) == {"http://www.w3.org/2000/svg"}
    # The names of its own files are gone: all of them are in it.
    assert "/* style */" not in text
    assert "/* script */" not in text
    assert not re.search(r"<(link|script|img)[^>]+(src|href)=\"(?!data:)", text)


def test_the_policy_allows_no_other_script_and_nobody_else() -> None:
    policy = dashboard().headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy


def test_no_text_from_the_daemon_can_become_markup() -> None:
    text = dashboard().body.decode()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|createContextualFragment", text)
