"""Which etcd versions are known to break what leaderd builds on (assumption A1 of docs/design.md).

Never a reason to refuse: an operator may have patched builds, and a daemon that does not start
protects nothing. Warned about once.

Source: docs/etcd.md §1, §2: etcd issues 13766, 14294 (inconsistent data), 15247 (early revocation).
"""

import re
from typing import Final

_Version = tuple[int, int, int]

_INCONSISTENT: Final[frozenset[_Version]] = frozenset(
    {(3, 5, 0), (3, 5, 1), (3, 5, 2), (3, 5, 5), (3, 4, 21)}
)


def version_warnings(members: list[tuple[str, str]]) -> list[str]:
    """Return a sentence for each thing that is wrong with the versions of some members.

    Args:
        members: Endpoint and version, the latter "" where it is not known.
    """
    found: dict[str, list[str]] = {}
    for url, text in members:
        parsed = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        if parsed is None:
            continue
        version = (int(parsed[1]), int(parsed[2]), int(parsed[3]))
        for problem in _problems(version):
            found.setdefault(f"etcd {text} {problem}", []).append(url)
    return [f"{sentence} ({', '.join(urls)})" for sentence, urls in found.items()]


def _problems(version: _Version) -> list[str]:
    problems = []
    if version < (3, 4, 0):
        problems.append("is older than anything leaderd was tried with: upgrade to 3.5.13 or later")
    elif version in _INCONSISTENT:
        problems.append(
            "may serve inconsistent data, on which no election is safe: upgrade to 3.5.13 or later"
        )
    if version < (3, 4, 31) or (3, 5, 0) <= version < (3, 5, 13):
        problems.append(
            "may revoke a lease that is being renewed when its leader stalls: safe, but a healthy "
            "leader then loses its leadership; upgrade to 3.4.31, 3.5.13 or later"
        )
    return problems
