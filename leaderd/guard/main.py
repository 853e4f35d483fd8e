"""The guard process: parent of the agent, keeper of its deadlines.

`leaderd run` becomes this by exec. Standard library only; whatever may take time is done by forked
workers, so that the loop is always about to look at the clock again.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from leaderd.clock import BootClock, boot_id
from leaderd.guard.cleanup import Tools
from leaderd.guard.fence import FenceTools, Watchdogs
from leaderd.guard.journal import Journal
from leaderd.guard.log import Log
from leaderd.guard.loop import Guard
from leaderd.guard.notify import Manager, Notifier, take_manager
from leaderd.guard.worker import Workers
from leaderd.plan import Plan


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What tests replace. `agent` is the command that the agent is started with."""

    # -P as this process was started: the working directory may be anybody's.
    agent: tuple[str, ...] = (sys.executable, *(["-P"] if sys.flags.safe_path else []), "-m", "leaderd.app")
    fence: FenceTools = field(default_factory=FenceTools)


def main(arguments: Sequence[str] | None = None, settings: GuardSettings | None = None) -> int:
    """Run as `--plan-fd N --lock-fd M`; the plan is JSON, alone or as {"plan": …, "reread": [command]}."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Our own starter is the only caller: argparse would cost the guard half a megabyte for nothing.
    given = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    with open(given["--plan-fd"], encoding="utf-8") as file:
        file.seek(0)
        fields = json.load(file)
    plan = Plan.decode(json.dumps(fields.get("plan", fields)))
    settings = settings or GuardSettings()
    lock, log = given["--lock-fd"], Log(plan.log, plan.log_level)
    try:
        journal = Journal(plan.state_dir, boot_id())
    except OSError as error:
        log.error("state_dir cannot be used", detail=str(error))  # noqa: TRY400 - one line, for people
        return 1
    tools = Tools(plan.node, plan.state_dir, plan.etcd, settings.fence, journal, BootClock(), log)
    workers = Workers(log, {lock})
    # Below `leaderd exec` the manager's socket is the command's affair.
    notifier = Notifier(Manager() if "exec" in fields else take_manager(os.environ))
    watchdogs = Watchdogs(log, settings.fence)
    reread = tuple(fields.get("reread", ()))
    return Guard(plan, lock, settings.agent, tools, workers, watchdogs, notifier, reread).run()


if __name__ == "__main__":
    sys.exit(main())
