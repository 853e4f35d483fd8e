"""Runs inside the guest: does what the host asks for over a serial line, one JSON object a line.

    {"run": "shell script", "timeout": 10}  ─►  {"code": 0, "output": "…"}; code null: took too long
    {"write": "/path", "text": "…"}         ─►  {}
    {"clock": 1}                            ─►  {"raw": …, "boot": …, "wall": …}

It is the guest's first process, so it reaps what others leave behind.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import tty
from contextlib import suppress


def main() -> None:
    """Answer until the machine goes away."""
    line = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line)
    say(line, {"ready": True})
    buffer = b""
    while True:
        if select.select([line], [], [], 0.5)[0]:
            buffer += os.read(line, 4096)
        *whole, buffer = buffer.split(b"\n")
        for each in whole:
            say(line, answer(json.loads(each)))
        reap()


def say(line: int, what: dict[str, object]) -> None:
    """Write one object."""
    packet = json.dumps(what).encode() + b"\n"
    while packet:
        packet = packet[os.write(line, packet):]


def answer(question: dict[str, object]) -> dict[str, object]:
    """Do what is asked."""
    if "clock" in question:
        return clocks()
    if "write" in question:
        with open(str(question["write"]), "w", encoding="utf-8") as file:
            file.write(str(question["text"]))
        return {}
    with open("/run/output", "wb+") as output:
        child = subprocess.Popen(
            ["sh", "-c", str(question["run"])], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )
        until = time.monotonic() + float(str(question["timeout"]))
        while child.poll() is None and time.monotonic() < until:
            reap(child.pid)
            time.sleep(0.01)
        code = child.returncode
        if code is None:
            os.killpg(child.pid, signal.SIGKILL)
        output.seek(0)
        return {"code": code, "output": output.read().decode(errors="replace")}


def clocks() -> dict[str, object]:
    """Return what the clocks say."""
    return {
        "raw": time.clock_gettime(time.CLOCK_MONOTONIC_RAW), "boot": time.clock_gettime(time.CLOCK_BOOTTIME),
        "wall": time.time(),
    }


def reap(child: int = 0) -> None:
    """Reap orphans, up to a child that somebody waits for."""
    with suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid == child:
                return
            os.waitpid(found.si_pid, 0)


main()
