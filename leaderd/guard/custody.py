"""What the guard holds for the elections: one term each, its journal, its watchdog, its clean-up."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from leaderd.guard import children
from leaderd.guard.cleanup import RELEASE_TIME, Cleanup, Culprits, Tools
from leaderd.guard.escalation import Escalation, Outcome
from leaderd.guard.fence import Watchdogs
from leaderd.guard.journal import Entry
from leaderd.guard.scribe import Page
from leaderd.guard.term import Duty, Phase, Term, Verdict, feeds, heard, judge, next_deadline, orphaned, steps
from leaderd.guard.wire import Answer, Arm, Armed, Fence, Fenced, Fencing, Message
from leaderd.guard.worker import Result, Workers
from leaderd.instant import Instant
from leaderd.plan import ElectionPlan, Plan


class Custody:
    """All terms of a node.

    Args:
        tools: For the clean-ups.
        elections: The plan's, by name.
        workers: For whatever takes time.
        watchdogs: The devices.
        tell: Sends an answer to the agent, if there is one.
    """

    def __init__(
        self,
        tools: Tools,
        elections: Mapping[str, ElectionPlan],
        workers: Workers,
        watchdogs: Watchdogs,
        tell: Callable[[Answer], None],
    ) -> None:
        self._tools = tools
        self._elections = elections
        self._workers = workers
        self._watchdogs = watchdogs
        self._tell = tell
        self._terms: dict[str, Term] = {}
        self._escalations: dict[str, Escalation] = {}
        self._agent = 0

    # --- what is going on ---

    @property
    def idle(self) -> bool:
        """Whether no clean-up and no worker is under way."""
        return self._workers.idle and not self._escalations

    @property
    def live(self) -> bool:
        """Whether the agent may hold anything."""
        return any(term.live for term in self._terms.values())

    @property
    def unclean(self) -> bool:
        """Whether anything may still run."""
        return any(term.phase is not Phase.STOPPED for term in self._terms.values())

    def left(self, now: Instant) -> float | None:
        """Return the seconds until a deadline comes; None while there is none."""
        deadlines = [next_deadline(term) for term in self._terms.values()]
        return min((now.left_until(deadline) for deadline in deadlines if deadline), default=None)

    def recovery(self) -> dict[str, dict[str, Any]]:
        """Return what a new agent must know: releases that are pending, terms that are not clean.

        A term that is not clean has its release pending too: for when a stop has succeeded.
        """
        return {
            name: {
                "pending": {
                    "token": term.order.token, "holder_revision": term.order.holder_revision,
                    "record": term.order.record,
                },
                "unclean": term.order.token if term.phase is Phase.UNCLEAN else 0,
            }
            for name, term in self._terms.items()
        }

    def adopt(self, plan: Plan) -> None:
        """Go on with a reloaded plan; whatever is under way ends with the old one."""
        self._tools = replace(self._tools, etcd=plan.etcd)
        self._elections = {election.name: election for election in plan.elections}

    # --- the agent ---

    def agent_started(self, pid: int) -> None:
        """Note who is the agent."""
        self._agent = pid

    def hear(self, message: Message) -> None:
        """Take in a message of the agent."""
        before = self._terms.get(message.election)
        after = heard(before, message)
        if after is before:
            self._unchanged(before, message)
            return
        if after is None:
            self._forget(message.election)
            return
        self._terms[message.election] = after
        if isinstance(message, Arm):
            self._arm(after)
        elif isinstance(message, Fence):
            self._tell(Fencing(message.election, message.token))
            self._clean_up(after, "resource-failed", asked=True)
        elif after.phase is Phase.STOPPED:
            self._write(after, "stopped")

    def _unchanged(self, term: Term | None, message: Message) -> None:
        """Say what was ignored; whoever asks for fencing waits for an answer, so it gets one."""
        self._tools.log.debug(
            "message ignored", election=message.election, token=message.token,
            message=type(message).__name__, phase=term.phase.value if term else "none",
        )
        if isinstance(message, Fence) and (term is None or term.order.token != message.token):
            detail = "the guard knows no such term"
            self._tell(Fenced(message.election, message.token, clean=False, detail=detail))

    def judge(self, now: Instant) -> str:
        """Return why the agent must be killed, or "" when it may go on."""
        for name, term in self._terms.items():
            verdict = judge(term, now)
            if verdict is not Verdict.WAIT:
                return f"election {name}, token {term.order.token}: the agent {verdict.value}"
        return ""

    def agent_dead(self, survivors: list[int]) -> None:
        """Do what the guard owes every term, now that nothing that the agent started runs any more."""
        self._agent = 0
        for term in list(self._terms.values()):
            duty = orphaned(term)
            if duty is Duty.STOP:
                self._clean_up(replace(term, phase=Phase.CLEANING), "agent-died", tuple(survivors))
            elif duty is Duty.RELEASE:
                self._release(term)

    # --- arming ---

    def _arm(self, term: Term) -> None:
        plan = self._elections.get(term.order.election)
        if plan is not None and "watchdog" in plan.fence:
            longest = plan.kill_time + plan.stop_timeout
            if not self._watchdogs.start(plan.watchdog_device, plan.kill_time, longest):
                return  # Without its enforcer nothing starts: no answer, and the agent steps down.
        page = self._tools.journal.page(term.order, "armed")
        self._keep_journal(term.order.election, page, partial(self._written, term.order))

    def _written(self, order: Arm) -> None:
        term = self._terms.get(order.election)
        if term is None or term.order is not order or term.phase is not Phase.ARMING:
            return
        self._terms[order.election] = replace(term, phase=Phase.ARMED)
        self._tell(Armed(order.election, order.token))

    def _write(self, term: Term, phase: str) -> None:
        page = self._tools.journal.page(
            term.order, phase, escalated=term.escalated, rebooted=term.rebooted
        )
        self._keep_journal(term.order.election, page)

    def _keep_journal(self, election: str, page: Page, then: Callable[[], None] | None = None) -> None:
        def done(result: Result | None) -> None:
            if result is None:
                self._tools.log.error("journal not written", election=election)
            elif then is not None:
                then()

        # A lane of its own: no stop waits for a disk that stalls. Election names have no blanks.
        self._workers.write(f"{election} journal", page, done)

    # --- cleaning up ---

    def recover(self, entries: list[Entry]) -> None:
        """Stop and release what earlier runs have left (rule R4)."""
        for entry in entries:
            same_boot = self._tools.journal.is_of_this_boot(entry)
            term = Term(
                entry.order, entry.order.deadlines, Phase.STOPPED, escalated=entry.escalated,
                recovered=True, rebooted=not same_boot,
            )
            self._terms[entry.order.election] = term
            if entry.phase == "stopped":
                self._release(term)
            else:
                reason = "guard-died" if same_boot else "startup"
                self._clean_up(replace(term, phase=Phase.CLEANING), reason)

    def _clean_up(
        self, term: Term, reason: str, survivors: tuple[int, ...] = (), *, asked: bool = False
    ) -> None:
        name, order = term.order.election, term.order
        self._terms[name] = term
        plan = self._elections.get(name)
        escalation = Escalation(
            Cleanup(self._tools, order, reason), self._culprits(term, survivors),
            steps(term, plan.fence if plan else (), self._tools.clock.now()),
            plan.fence_command if plan else (),
            release=not self._agent, workers=self._workers,
            failed=partial(self._failed, name), done=partial(self._cleaned, name, asked=asked),
        )
        self._escalations[name] = escalation
        self._tools.log.warning("guard stops", election=name, token=order.token, reason=reason)
        escalation.advance()

    def _culprits(self, term: Term, survivors: tuple[int, ...]) -> Culprits:
        order, guard, agent = term.order, os.getpid(), self._agent
        marks = {"LEADERD_ELECTION": order.election}
        if not term.recovered:
            # The scribe may carry the mark too: the guard's own environment is as the user set it.
            return Culprits(
                lambda: [pid for pid in children.descendants(guard, {os.getpid(), self._workers.scribe})
                         if pid != agent],
                marks, survivors,
            )
        # What an earlier run has left descends from nobody we know. Etcd's lease ids do not recur,
        # so they tell it from other nodes and other clusters on this machine.
        marks |= {"LEADERD_NODE": self._tools.node, "LEADERD_LEASE": order.release.lease}
        return Culprits(children.everybody, marks)

    def _failed(self, name: str, problem: str) -> None:
        term = self._terms[name] = replace(self._terms[name], failed=True)
        self._tools.log.error("fencing", election=name, token=term.order.token, detail=problem)

    def _cleaned(self, name: str, outcome: Outcome, *, asked: bool) -> None:
        term, log = self._terms[name], self._tools.log
        del self._escalations[name]
        if outcome.clean:
            self._terms[name] = term = replace(term, phase=Phase.STOPPED, failed=False)
            log.info("guard stopped it", election=name, token=term.order.token, released=outcome.released)
        else:
            self._terms[name] = term = replace(term, phase=Phase.UNCLEAN, escalated=True)
            log.error("not stopped", election=name, token=term.order.token, detail=outcome.detail)
        if outcome.released:
            self._forget(name)
        else:
            self._write(term, "stopped" if outcome.clean else "unclean")
            if outcome.clean and not self._agent:
                self._release(term)
        if asked and self._agent:
            self._tell(Fenced(name, term.order.token, clean=outcome.clean, detail=outcome.detail))

    def _release(self, term: Term) -> None:
        cleanup = Cleanup(self._tools, term.order, "")
        until = self._tools.clock.now().plus(RELEASE_TIME + 1.0)
        done = partial(self._release_tried, term.order)
        self._workers.submit(term.order.election, lambda: {"released": cleanup.release()}, done, until)

    def _release_tried(self, order: Arm, result: Result | None) -> None:
        term = self._terms.get(order.election)
        if result is not None and result["released"] and term is not None and term.order is order:
            self._forget(order.election)

    def _forget(self, name: str) -> None:
        del self._terms[name]
        self._keep_journal(name, self._tools.journal.blank(name))

    # --- time ---

    def tick(self, now: Instant) -> None:
        """Move on what waits for time to pass, and feed the watchdogs that may be fed."""
        self._workers.kill_overdue(now)
        for escalation in list(self._escalations.values()):
            escalation.tick(now)
        for device in self._watchdogs.devices():
            users = [term for name, term in self._terms.items() if self._guarded_by(device, name)]
            if all(term.phase is Phase.STOPPED for term in users):
                self._watchdogs.stop(device)
            if all(feeds(term, now, self._watchdogs.seconds(device)) for term in users):
                self._watchdogs.feed(device)

    def _guarded_by(self, device: str, election: str) -> bool:
        plan = self._elections.get(election)
        return plan is not None and "watchdog" in plan.fence and plan.watchdog_device == device
