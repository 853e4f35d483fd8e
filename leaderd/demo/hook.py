"""The demo's resource: a writer that must never run twice.

Run as `python -I -S hook.py JOURNAL start|stop|monitor`, as any hook script. `start` notes the moment and
leaves a daemon behind that writes a beat every 20 ms; `stop` kills it, if it runs, and notes that. All
nodes of the demo share a machine, so one clock orders everything that stands in the journal.

    <JOURNAL>  one JSON object a line: {"node": str, "token": int, "event": "start" | "beat" | "stop",
               "at": seconds of CLOCK_BOOTTIME}
"""

import json
import os
import signal
import sys
import time

BEAT = 0.02


def _note(journal: str, event: str) -> None:
    line = {"node": os.environ["LEADERD_NODE"], "token": int(os.environ["LEADERD_TOKEN"]),
            "event": event, "at": time.clock_gettime(time.CLOCK_BOOTTIME)}
    # One write in append mode: lines of several writers never mix.
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, (json.dumps(line) + "\n").encode())
    os.close(file)


def _pid_file(journal: str) -> str:
    return f"{journal}.{os.environ['LEADERD_NODE']}.pid"


def _writer(journal: str) -> int:
    """Return the pid of this node's running writer, 0 without one."""
    try:
        with open(_pid_file(journal), encoding="ascii") as file:
            pid = int(file.read())
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            mine = journal.encode() in file.read()
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            zombie = file.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, ValueError):
        return 0
    return pid if mine and not zombie else 0


def _start(journal: str) -> None:
    if _writer(journal):
        return
    _note(journal, "start")
    pid = os.fork()
    if pid:
        with open(_pid_file(journal), "w", encoding="ascii") as file:
            file.write(str(pid))
        return
    os.setsid()
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)
    while True:
        _note(journal, "beat")
        time.sleep(BEAT)


def _stop(journal: str) -> None:
    pid = _writer(journal)
    if pid == 0:
        # It ended with its last beat, whoever ended it.
        return
    os.kill(pid, signal.SIGKILL)
    while _writer(journal):
        time.sleep(0.001)
    _note(journal, "stop")


def main() -> int:
    """Do what the last argument says; the exit code is that of a resource agent."""
    journal, action = sys.argv[1:3]
    if action == "monitor":
        return 0 if _writer(journal) else 7
    {"start": _start, "stop": _stop}[action](journal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
