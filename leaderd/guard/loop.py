"""The loop of the guard: what it waits for, and in which order it looks at things.

    wait → reap → take the scribe's answer → hear every message → read the clocks → judge

The order matters: after the guard itself was stopped, renewals that arrived meanwhile are heard before
anybody is judged by deadlines they have moved (rules R10, R13).
"""

import math
import os
import select
import signal
from collections.abc import Sequence
from dataclasses import asdict

from leaderd.changes import Change
from leaderd.errors import GuardError
from leaderd.guard import children, kernel
from leaderd.guard.cleanup import Tools
from leaderd.guard.custody import Custody
from leaderd.guard.fence import Watchdogs
from leaderd.guard.notify import Notifier
from leaderd.guard.process import AgentProcess, Restarts, start_agent
from leaderd.guard.reload import Reloader
from leaderd.guard.signals import Signals
from leaderd.guard.wire import (
    MAX_PACKET,
    Alive,
    Answer,
    Armed,
    Fenced,
    Fencing,
    Reload,
    Shutdown,
    decode,
    encode,
)
from leaderd.guard.worker import Workers
from leaderd.instant import Instant
from leaderd.plan import Plan

# poll(2) waits on a clock that stands still in suspend: look at the real ones this often, seconds.
_SLICE = 0.2
_SWEEP_SLICE = 0.003
# What still runs this long after SIGKILL hangs in the kernel; the stops are then run in spite of it.
_SWEEP_TIME = 1.0
# An agent that is to shut down has this long from when it holds nothing any more, seconds; one that
# has closed its link already, this long.
_SHUTDOWN_TIME = 15.0
_LEAVE_TIME = 2.0
# An agent that is starting up may be silent for so many seconds, and then for so many of its beats.
_START_TIME = 30.0
_SILENCE = 3.0
# A dying process closes its files a moment before it can be reaped, seconds.
_LAST_BREATH = 0.02
# More than the link holds, so that whatever was sent before a wait is heard after it.
_MOST_MESSAGES = 10_000


class Guard:
    """The guard of one node.

    Args:
        plan: The checked plan.
        lock: Descriptor that holds the lock on the state directory.
        agent: The command that the agent is started with.
        tools: For clean-ups, and for itself.
        workers: For whatever takes time.
        watchdogs: The devices.
        notifier: Tells the service manager.
        reread: The command that reads the configuration again.
    """

    def __init__(
        self, plan: Plan, lock: int, agent: tuple[str, ...], tools: Tools, workers: Workers,
        watchdogs: Watchdogs, notifier: Notifier, reread: Sequence[str] = (),
    ) -> None:
        self._plan = plan
        self._lock = lock
        self._command = agent
        self._clock = tools.clock
        self._log = tools.log
        self._journal = tools.journal
        self._workers = workers
        self._watchdogs = watchdogs
        self._notifier = notifier
        elections = {election.name: election for election in plan.elections}
        self._custody = Custody(tools, elections, workers, watchdogs, self._tell)
        self._reloader = Reloader(reread, workers, self._clock, self._log, self._adopt)
        self._restarts = Restarts()
        self._agent: AgentProcess | None = None
        self._agent_code = 0
        self._starts = 0
        self._start_at: Instant | None = self._clock.now()
        self._sweep_until: Instant | None = None
        self._shutdown_at: Instant | None = None
        self._signals = Signals()

    def run(self) -> int:
        """Guard until SIGTERM or SIGINT and the agent's end.

        Returns:
            The exit code: 0 when everything was stopped. A release that found no etcd waits in
        the journal, and the lease runs out.
        """
        self._prepare()
        entries, damaged = self._journal.load()
        for line in damaged:
            self._log.error("journal not readable", detail=line)
        self._custody.recover(entries)
        while (code := self._exit_code()) is None:
            self._start_if_due()
            self._wait()
            self._reap()
            self._workers.heed()
            self._hear()
            self._judge(self._clock.now())
        # The last look lets a watchdog that nobody needs any more be closed in peace.
        self._custody.tick(self._clock.now())
        self._workers.close()
        return code

    def _prepare(self) -> None:
        os.set_inheritable(self._lock, False)
        kernel.set_name("leaderd-guard")
        kernel.adopt_orphans()
        if refused := kernel.ask_for_priority():
            self._log.info("guard runs without", refused="; ".join(refused))
        self._workers.begin()

    # --- the agent ---

    def _start_if_due(self) -> None:
        if self._start_at is None or self._clock.now().wait_until(self._start_at) > 0:
            return
        # A sweep kills whatever hangs below us: an agent started before its end would be swept too.
        if self._sweep_until is not None or not self._custody.idle:
            return
        self._start_at = None
        self._starts += 1
        payload = {
            "plan": asdict(self._plan), "recovery": self._custody.recovery(), "guard_pid": os.getpid(),
            "agent_starts": self._starts, "beat": self._notifier.beat,
        }
        try:
            agent = start_agent(self._command, payload, self._lock, self._clock.now())
        except OSError as error:
            self._log.error("agent not started", detail=str(error))
            self._start_at = self._clock.now().plus(self._restarts.delay_after(0.0))
            return
        self._agent = agent
        self._custody.agent_started(agent.pid)
        self._log.info("agent started", pid=agent.pid)

    def _tell(self, answer: Answer) -> None:
        if self._agent is None:
            return
        try:
            self._agent.link.send(encode(answer))
        except BlockingIOError:
            # It has not read hundreds of answers: it hangs, and is of no use alive.
            self._end_agent("does not read its link")
        except OSError:
            self._log.debug("answer not sent", answer=type(answer).__name__)

    def _end_agent(self, why: str) -> None:
        if self._agent is not None and not self._agent.killed:
            self._log.error("agent killed", pid=self._agent.pid, detail=why)
            self._agent.kill()
            self._begin_sweep()

    def _begin_sweep(self) -> None:
        if self._sweep_until is None:
            self._sweep_until = self._clock.now().plus(_SWEEP_TIME)

    def _agent_ended(self, agent: AgentProcess, status: int) -> None:
        agent.killed = True  # The pid may be anybody's from now on.
        self._hear()  # Its last words: what it has stopped and released need not be done again.
        agent.link.close()
        self._agent = None
        code = os.waitstatus_to_exitcode(status)
        now = self._clock.now()
        delay = self._restarts.delay_after(now.held_since(agent.started_at))
        if self._shutdown_at is None:
            self._start_at = now.plus(delay)
        else:
            self._agent_code = code
        expected = self._shutdown_at is not None and code == 0
        self._log.write("info" if expected else "error", "agent ended", pid=agent.pid, code=code)
        self._begin_sweep()

    # --- the loop ---

    def _exit_code(self) -> int | None:
        if self._shutdown_at is None or self._agent or self._sweep_until or not self._custody.idle:
            return None
        return 1 if self._custody.unclean or self._agent_code else 0

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._signals.fd, select.POLLIN)
        if (answers := self._workers.answers) is not None:
            poll.register(answers, select.POLLIN)
        if self._agent is not None and self._agent.closed_at is None:
            poll.register(self._agent.link, select.POLLIN)
        seconds = self._patience()
        poll.poll(None if seconds is None else max(0, math.ceil(seconds * 1000)))

    def _patience(self) -> float | None:
        """Return how long nothing needs to be looked at, in seconds; None for ever."""
        if self._sweep_until is not None:
            return _SWEEP_SLICE
        now = self._clock.now()
        waits = [_SLICE] if self._custody.live or not self._custody.idle or self._watchdogs.open else []
        if (left := self._custody.left(now)) is not None:
            waits.append(left)
        if self._start_at is not None and self._custody.idle:
            waits.append(min(_SLICE, now.wait_until(self._start_at)))
        if self._shutdown_at is not None:
            waits.append(_SLICE)
        if self._agent is not None and self._agent.closed_at is not None:
            waits.append(_LAST_BREATH)
        if (left := self._notifier.left(now)) is not None:
            waits.append(left)
        return max(0.0, min(waits)) if waits else None

    def _reap(self) -> None:
        for number in self._signals.take():
            self._signalled(number)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == 0:
                return
            if self._agent is not None and pid == self._agent.pid:
                self._agent_ended(self._agent, status)
            else:
                self._workers.ended(pid)

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP:
            if self._shutdown_at is None:
                self._reloader.begin(self._plan)
        elif number in (signal.SIGTERM, signal.SIGINT):
            if self._shutdown_at is not None:
                self._end_agent("second signal to end")
                return
            self._log.info("shutting down", signal=signal.Signals(number).name)
            self._notifier.stopping()
            self._shutdown_at = self._clock.now()
            self._start_at = None
            self._tell(Shutdown())

    def _adopt(self, plan: Plan, changes: tuple[Change, ...]) -> None:
        self._plan = plan
        self._log.change(plan.log, plan.log_level)
        self._custody.adopt(plan)
        self._tell(Reload(changes))

    def _hear(self) -> None:
        """Hear all that the agent has said so far; not for ever, if it should never fall silent."""
        for _ in range(_MOST_MESSAGES):
            agent = self._agent
            if agent is None or agent.closed_at is not None:
                return
            try:
                packet = agent.link.recv(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                agent.closed_at = self._clock.now()
                return
            self._take_in(packet)

    def _take_in(self, packet: bytes) -> None:
        try:
            message = decode(packet)
        except GuardError as error:
            self._end_agent(str(error))
            return
        if isinstance(message, Alive):
            if self._agent is not None:
                self._agent.heard_at = self._clock.now()
            self._notifier.ready()
            return
        if isinstance(message, Armed | Fencing | Fenced | Shutdown | Reload):
            self._end_agent(f"sent {type(message).__name__}")
            return
        self._custody.hear(message)

    def _judge(self, now: Instant) -> None:
        if self._agent is not None and (why := self._verdict(self._agent, now)):
            self._end_agent(why)
        if self._sweep_until is not None:
            self._sweep(now)
        self._custody.tick(now)
        self._notifier.feed(now, well=self._well(now))

    def _well(self, now: Instant) -> bool:
        """Return whether the agent shows life; where there is none just now, this loop is what counts."""
        if (agent := self._agent) is None:
            return True
        heard = agent.heard_at or agent.started_at.plus(_START_TIME)
        return now.held_since(heard) <= _SILENCE * self._notifier.beat

    def _verdict(self, agent: AgentProcess, now: Instant) -> str:
        """Return why the agent must be killed, or ""."""
        live = self._custody.live
        # While it holds something, nobody may be out of hearing; else it may just be on its way out.
        leave = _LAST_BREATH if live else _LEAVE_TIME
        if agent.closed_at is not None and now.held_since(agent.closed_at) > leave:
            return "has closed its link"
        if self._shutdown_at is not None:
            if live:
                self._shutdown_at = now
            if now.held_since(self._shutdown_at) > _SHUTDOWN_TIME:
                return "does not shut down"
        return self._custody.judge(now)

    def _sweep(self, now: Instant) -> None:
        """Kill whatever the agent and what it started have left, until nothing is left."""
        left = children.descendants(os.getpid(), self._workers.pids)
        children.kill(left)
        # A thread that hangs in the kernel keeps a dead agent from being reaped, but not from being dead.
        alive = children.running(left)
        if not alive or now.left_until(self._sweep_until or now) <= 0:
            self._sweep_until = None
            if alive:
                self._log.error("processes survive SIGKILL", pids=",".join(map(str, alive)))
            self._custody.agent_dead(alive)
