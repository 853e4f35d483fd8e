"""The control: `leaderd run` whose agent believes every keepalive and waits for nobody (`naive_agent`)."""

import os
import sys

from leaderd.demo.nodes import Node

# The last word is how `Node` knows an agent among the guard's children.
AGENT = (sys.executable, "-m", "tests.chaos.naive_agent", "--instead-of", "leaderd.app")


class NaiveNode(Node):
    """A node without rules R6 and R11."""

    program = (sys.executable, "-m", "tests.chaos.naive")


def main() -> int:
    """Run as `-c FILE`."""
    from leaderd.cli.configured import load_configuration
    from leaderd.cli.run import take_lock
    from leaderd.guard import main as guard

    plan = load_configuration(sys.argv[2], {}).plan
    lock = take_lock(plan.state_dir)
    memory = os.memfd_create("leaderd-plan", 0)
    os.write(memory, plan.encode().encode())
    return guard.main(["--plan-fd", str(memory), "--lock-fd", str(lock)], guard.GuardSettings(agent=AGENT))


if __name__ == "__main__":
    sys.exit(main())
