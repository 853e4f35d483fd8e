"""The page in a real browser: what it shows, when it stops believing, and whom it serves."""

import json
import re
from typing import Any

import pytest

from tests.page import scenes
from tests.page.conftest import Visit

# The figure beside the lease, as a number.
_LEFT = "parseFloat(document.querySelector('.meter.lease .figure').textContent)"


def headline(page: Any, name: str = "db") -> Any:
    """Return the large line of an opened election."""
    heading = page.get_by_role("heading", name=name, exact=True)
    return page.locator(".election").filter(has=heading).locator(".who")


def wait_for(page: Any, place: Any, text: str) -> None:
    place.filter(has_text=text).first.wait_for()


def until(page: Any, holds: str) -> None:
    """Wait until a JavaScript expression holds; asked from here, for the page's policy lets it poll none."""
    for _ in range(500):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(30)
    raise TimeoutError(holds)


def sleep_for_an_hour(page: Any) -> None:
    """Let the machine have slept: performance.now() stands still in a suspend, the wall clock does not."""
    page.evaluate("{ const real = Date.now; Date.now = () => real() + 3600e3; letTimePass(); }")


class TestWhatItShows:
    def test_a_leader_with_its_lease_queue_and_resources(self, visit: Visit) -> None:
        page, _ = visit(scenes.report(), {"db": scenes.past()})
        wait_for(page, headline(page), "a leads")
        assert page.locator(".rows").first.locator("li").all_inner_texts() == [
            "a\nleads\nthis node\npriority 100", "b\nnext in line\npriority 100",
            "d\n2nd in line\npriority 50", "c\nstandby\nits check fails",
        ]
        assert page.locator(".resources li").all_inner_texts() == [
            "address\nstarted\nvip", "data\nstarted\nmount", "app\nstarted\nprocess",
        ]
        assert page.get_by_role("meter", name="Lease of db, seconds left").first.is_visible()
        assert page.get_by_text("at most one").is_visible()

    def test_the_lease_drains_between_answers_and_is_refilled(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report())
        stand_in.renew_every = 1.5
        until(page, f"window.before = {_LEFT}")
        until(page, f"{_LEFT} < window.before - 0.4")
        until(page, f"window.low = Math.min(window.low ?? 9, {_LEFT}), {_LEFT} > window.low + 0.4")

    def test_past_leaderships_with_reasons_and_the_time_without_leader(self, visit: Visit) -> None:
        page, _ = visit(scenes.report(), {"db": scenes.past()})
        terms = page.locator(".terms li")
        terms.nth(5).wait_for()
        assert "now" in terms.nth(0).inner_text()
        assert "ended" not in terms.nth(0).inner_text()
        lost = terms.filter(has_text="ended: etcd proved no renewal in time").inner_text()
        assert "nobody led for 8.3 s before" in lost
        assert "unclean" in terms.nth(5).inner_text()
        assert page.locator(".band .term").count() == 7
        assert page.locator(".band .gap").count() == 1
        page.get_by_role("button", name="Show all 7").click()
        assert terms.count() == 7

    def test_a_failover_and_who_led_before_where_the_daemon_keeps_no_history(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report())
        wait_for(page, headline(page), "a leads")
        stand_in.change(lambda report: report.update(elections=[scenes.elsewhere()]))
        wait_for(page, headline(page), "b leads")
        assert page.locator(".hero").get_by_text("the proof is with b").is_visible()
        assert not page.locator(".meter.lease").is_visible()
        wait_for(page, page.locator("#news"), "db: b leads")
        terms = page.locator(".terms li").all_inner_texts()
        assert [term.split("\n")[0] for term in terms] == ["b", "a"]

    def test_marks_warnings_and_what_lies_outside_the_promise(self, visit: Visit) -> None:
        foreign = {"node": "x", "priority": 0, "revision": 1303, "foreign": True}
        db = scenes.election(paused=True, guarantee="at-least-one", blocked="the revision went back")
        db["candidates"].append(foreign)
        aside = scenes.elsewhere("web", nodes=[{"node": "a", "state": "standby", "reason": "standby"}],
                                 state="standby", reason="standby")
        page, _ = visit(scenes.report(db, aside, warnings=["etcd 3.5.1 may revoke leases early"]))
        for text in ("paused", "at least one", "not leaderd", "this node on standby", "blocked",
                     "etcd 3.5.1 may revoke leases early",
                     "Nobody may be promoted here: the revision went back"):
            assert page.get_by_text(text, exact=True).first.is_visible(), text

    def test_a_node_that_holds_without_etcd_is_not_said_to_lead(self, visit: Visit) -> None:
        db = scenes.election(guarantee="at-least-one", proven=False, token=0, reason="store-lost",
                             detail="holding without etcd: no proof and no token")
        page, _ = visit(scenes.report(db))
        wait_for(page, headline(page), "a holds without etcd")
        said = page.locator(".hero").inner_text()
        assert "no proof and no token" in said
        assert "leads" not in said
        assert page.locator(".meter.lease").is_visible(), "what it gives itself runs down as well"
        assert page.get_by_text("at least one", exact=True).first.is_visible()

    def test_a_fenced_node_and_the_one_that_leads_instead(self, visit: Visit) -> None:
        db = scenes.elsewhere(state="fenced", reason="resource-failed", detail="stop of app: exit code 1")
        page, _ = visit(scenes.report(db))
        wait_for(page, headline(page), "a is fenced")
        said = page.locator(".hero").inner_text()
        assert "stop of app: exit code 1" in said
        assert "b leads" in said


class TestWhatItBelieves:
    def test_a_daemon_that_stalls_proves_nothing_until_it_answers_again(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report(scenes.election(valid_for=280.0), scenes.elsewhere("web")))
        wait_for(page, headline(page), "a leads")
        stand_in.stalled = True
        for name in ("db", "web"):
            wait_for(page, headline(page, name), "No proof of leadership")
        wait_for(page, page.get_by_role("alert"), "No proof of leadership")
        assert not re.search(r"\bleads\b", page.locator("main").inner_text())
        stand_in.stalled = False
        wait_for(page, headline(page), "a leads")
        assert page.get_by_role("alert").inner_text() == ""

    def test_a_lease_that_runs_out_ends_the_proof_although_the_daemon_says_leader(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report(scenes.election(valid_for=1.5)))
        stand_in.renew_every = 0.4
        wait_for(page, headline(page), "a leads")
        stand_in.renew_every = 0.0
        wait_for(page, headline(page), "No proof of leadership")
        assert page.locator("#link").inner_text() == "live"
        assert not page.locator(".meter.lease").is_visible()

    def test_an_answer_counts_from_when_it_was_asked_for(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report(scenes.election(valid_for=1.4)))
        stand_in.renew_every = 0.05
        stand_in.slowness = 1.5
        wait_for(page, headline(page), "No proof of leadership")
        # Each further answer says 1.4 s, and is 1.5 s old when it comes.
        page.evaluate("() => { window.seen = new Set(); window.asked = facts.askedAt; "
                      "setInterval(() => window.seen.add(document.querySelector('.who').textContent), 20); }")
        until(page, "facts.askedAt.steady > window.asked.steady + 1600")
        assert page.evaluate("[...window.seen]") == ["No proof of leadership"]

    def test_a_machine_that_slept_believes_nothing_from_before(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report(scenes.election(valid_for=280.0)))
        wait_for(page, headline(page), "a leads")
        stand_in.stalled = True
        sleep_for_an_hour(page)
        assert headline(page).inner_text() == "No proof of leadership"

    def test_a_restart_is_survived_and_told(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report())
        wait_for(page, headline(page), "a leads")
        stand_in.stop_listening()
        sleep_for_an_hour(page)
        wait_for(page, headline(page), "No proof of leadership")
        stand_in.report = scenes.report(scenes.elsewhere(), pids={"guard": 200, "agent": 201})
        stand_in.listen_again()
        wait_for(page, headline(page), "b leads")
        page.locator("#link[data-link=live]").wait_for()
        wait_for(page, page.locator("#news"), "The daemon was started again")
        # The stream is back as well: news comes at once.
        until(page, "facts.stream && facts.stream.readyState === EventSource.OPEN")

    def test_a_page_that_nobody_sees_asks_nothing(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.report())
        until(page, "facts.stream && facts.stream.readyState === EventSource.OPEN")
        page.evaluate("Object.defineProperty(document, 'hidden', { get: () => window.away ?? false })")
        page.evaluate("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
        until(page, "!facts.asking && !facts.stream")
        asked = len(stand_in.asked)
        page.wait_for_timeout(1500)
        assert len(stand_in.asked) == asked
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
        until(page, "facts.stream && facts.stream.readyState === EventSource.OPEN")


class TestManyElections:
    def test_a_hundred_are_counted_mapped_filtered_and_opened(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.hundred())
        shown = page.locator(".election:visible")
        assert shown.count() == 100
        assert page.locator("#map span").count() == 100
        tallies = [text.split()[0] for text in page.locator(".tally").all_inner_texts()]
        assert tallies == ["100", "3", "34", "63", "3"]
        page.get_by_role("button", name="to look at").click()
        assert shown.locator("h2").all_inner_texts() == ["shard-007", "shard-041", "shard-090"]
        assert page.locator("#shown").inner_text() == "3 of 100 shown"
        page.get_by_role("button", name="to look at").click()
        page.get_by_label("Filter").fill("shard-01")
        assert shown.count() == 10
        page.locator("#map span").nth(41).click()
        wait_for(page, headline(page, "shard-041"), "a is fenced")
        moved = scenes.elsewhere("shard-012", token=9000)
        stand_in.change(lambda report: report["elections"][12].update(moved))
        wait_for(page, page.locator(".election .headline").nth(12), "b leads")

    def test_elections_come_and_go(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.hundred())
        stand_in.change(lambda report: report.update(
            elections=[*report["elections"][:5], scenes.election("new")]))
        until(page, "document.querySelectorAll('.election').length === 6")
        assert page.locator("#map span").count() == 6

    def test_a_link_to_one_of_them_opens_it(self, visit: Visit) -> None:
        page, stand_in = visit(scenes.hundred())
        page.goto(stand_in.url + "#shard-033")
        wait_for(page, headline(page, "shard-033"), "a leads")


class TestWhomItServes:
    @pytest.mark.parametrize("scene", ["report", "hundred", "hostile"])
    def test_a_phone_need_not_scroll_sideways(self, visit: Visit, scene: str) -> None:
        page, _ = visit(getattr(scenes, scene)(), {"db": scenes.past()}, width=390)
        page.evaluate("[...document.querySelectorAll('details')].slice(0, 8).forEach("
                      "(each) => { each.open = true })")
        page.locator(".body .rows li").first.wait_for()
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") == width

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_no_rule_of_accessibility_is_broken(self, visit: Visit, dark: bool) -> None:
        """By axe: contrast, names, roles, headings; with trouble, without news, with many elections."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing").Axe()
        fenced = scenes.elsewhere("web", state="fenced", reason="resource-failed", paused=True, blocked="?")
        page, stand_in = visit(scenes.report(scenes.election(), fenced, warnings=["mind the step"]),
                               {"db": scenes.past()}, dark=dark, reduced_motion="reduce")
        page.locator(".terms li").nth(3).wait_for()
        wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
        assert found(axe.run(page, options=wanted)) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(15, 18, 22)" if dark else "rgb(244, 245, 247)")
        stand_in.stalled = True
        sleep_for_an_hour(page)
        wait_for(page, headline(page), "No proof of leadership")
        assert found(axe.run(page, options=wanted)) == []
        stand_in.stalled = False
        stand_in.change(lambda report: report.update(elections=scenes.hundred()["elections"][:12]))
        page.locator("#overview").wait_for()
        assert found(axe.run(page, options=wanted)) == []

    def test_the_keyboard_reaches_and_opens_everything(self, visit: Visit) -> None:
        page, _ = visit(scenes.hundred())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the elections"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        page.keyboard.press("Enter")
        wait_for(page, headline(page, "shard-000"), "a leads")

    def test_nothing_moves_where_motion_is_unwanted(self, visit: Visit) -> None:
        moving = "document.getAnimations().length"
        page, _ = visit(scenes.report())
        until(page, f"{moving} > 0")
        still, _ = visit(scenes.report(), reduced_motion="reduce")
        still.locator("#link[data-link=live]").wait_for()
        assert still.evaluate(moving) == 0


class TestWhatItRefuses:
    def test_hostile_strings_are_shown_and_never_run(self, visit: Visit) -> None:
        terms = {
            text: [{"token": 7, "node": text, "from": text, "to": text, "reason": text, "gap": 2, "clean": 0}]
            for text in scenes.HOSTILE
        }
        page, _ = visit(scenes.hostile(), terms)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
        page.locator(".terms li").nth(len(scenes.HOSTILE) - 1).wait_for()
        assert page.locator("main h2").all_inner_texts() == scenes.HOSTILE
        assert page.locator("main").locator("img, script, iframe, [onload], [onerror]").count() == 0

    def test_a_script_that_got_in_all_the_same_is_not_run(self, visit: Visit) -> None:
        page, _ = visit(scenes.report(), forgive="This document requires")
        # The test's own evaluate is above the policy, what it puts into the page is not.
        refused = page.evaluate("""() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (no) => resolve(no.effectiveDirective));
            try { document.body.innerHTML = "<img src=x onerror='window.hit=1'>"; } catch { /* so */ }
        })""")
        assert refused == "require-trusted-types-for"
        assert page.evaluate("""() => new Promise((resolve) => setTimeout(() => {
            try { resolve(eval("'it ran'")); } catch (error) { resolve(error.name); }
        }))""") == "EvalError"

    @pytest.mark.parametrize("body", [["<b>proxy error</b>"], {"node": "a", "elections": [None]}, None])
    def test_answers_that_are_no_status_prove_nothing(self, visit: Visit, body: Any) -> None:
        page, _ = visit(scenes.report(scenes.election(valid_for=280.0)))
        wait_for(page, headline(page), "a leads")
        answered: list[Any] = []
        page.route("**/status", lambda route: (answered.append(1), route.fulfill(body=json.dumps(body))))
        until(page, "facts.failures >= 2")
        sleep_for_an_hour(page)
        until(page, "facts.failures >= 3")
        assert headline(page).inner_text() == "No proof of leadership"
        assert answered


def found(results: Any) -> list[str]:
    """Return what axe found, a line each."""
    return [f"{each['id']}: {node['target']}: {node['failureSummary']}"
            for each in results.response["violations"] for node in each["nodes"]]
