"""What a node costs while nothing happens: processor, memory, requests and raft proposals."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bench.cluster import Cluster, now, running
from leaderd.demo.nodes import Node, descendants

TTL = 10
_TICKS = os.sysconf("SC_CLK_TCK")
_RECEIVED = re.compile(r'^grpc_server_msg_received_total\{.*grpc_method="(\w+)".*\} (\S+)$', re.MULTILINE)
_PROPOSALS = re.compile(r"^etcd_server_proposals_committed_total (\S+)$", re.MULTILINE)


def figures(seconds: float) -> Iterator[str]:
    """Watch an idle cluster for so many seconds; yields lines of Markdown."""
    with running(TTL) as cluster:
        pids = {node.name: _processes(node) for node in cluster.nodes.values()}
        requests, proposals = _requests(cluster), _proposals(cluster)
        cpu = {pid: _cpu(pid) for processes in pids.values() for pid in processes}
        begin = now()
        time.sleep(seconds)
        took = now() - begin
        leader = cluster.leader().name
        yield "| node | process | CPU % | PSS MiB |"
        yield "|---|---|---|---|"
        for name, processes in pids.items():
            for pid, what in processes.items():
                share = (_cpu(pid) - cpu[pid]) / took * 100
                role = "leader" if name == leader else "candidate"
                yield f"| {name} ({role}) | {what} | {share:.2f} | {_pss(pid):.1f} |"
        after = _requests(cluster)
        yield ""
        yield "Messages from clients at etcd, three nodes together, per second: " + ", ".join(
            f"{method} {(after[method] - requests.get(method, 0)) / took:.2f}"
            for method in sorted(after) if after[method] != requests.get(method, 0)
        )
        renewals = after["LeaseKeepAlive"] - requests["LeaseKeepAlive"]
        yield ""
        yield (f"{renewals:.0f} renewals in {took:.0f} s, raft proposals committed meanwhile: "
               f"{_proposals(cluster) - proposals:.0f}")


def _processes(node: Node) -> dict[int, str]:
    found = {node.guard: "guard"}
    for pid in descendants(node.guard):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"leaderd.app" in command:
            found[pid] = "agent"
        elif b"leaderd.resources.pod" in command:
            found[pid] = "hook runner"
        elif Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "leaderd-scribe\n":
            found[pid] = "scribe"
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) / 1024


def _requests(cluster: Cluster) -> dict[str, float]:
    total: dict[str, float] = {}
    for member in cluster.etcd.members:
        for method, count in _RECEIVED.findall(member.fetch("/metrics")):
            total[method] = total.get(method, 0.0) + float(count)
    return total


def _proposals(cluster: Cluster) -> float:
    return max(float(_PROPOSALS.findall(member.fetch("/metrics"))[0]) for member in cluster.etcd.members)
