"""The agent process: puts the parts together, then waits. The only module that knows all the others.

Started by the guard as `python -m leaderd.app --link-fd N --plan-fd M`; see `guard.main` for both.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import structlog

from leaderd import log
from leaderd.agent import ElectionLoop, Ports
from leaderd.api.grpc import ApiServer
from leaderd.api.http_thread import HttpThread
from leaderd.api.metrics import Metrics
from leaderd.api.metrics_status import StatusCollector
from leaderd.budget import timing_of
from leaderd.changes import Change, adopt
from leaderd.clock import BootClock, boot_id
from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.atleast import AtLeastOne
from leaderd.core.election import Election
from leaderd.core.handover import Preference
from leaderd.core.records import HolderRecord
from leaderd.core.states import State
from leaderd.core.status import AT_LEAST_ONE, Status
from leaderd.errors import GuardError, LeaderdError
from leaderd.etcd.client import EtcdClient
from leaderd.etcd.control import ElectionControl
from leaderd.etcd.presence import Presence
from leaderd.etcd.rotation import Rotation
from leaderd.etcd.store import ElectionStore
from leaderd.guard.link import ArmOrder, GuardLink
from leaderd.keys import ElectionKeys
from leaderd.memory import Memory
from leaderd.operators import Operators
from leaderd.plan import ElectionPlan, Plan
from leaderd.report import Report, presence_text
from leaderd.resources.build import Site, build
from leaderd.resources.contain import Log, Pods
from leaderd.resources.group import ResourceGroup

# What a helper process may still take when everything else is done, and what the last news may, in
# seconds; the guard waits longer than both.
_LAST_WORDS = 1.0
_LAST_NEWS = 5.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the guard knows of an election's earlier runs."""

    pending: e.PendingRelease | None = None
    unclean: int = 0

    @staticmethod
    def read(fields: dict[str, Any] | None) -> "Recovery":
        """Read the block that the guard put beside the plan."""
        if not fields:
            return Recovery()
        pending = fields["pending"]
        return Recovery(
            pending and e.PendingRelease(
                int(pending["token"]), int(pending["holder_revision"]),
                HolderRecord.decode(pending["record"]),
            ),
            int(fields["unclean"]),
        )


class GuardPort:
    """The guard as one election sees it.

    Args:
        link: Shared by all elections.
        keys: Of this one.
        election: Name of this one.
        resources: Knows the stop commands.
        log: Told of a term that cannot be armed.
    """

    def __init__(
        self, link: GuardLink, keys: ElectionKeys, election: str, resources: ResourceGroup, log: Log
    ) -> None:
        self._link = link
        self._keys = keys
        self._election = election
        self._resources = resources
        self._log = log

    def arm(self, action: a.ArmGuard) -> None:
        """Tell the guard all that it needs to stop and release the term alone."""
        order = ArmOrder(
            stops=self._resources.stop_commands(),
            holder_key=self._keys.holder,
            key=self._keys.key(action.record.lease),
            env={"LEADERD_PREVIOUS": action.previous},
        )
        try:
            self._link.perform(self._election, action, order)
        except GuardError as error:
            # No answer will come: nothing starts (R1), and this election gives the term up. The others
            # of this daemon hold theirs.
            self._log("error", "not armed", election=self._election, token=action.token, detail=str(error))

    def perform(self, action: a.ExtendLease | a.ReportStopping | a.Disarm | a.Forget | a.Fence) -> None:
        """Tell the guard."""
        self._link.perform(self._election, action)


class Agent:
    """All elections of the daemon and what they share.

    Args:
        plan: Checked.
        recovery: Of each election, by name.
        link: Socket to the guard.
        guard_pid: For the status.
        starts: Agents that this guard has started, this one included.
        beat: How often the guard wants to hear that the loop runs, seconds; 0 for never.
    """

    def __init__(
        self, plan: Plan, recovery: dict[str, Any], link: socket.socket, guard_pid: int, starts: int,
        beat: float,
    ) -> None:
        self._plan = plan
        self._recovery = recovery
        self._starts = starts
        self._beat = beat
        self._clock = BootClock()
        self._log = log.get_logger(node=plan.node)
        self._loops: dict[str, ElectionLoop] = {}
        self._link = GuardLink(link, self._clock, self._post, self._shut_down, self._reload)
        pids = {"guard": guard_pid, "agent": os.getpid()}
        self._report = Report(plan, self._clock, pids, boot_id())
        self._operators = Operators(plan.node)
        self._metrics = Metrics(self._clock)
        self._guard_lost = False
        self._open: list[AsyncExitStack] = []
        self._news_time = 0.0
        # Who goes on with another plan after a reload.
        self._reloaded: list[Callable[[Plan], None]] = []

    async def run(self) -> int:
        """Run until every election is finished; return the exit code.

        0 when all was stopped cleanly, 1 when a stop failed or the guard was lost.
        """
        async with AsyncExitStack() as stack:
            client = EtcdClient(self._plan.etcd, self._clock)
            stack.push_async_callback(client.close)
            stack.push_async_callback(self._close)
            presence = Presence(client)
            stack.push_async_callback(presence.close)
            rotation = Rotation(client, self._plan, self._hook_log)
            self._reloaded.append(rotation.change)
            services: list[Coroutine[Any, Any, None]] = [
                self._link.run(), self._serve(), self._serve_http(), self._warn(client), presence.run(),
                rotation.run(),
            ]
            if self._beat:
                services.append(self._link.show_life(self._beat))
            runs = []
            for plan in self._plan.elections:
                loop, ports, more = self._assemble(plan, client, presence)
                services += more
                runs.append(loop.run(ports))
            clean = await _finish_first(runs, services)
            # Not after a failure: the guard waits for our end to stop what still runs.
            self._news_time = _LAST_NEWS
        return 0 if clean and not self._guard_lost else 1

    async def _close(self) -> None:
        """Close all elections at once: what each of them waits for must not add up."""
        ends = await asyncio.gather(*(stack.aclose() for stack in self._open), return_exceptions=True)
        for error in ends:
            if error is not None:
                raise error

    def _assemble(
        self, plan: ElectionPlan, client: EtcdClient, presence: Presence
    ) -> tuple[ElectionLoop, Ports, list[Coroutine[Any, Any, None]]]:
        self._open.append(stack := AsyncExitStack())
        timing = timing_of(plan)
        keys = ElectionKeys(self._plan.root, plan.name)
        memory = Memory(self._plan.state_dir, plan.name, self._hook_log)
        recovery = Recovery.read(self._recovery.get(plan.name))
        started = e.Started(memory.load(), recovery.pending, recovery.unclean, healthy=plan.check is None)
        preference = Preference(plan.priority, _patience(plan))
        kind = AtLeastOne if plan.guarantee == AT_LEAST_ONE else Election
        election = kind(plan.name, self._plan.node, timing, preference)
        loop = ElectionLoop(election, self._clock, started)
        self._loops[plan.name] = loop
        site = Site(self._plan.node, self._plan.state_dir, self._clock, self._hook_log,
                    Pods(plan.name, self._clock, self._hook_log),
                    self._metrics.hook, self._metrics.announced)
        parts = build(plan, timing, site, loop.post)
        group, notifier, check = parts.group, parts.notifier, parts.check
        stack.push_async_callback(lambda: group.close(self._clock.now().plus(_LAST_WORDS)))
        post = self._metrics.tap(lambda: loop.status, loop.post)
        store = ElectionStore(
            client, keys, self._plan.node, plan.priority, timing, self._clock, post,
            self._metrics.renewals(plan.name, self._plan.etcd.endpoints),
        )
        stack.push_async_callback(store.close)
        self._report.add(lambda: loop.status, group.states)
        control = ElectionControl(client, keys, self._plan.node, timing, self._clock)
        self._operators.add(plan.name, control, lambda: election.history.known.epoch)
        self._metrics.add(loop.status)

        def publish(status: Status) -> None:
            self._publish(status)
            presence.tell(keys.node(self._plan.node), presence_text(status, store.priority))
            notifier.publish(status)
            check.publish(status)

        def reloaded(changed: Plan) -> None:
            now = next(each for each in changed.elections if each.name == plan.name)
            parts.change(now)
            store.prefer(now.priority)
            self._metrics.expect(plan.name, changed.etcd.endpoints)
            loop.post(e.PreferenceChanged(now.priority, _patience(now)))
            presence.tell(keys.node(self._plan.node), presence_text(loop.status, now.priority))

        self._reloaded.append(reloaded)
        # Closed after the notifier, as both run in one pod.
        stack.push_async_callback(lambda: check.close(self._clock.now().plus(_LAST_WORDS)))
        stack.push_async_callback(lambda: notifier.close(self._clock.now().plus(self._news_time)))
        guard = GuardPort(self._link, keys, plan.name, group, self._hook_log)
        ports = Ports(store, guard, group, memory.remember, publish)
        return loop, ports, [store.run(), memory.run(), check.run()]

    # --- news in and out ---

    def _post(self, election: str, event: e.Event) -> None:
        if isinstance(event, e.GuardLost):
            self._guard_lost = True
            self._log.error("the guard is gone: stepping down")
        for name, loop in self._loops.items():
            if election in ("", name):
                loop.post(event)

    def _shut_down(self) -> None:
        self._post("", e.Shutdown())

    def _reload(self, changes: Sequence[Change]) -> None:
        self._plan = adopt(self._plan, changes)
        log.change(self._plan.log, self._plan.log_level)
        for tell in self._reloaded:
            tell(self._plan)

    def _publish(self, status: Status) -> None:
        self._metrics.published(status)
        if not self._report.update(status):
            return
        write = self._log.info if status.proven else self._log.warning
        if status.state is State.FENCED or status.blocked:
            write = self._log.error
        write(
            status.state.value, election=status.election, token=status.token, reason=status.reason,
            leader=status.leader, lease_left=self._report.lease_left(status), detail=status.detail,
        )

    def _hook_log(self, level: str, event: str, **fields: object) -> None:
        getattr(self._log, level)(event, **fields)

    # --- what must not cost a leadership when it fails ---

    async def _serve(self) -> None:
        if not self._plan.api.socket:
            return
        try:
            await ApiServer(self._plan, self._report, self._operators).run()
        except (LeaderdError, OSError) as error:
            self._log.error("status is not served", detail=str(error))

    async def _serve_http(self) -> None:
        if not self._plan.api.http:
            return
        budgets = {plan.name: (plan.ttl, timing_of(plan).stop_after) for plan in self._plan.elections}
        self._metrics.registry.register(StatusCollector(self._report.report, budgets, self._starts))
        thread = HttpThread(
            self._plan.api.http, self._report, self._operators.history, self._metrics, self._clock,
            lambda: not self._guard_lost, self._hook_log,
        )
        try:
            await thread.run()
        except (OSError, RuntimeError) as error:
            self._log.error("HTTP is not served", detail=str(error))

    async def _warn(self, client: EtcdClient) -> None:
        found = [
            f"election {plan.name}: {warning}"
            for plan in self._plan.elections for warning in timing_of(plan).warnings()
        ]
        found += [
            f"election {plan.name}: {plan.guarantee}: without etcd the address is kept and taken without a "
            "proof, and nodes that cannot hear one another may both have it"
            for plan in self._plan.elections if plan.guarantee == AT_LEAST_ONE
        ]
        found += await client.warnings()
        self._report.warn(found)
        for warning in found:
            self._log.warning("beware", detail=warning)


def _patience(plan: ElectionPlan) -> float | None:
    return plan.preempt_delay if plan.preempt else None


async def _finish_first(
    runs: list[Coroutine[Any, Any, bool]], services: list[Coroutine[Any, Any, None]]
) -> bool:
    """Wait for all runs, with the services beside them; whatever fails ends everything."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service) for service in services]
        finished = [group.create_task(run) for run in runs]
        await asyncio.wait(finished)
        for task in tasks:
            task.cancel()
    return all(task.result() for task in finished)


def main(arguments: list[str]) -> int:
    """Run the agent; the exit code is its last word to the guard."""
    named = dict(zip(arguments[::2], arguments[1::2], strict=True))
    with os.fdopen(os.dup(int(named["--plan-fd"])), encoding="utf-8") as file:
        file.seek(0)
        given = json.load(file)
    plan = Plan.decode(json.dumps(given["plan"]))
    log.configure(plan.log, plan.log_level)
    link = socket.socket(fileno=int(named["--link-fd"]))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # The guard decides. Without a guard the kernel sends SIGHUP to a stopped agent that continues,
        # which is to step down in order. Not SIG_IGN: hooks would inherit that.
        signal.signal(number, lambda *_: None)
    try:
        agent = Agent(plan, given["recovery"], link, given["guard_pid"], given["agent_starts"], given["beat"])
        return asyncio.run(agent.run())
    except Exception:  # noqa: BLE001 - whatever it is, the guard stops what was started
        structlog.get_logger().exception("the agent gives up", node=plan.node)
        return 70
    finally:
        log.flush()


if __name__ == "__main__":
    # At once: all is closed, and the end of the interpreter would wait for gRPC's own threads, which
    # after a lost network may take seconds. The guard would kill the agent for it.
    os._exit(main(sys.argv[1:]))
