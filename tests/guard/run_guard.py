"""Starts a guard whose agent and whose ways to bring a machine down are stand-ins.

Started as `run_guard.py JSON PLAN_FD LOCK_FD`,
JSON = {"agent": […], "sysrq": path, "reboot": […], "nowayout": path}.
"""

import json
import sys

from leaderd.guard.fence import FenceTools
from leaderd.guard.main import GuardSettings, main

if __name__ == "__main__":
    fields = json.loads(sys.argv[1])
    settings = GuardSettings(
        agent=tuple(fields["agent"]),
        fence=FenceTools(fields["sysrq"], tuple(fields["reboot"]), fields["nowayout"]),
    )
    sys.exit(main(["--plan-fd", sys.argv[2], "--lock-fd", sys.argv[3]], settings))
