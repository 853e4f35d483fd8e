"""How long the commands take that people and load balancers call often, beside a bare interpreter."""

import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

from bench.cluster import running

TTL = 10


def figures(count: int) -> Iterator[str]:
    """Run the commands in turn, so that all see the same machine; yields lines of a Markdown table."""
    with running(TTL) as cluster:
        socket = str(cluster.leader().socket)
        commands = {
            "python3 -c pass": ["-c", "pass"],
            "leaderd --help": ["-m", "leaderd", "--help"],
            "leaderd status": ["-m", "leaderd", "status", "--socket", socket],
        }
        samples: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(count):
            for name, arguments in commands.items():
                samples[name].append(_run(arguments))
    bare = median(samples["python3 -c pass"])
    yield "| command | median ms | maximum ms | ratio to a bare interpreter |"
    yield "|---|---|---|---|"
    for name, seconds in samples.items():
        yield (f"| `{name}` | {median(seconds) * 1000:.0f} | {max(seconds) * 1000:.0f} "
               f"| {median(seconds) / bare:.1f} |")


def _run(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin
