"""The ground truth of the fault tests: a daemon that must never run twice, and the hook that starts it.

Run as `python -I -S writer.py JOURNAL start|stop|monitor`, or with `run` as a process of its own.
`start` leaves a daemon behind (double fork, own session) that writes a beat every 20 ms for as long as
it lives, whoever else is dead. It is found by its command line and not by a pid file, since a contained
one has the pids of its namespace.

    <JOURNAL>  as that of `leaderd.demo.hook`; a stop is noted only where it found a writer to kill, or
               the stop of an earlier run's remains would prolong a term that ended long ago
"""

import json
import os
import signal
import sys
import time

BEAT = 0.02


def note(journal: str, event: str) -> None:
    """Append one line; several writers in append mode never mix theirs."""
    line = {"node": os.environ["LEADERD_NODE"], "token": int(os.environ["LEADERD_TOKEN"]),
            "event": event, "at": time.clock_gettime(time.CLOCK_BOOTTIME)}
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


def writers(journal: str) -> list[int]:
    """Return the pids of this node's writers that run."""
    tail = f"{journal}\0write\0{os.environ['LEADERD_NODE']}\0".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                if file.read().endswith(tail):
                    found.append(int(name))
        except OSError:
            continue
    # The command line of a zombie is empty, so none of these is one.
    return found


def start(journal: str) -> None:
    """Leave a writer behind."""
    if writers(journal):
        return
    note(journal, "start")
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    me = [sys.executable, "-I", "-S", os.path.abspath(__file__), journal, "write"]
    os.execv(me[0], [*me, os.environ["LEADERD_NODE"]])


def stop(journal: str) -> None:
    """Kill the writer and see to it that it is gone."""
    if not (pids := writers(journal)):
        return
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while writers(journal):
        time.sleep(0.001)
    note(journal, "stop")


def main() -> int:
    """Do what the second argument says; the exit code is that of a resource agent."""
    journal, action = sys.argv[1:3]
    if action == "monitor":
        return 0 if writers(journal) else 7
    if action == "start":
        start(journal)
    elif action == "stop":
        stop(journal)
    if action == "run":
        note(journal, "start")
    while action in {"write", "run"}:
        note(journal, "beat")
        time.sleep(BEAT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
