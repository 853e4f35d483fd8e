"""A virtual machine with Debian's kernel, under QEMU: booted once, and brought back from there for each case.

What runs in it does so at the speed of an emulated processor, ten to twenty times slower than outside.
Its clocks run as fast as the host's.

Source: qemu(1); QEMU, "QMP Reference Manual" (migrate, WATCHDOG, RESET, SHUTDOWN).
"""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.vm.monitor import Monitor, connect
from tests.vm.parts import QEMU, Parts

_ANSWER_GRACE = 20.0
_BOOT_TIME = 120.0


class Span(NamedTuple):
    """Between which two instants of the host's `CLOCK_MONOTONIC` something was."""

    first: float
    last: float


class Machine:
    """One QEMU process.

    Args:
        directory: For its sockets and its console; short, since paths of sockets are.
        parts: What to boot.
        saved: Where the state of an earlier machine stands; it goes on there instead of booting.
    """

    def __init__(self, directory: Path, parts: Parts, saved: Path | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.console = directory / "console"
        control, line = directory / "qmp", directory / "line"
        come = ["-incoming", f"exec:cat {saved}"] if saved else []
        self._process = subprocess.Popen(
            [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
             "-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
             # A machine that restarts stands still instead: it cannot be mistaken for one that went on.
             "-action", "reboot=shutdown,shutdown=pause,watchdog=reset",
             "-device", "i6300esb", "-nic", "user,model=virtio-net-pci",
             "-qmp", f"unix:{control},server=on,wait=off",
             "-serial", f"file:{self.console}",
             "-chardev", f"socket,id=line,path={line},server=on,wait=off", "-serial", "chardev:line",
             "-kernel", str(parts.kernel), "-initrd", str(parts.initrd),
             "-append", "console=ttyS0 loglevel=5 panic=0 mitigations=off", *come],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )
        self._open: list[Callable[[], None]] = []
        try:
            self.monitor = Monitor(control)
            self._open.append(self.monitor.close)
            self._line = connect(line, 10.0)
            self._answers = self._line.makefile("r", encoding="utf-8")
            self._open += [self._line.close, self._answers.close]
            if saved is None:
                self._hear(_BOOT_TIME)
            else:
                self._wait_running()
        except BaseException:
            self.end()
            raise

    def _wait_running(self) -> None:
        until = time.monotonic() + 30
        while not self.monitor.do("query-status")["running"]:
            if time.monotonic() > until:
                raise TimeoutError(f"the machine does not go on: {self.monitor.do('query-status')}")
            time.sleep(0.02)

    # --- what the guest does ---

    def run(self, script: str, timeout: float = 30.0) -> str:
        """Run a shell script in the guest; return what it wrote.

        Raises:
            AssertionError: It failed or took too long.
        """
        code, output = self.attempt(script, timeout)
        assert code == 0, f"{script}: {code}: {output}"
        return output

    def attempt(self, script: str, timeout: float = 30.0) -> tuple[int | None, str]:
        """Run a shell script in the guest; return its exit code, None for too long, and what it wrote."""
        answer = self._ask({"run": script, "timeout": timeout}, timeout + _ANSWER_GRACE)
        return answer["code"], answer["output"]

    def write(self, path: str, text: str) -> None:
        """Write a file in the guest."""
        self._ask({"write": path, "text": text}, _ANSWER_GRACE)

    def clocks(self) -> tuple[dict[str, float], Span]:
        """Return what the guest's clocks say, and between which instants of the host's."""
        before = time.monotonic()
        answer = self._ask({"clock": 1}, _ANSWER_GRACE)
        return answer, Span(before, time.monotonic())

    def on_host(self, boot: float) -> Span:
        """Return when the guest's boot-time clock shows this, on the host's `CLOCK_MONOTONIC`."""
        tries = [self.clocks() for _ in range(5)]
        answer, span = min(tries, key=lambda each: each[1].last - each[1].first)
        return Span(span.first + boot - answer["boot"], span.last + boot - answer["boot"])

    def wait_for(self, what: str, script: str, timeout: float = 60.0) -> str:
        """Wait until a script of the guest succeeds; return what it wrote."""
        loop = f"until {{ {script}\n}}; do sleep 0.4; done"
        code, output = self.attempt(loop, timeout)
        assert code == 0, f"waited {timeout:g} s in vain for {what}: {output[-2000:]}"
        return output

    def _ask(self, question: dict[str, object], timeout: float) -> Any:
        self._line.sendall(json.dumps(question).encode() + b"\n")
        return self._hear(timeout)

    def _hear(self, timeout: float) -> Any:
        self._line.settimeout(timeout)
        try:
            return json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            tail = self.console.read_text(errors="replace")[-3000:]
            raise TimeoutError(f"the guest does not answer: {error}; its console: {tail}") from error

    # --- what happens to it ---

    def save(self, path: Path) -> None:
        """Write its state down; it stands still from then on."""
        self.monitor.do("migrate", uri=f"exec:cat > {path}")
        while (state := self.monitor.do("query-migrate")["status"]) != "completed":
            assert state in ("setup", "active", "device"), state
            time.sleep(0.02)

    def pause(self) -> None:
        """Stop its processors and its clocks."""
        self.monitor.do("stop")

    def go_on(self) -> None:
        """Go on."""
        self.monitor.do("cont")

    def end(self) -> None:
        """Switch it off."""
        for close in self._open[::-1]:
            # QEMU may have closed its side before.
            with suppress(OSError):
                close()
        self._process.kill()
        self._process.wait()
