"""SIGHUP: has the configuration read again, takes over what is safe to change, refuses the rest by name.

A child reads it, as the guard knows neither TOML nor the rules; a worker compares and answers with what has
changed. The guard takes it over first and then tells the agent, so that the next agent has it as well.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from leaderd.changes import Change, adopt, compare
from leaderd.clock import Clock
from leaderd.errors import GuardError
from leaderd.guard.log import Log
from leaderd.guard.worker import Result, Workers
from leaderd.plan import Plan

# Reading takes under a second; a file system that hangs must not keep a shutdown waiting for long.
_PATIENCE = 10.0
# Has a blank in it, unlike names of elections, and is no journal's.
_LANE = "the configuration"
# What a worker's pipe holds, in characters, with something to spare.
_MOST = 48_000
_LONGEST = 400


class Reloader:
    """Reloads on demand.

    Args:
        argv: Prints the configuration as `leaderd.cli.reread` does; empty where there is none to read.
        workers: Run it.
        clock: For its deadline.
        log: Told of the outcome.
        take_over: Gets the new plan, and what has changed in it.
    """

    def __init__(
        self, argv: Sequence[str], workers: Workers, clock: Clock, log: Log,
        take_over: Callable[[Plan, tuple[Change, ...]], None],
    ) -> None:
        self._argv = argv
        self._workers = workers
        self._clock = clock
        self._log = log
        self._take_over = take_over
        self._plan: Plan | None = None
        self._again = False

    def begin(self, plan: Plan) -> None:
        """Begin to reload; once more after the one that is under way, if there is one.

        Args:
            plan: In force.
        """
        if not self._argv:
            self._log.warning("reload refused", detail="leaderd exec has nothing to reload")
        elif self._plan is not None:
            self._again = True
        else:
            self._plan = plan
            until = self._clock.now().plus(_PATIENCE)
            self._workers.submit(_LANE, partial(_reread, self._argv, plan), self._done, until)

    def _done(self, result: Result | None) -> None:
        plan, self._plan = self._plan, None
        if plan is None:
            return
        if result is None:
            result = {"problems": [f"the configuration could not be read within {_PATIENCE:g} s"]}
        for problem in result.get("problems", ()):
            self._log.error("reload failed, nothing has changed", detail=problem)
        if "safe" in result:
            plan = self._apply(plan, result)
        if self._again:
            self._again = False
            self.begin(plan)

    def _apply(self, plan: Plan, result: Result) -> Plan:
        changes = tuple(Change(tuple(path), value) for path, value in result["safe"])
        try:
            plan = adopt(plan, changes)
        except GuardError as error:
            self._log.error("reload failed, nothing has changed", detail=str(error))
            return plan
        for warning in result["warnings"]:
            self._log.warning("beware", detail=warning)
        if changes:
            self._take_over(plan, changes)
        self._log.info("reloaded", changed=", ".join(change.key for change in changes) or "nothing")
        if result["refused"]:
            self._log.warning("reload refused", keys=result["refused"], detail="restart to apply them")
        return plan


def _reread(argv: Sequence[str], plan: Plan) -> Result:
    """Have the configuration read and compare it with the plan; in a worker, which is killed when late."""
    import subprocess  # a megabyte: in workers only

    answer = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    try:
        fields: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        return {"problems": [f"reading the configuration ended with exit code {answer.returncode}"]}
    if "problems" in fields:
        return _within({"problems": [problem[:_LONGEST] for problem in fields["problems"]]})
    difference = compare(plan, Plan.decode(json.dumps(fields["plan"])))
    return _within({
        "safe": difference.safe,
        "refused": ", ".join(change.key for change in difference.refused),
        "warnings": fields["warnings"],
    })


def _within(result: Result) -> Result:
    if len(json.dumps(result)) <= _MOST:
        return result
    return {"problems": ["too much at once for a running daemon; see leaderd check, then restart"]}
