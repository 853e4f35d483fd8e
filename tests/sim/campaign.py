"""The long run of the simulation, on whatever the other tests leave of the machine.

Most tests wait for real daemons and real time, so the schedules run beside them, in one process that the
kernel lets run only when nobody else wants the processor (SCHED_IDLE, sched(7)). What is left to do when
the others are done runs at full speed.
"""

import os
import pickle
import select
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.sim.runner import Summary, run_many

# Schedules between two looks whether the run is to end.
STEP = 20


class Campaign:
    """A run in the background.

    Args:
        schedules: How many, from seed 0 on.
        jobs: Processes, once nobody else needs the machine.
    """

    def __init__(self, schedules: int, jobs: int) -> None:
        self._schedules = schedules
        self._jobs = jobs
        self._found = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the run
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sim.campaign", str(schedules)],
            stdin=subprocess.PIPE, stdout=self._found, cwd=Path(__file__).parents[2],
        )

    def finish(self) -> Summary:
        """End the run in the background, run what it has left over, and return what both have found.

        Raises:
            RuntimeError: The run in the background has failed.
        """
        self._process.communicate()
        if self._process.returncode:
            raise RuntimeError(f"the simulation ended with {self._process.returncode}")
        self._found.seek(0)
        total: Summary = pickle.load(self._found)
        rest = run_many(total.schedules, self._schedules - total.schedules, jobs=self._jobs)
        total.add(rest)
        total.seconds += rest.seconds
        total.violations.sort()
        return total

    def cancel(self) -> None:
        """End it; nobody asks for what it found."""
        self._process.kill()
        self._process.communicate()
        self._found.close()


def main(schedules: int) -> None:
    """Run schedules until all are done or standard input ends; write the summary to standard output."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    total = Summary()
    while total.schedules < schedules and not select.select([sys.stdin], [], [], 0)[0]:
        part = run_many(total.schedules, min(STEP, schedules - total.schedules), jobs=1)
        total.add(part)
        total.seconds += part.seconds
    pickle.dump(total, sys.stdout.buffer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
