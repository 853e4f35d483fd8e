"""`python -m tests.sim N [--jobs 2]` runs N schedules; `--seed N --trace` prints one."""

import argparse
import sys

from tests.sim.runner import report, run_many
from tests.sim.world import World


def main() -> int:
    """Run, print, and return 1 when any promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many schedules")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="print what happens in it")
    options = parser.parse_args()
    if options.seed is not None:
        result = World(options.seed, trace=options.trace).run()
        print("\n".join(result.lines or []))
        print(f"seed {result.seed}: {result.duration:.1f} s, {result.events} events; "
              + ("; ".join(result.violations) or "no violation"))
        return 1 if result.violations else 0
    summary = run_many(options.first, options.count, jobs=options.jobs)
    print(report(summary))
    return 1 if summary.violations else 0


if __name__ == "__main__":
    sys.exit(main())
