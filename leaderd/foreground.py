"""The process that the caller of `leaderd exec` sees: parent of the guard, and deputy of the command.

`leaderd exec` becomes this by exec. It holds no lease and no deadline: it starts the guard, lets the
command be started once and never again, passes signals on, and exits as the command did, or with 75 when
leadership was lost or not got. Standard library only.

    caller ── this ── guard ── agent ── … ── command        standard input, output and error: the caller's

The guard gets SIGTERM when this process dies, so the command never outlives it for longer than an
orderly stop takes; and this process adopts what a killed guard leaves, so it never ends before that.

Agent and this process speak over a SEQPACKET socket that the guard hands down, one JSON object a packet:

    agent: {"hello": pid} | {"ask": pid} | {"stopping": reason} | {"exit": code, "failed": why}
    this:  {"to": pid, "go": bool} | {"to": pid, "signal": n}
"""

import json
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from leaderd.clock import BootClock
from leaderd.guard import children, kernel
from leaderd.instant import Instant
from leaderd.plan import ElectionPlan, Plan

LOST = 75
PACKET = 4096
# What is passed on to the command; before it runs, those in ENDING end the wait for it.
ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
FORWARDED = (*ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH)
# Beyond the stop itself, what an agent without a guard may take for its release, in seconds.
_LEAVE_TIME = 6.0
_SLICE = 0.2
# What still runs this long after SIGKILL hangs in the kernel, in seconds.
_KILL_TIME = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of `leaderd exec`.

    Attributes:
        election: That must be led.
        until: When to give up waiting for leadership; None for never.
        directory: The temporary state directory, removed at the end; "" where the caller gave one.
        guard: The guard's command line.
    """

    election: ElectionPlan
    until: Instant | None
    directory: str
    guard: tuple[str, ...]


class Foreground:
    """See the module.

    Args:
        call: What was asked for.
        link: To the agent.
    """

    def __init__(self, call: Call, link: socket.socket) -> None:
        self._call = call
        self._link = link
        self._clock = BootClock()
        self._wake = -1
        self._guard = 0
        self._agent = 0
        self._go = False
        self._outcome: int | None = None

    def run(self, pass_on: Sequence[int]) -> int:
        """Start the guard and see the command through; return the exit code.

        Args:
            pass_on: Descriptors for the guard, closed here.
        """
        self._prepare()
        self._guard = _spawn(self._call.guard)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
        for file in pass_on:
            os.close(file)
        while self._guard:
            self._wait(self._patience())
            self._look_at_the_clock()
        if self._outcome is None:
            self._lose("the guard died" if self._go else "the guard ended before it began")
        self._bury()
        if self._call.directory:
            shutil.rmtree(self._call.directory, ignore_errors=True)
        return LOST if self._outcome is None else self._outcome

    def _prepare(self) -> None:
        kernel.set_name("leaderd-exec")
        kernel.adopt_orphans()
        self._wake, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (*FORWARDED, signal.SIGCHLD):
            # What the caller has had ignored, as nohup does, stays so.
            if number == signal.SIGCHLD or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda *_: None)

    # --- what comes in ---

    def _patience(self) -> float | None:
        if self._call.until is None or self._go or self._outcome is not None:
            return None
        return min(_SLICE, max(0.0, self._clock.now().left_until(self._call.until)))

    def _wait(self, seconds: float | None) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if self._link.fileno() >= 0:
            poll.register(self._link, select.POLLIN)
        poll.poll(None if seconds is None else int(seconds * 1000) + 1)
        self._hear()
        with suppress(BlockingIOError):
            for number in os.read(self._wake, 512):
                self._signalled(number)

    def _hear(self) -> None:
        while self._link.fileno() >= 0:
            try:
                packet = self._link.recv(PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._link.close()
                return
            self._take_in(json.loads(packet))

    def _take_in(self, message: dict[str, Any]) -> None:
        match message:
            case {"hello": pid}:
                # A second agent: the first has died, and the command with it if it was started.
                self._agent = pid
                if self._go:
                    self._lose("the agent died")
            case {"ask": pid}:
                # Once, whatever happens: nobody wants a command to be run again behind their back.
                late = self._call.until is not None and self._clock.now().left_until(self._call.until) <= 0
                go = not self._go and self._outcome is None and not late
                self._go = self._go or go
                self._tell({"to": pid, "go": go})
            case {"stopping": reason}:
                # A shutdown is what was asked for, here or by a service manager: the exit code tells.
                if reason != "shutdown":
                    self._lose(str(reason))
            case {"exit": code, "failed": why}:
                if self._outcome is None and why:
                    _say(str(why))
                self._decide(int(code))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif self._go:
            self._tell({"to": self._agent, "signal": number})
        elif number in ENDING:
            self._decide(128 + number)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                if pid == self._guard:
                    self._hear()
                    self._guard = 0

    def _look_at_the_clock(self) -> None:
        until = self._call.until
        if until is None or self._go or self._outcome is not None:
            return
        if self._clock.now().left_until(until) <= 0:
            _say(f"leadership of {self._call.election.name} was not got in time")
            self._decide(LOST)

    # --- what follows ---

    def _lose(self, why: str) -> None:
        if self._outcome is None:
            stopped = "; the command was stopped" if self._go else ""
            _say(f"leadership of {self._call.election.name} was lost ({why}){stopped}")
            self._decide(LOST)

    def _decide(self, outcome: int) -> None:
        """Settle the exit code, and have everything stopped and released."""
        if self._outcome is None:
            self._outcome = outcome
            if self._guard:
                with suppress(ProcessLookupError):
                    os.kill(self._guard, signal.SIGTERM)

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(OSError):
            self._link.send(json.dumps(message).encode())

    def _bury(self) -> None:
        """Let the agent of a killed guard stop and release in order; kill whatever it leaves, at once."""
        plan = self._call.election
        until = self._clock.now().plus(plan.stop_timeout + plan.kill_time + _LEAVE_TIME)
        while children.running([self._agent]) and self._clock.now().left_until(until) > 0:
            self._wait(_SLICE)
        until = self._clock.now().plus(_KILL_TIME)
        # Until there is not even a zombie: whatever its death sets free comes to us, after our look.
        while left := children.descendants(os.getpid()):
            if self._clock.now().left_until(until) <= 0:
                _say(f"processes survive SIGKILL: {', '.join(map(str, children.running(left)))}")
                break
            children.kill(children.running(left))
            self._wait(0.01)
            self._reap()


def _spawn(argv: Sequence[str]) -> int:
    """Start the guard in a session of its own, so that a terminal's signals come here alone."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        for number in (*FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        kernel.signal_with_parent(signal.SIGTERM)
        if os.getppid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execv(argv[0], list(argv))
    finally:
        os._exit(1)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"leaderd: {text}\n".encode(errors="replace"))


def become(files: dict[str, int], link: int, python: Sequence[str]) -> NoReturn:
    """Replace this process by the one of this module.

    Args:
        files: The descriptors `--plan-fd` and `--lock-fd`, for the guard as well, and `--theirs-fd`, the
            agent's end of the link; all inheritable.
        link: Our end.
        python: The interpreter with its options.
    """
    # Whatever comes before the handlers stand must not be lost, nor leave the directory behind.
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    named = [word for name, file in {**files, "--link-fd": link}.items() for word in (name, str(file))]
    os.execve(python[0], [*python, "-m", "leaderd.foreground", *named], os.environ)


def main(arguments: Sequence[str]) -> int:
    """Run; the exit code is the command's, or 75."""
    given = dict(zip(arguments[::2], map(int, arguments[1::2]), strict=True))
    with open(given["--plan-fd"], encoding="utf-8", closefd=False) as file:
        fields = json.load(file)
    os.lseek(given["--plan-fd"], 0, os.SEEK_SET)
    (election,) = Plan.decode(json.dumps(fields["plan"])).elections
    asked = fields["exec"]
    files = {name: given[name] for name in ("--plan-fd", "--lock-fd")}
    guard = [sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "leaderd.guard.main"]
    guard += [word for name, file in files.items() for word in (name, str(file))]
    until = Instant(*asked["until"]) if asked["until"] else None
    link = socket.socket(fileno=given["--link-fd"])
    link.setblocking(False)
    link.set_inheritable(False)
    call = Call(election, until, asked["directory"], tuple(guard))
    return Foreground(call, link).run([*files.values(), given["--theirs-fd"]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
