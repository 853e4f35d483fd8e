"""Past leaderships in etcd: one write when a term starts, and its last words in the release transaction.

    <root>/history/<name>/<token, 20 digits>
        {"token": int, "node": str, "from": RFC 3339, "to": RFC 3339 or "", "reason": str,
         "gap": seconds or null, "clean": bool}

`from` is when the first start began, `to` when the last stop had ended, both by the wall clock of the node
that led; `reason` is why it ended, "" while it lasts; `clean` says whether every stop succeeded. `gap` is how
long nobody held before: from the `to` of the term before to this `from`, so it is as good as the two nodes'
clocks agree, and null where the term before left no `to`. A term whose node has died is closed by the
next one, with what that knows.

Nothing here is waited for by anybody: a leader whose history cannot be written leads.

Source: docs/interfaces.md §8.
"""

import json
import math
from typing import Any, Final

from leaderd.core.actions import RecordEnd, RecordStart
from leaderd.etcd.client import Endpoint
from leaderd.etcd.ops import Compare, Delete, KeyValue, Put, Range, Relation, Target
from leaderd.keys import ElectionKeys
from leaderd.wall import seconds_between, wall_time

# So many leaderships are kept.
KEPT: Final = 200


class Chronicle:
    """One node's entries in the history of one election.

    Args:
        keys: The election.
        node: Our name.
        timeout: Seconds for one request.
    """

    def __init__(self, keys: ElectionKeys, node: str, timeout: float) -> None:
        self._keys = keys
        self._node = node
        self._timeout = timeout
        self._own: dict[int, dict[str, Any]] = {}

    def begin(self, order: RecordStart) -> dict[str, Any]:
        """Note that a term starts now; return its entry, to be handed to `write_start`."""
        self._own = {order.token: {
            "token": order.token, "node": self._node, "from": wall_time(), "to": "", "reason": "",
            "gap": None, "clean": False,
        }}
        return self._own[order.token]

    def end(self, order: RecordEnd) -> Put | None:
        """Note that a term has ended now; return what to write, None for one of an earlier run."""
        entry = self._own.get(order.token)
        if entry is None:
            return None
        entry |= {"to": wall_time(), "reason": order.reason, "clean": order.clean}
        return self.last_words(order.token)

    def last_words(self, token: int) -> Put | None:
        """Return the entry of a term that has ended, for its release transaction."""
        entry = self._own.get(token)
        return Put(self._keys.leadership(token), json.dumps(entry)) if entry and entry["to"] else None

    async def write_start(self, endpoint: Endpoint, order: RecordStart, entry: dict[str, Any]) -> None:
        """Write an entry, measure the gap, close the entry of the term before.

        May be repeated: the own entry is put only as long as it does not stand there.

        Raises:
            EtcdError: No answer.
        """
        own, before = self._keys.leadership(order.token), self._keys.leadership(order.previous)
        found = (await endpoint.read(Range(before, before + "\0"), self._timeout)).found
        old = read_entry(found[0]) if found and order.previous else {}
        if old.get("to") and old.get("clean"):
            entry["gap"] = seconds_between(old["to"], entry["from"])
        new = Compare(own, Target.CREATE, Relation.EQUAL, 0)
        await endpoint.txn((new,), (Put(own, json.dumps(entry)),), (), self._timeout)
        if old and not old["to"]:
            reason = "agent-died" if order.released else "lease-lost"
            old |= {"to": entry["from"], "reason": reason, "clean": order.released}
            same = Compare(before, Target.MOD, Relation.EQUAL, found[0].mod_revision)
            await endpoint.txn((same,), (Put(before, json.dumps(old)),), (), self._timeout)

    async def drop_oldest(self, endpoint: Endpoint) -> None:
        """Drop what is more than `KEPT` entries.

        Raises:
            EtcdError: No answer.
        """
        span = Range(self._keys.history, self._keys.history_end, keys_only=True)
        names = sorted(each.key for each in (await endpoint.read(span, self._timeout)).found)
        if len(names) > KEPT:
            await endpoint.txn((), (Delete(self._keys.history, names[-KEPT]),), (), self._timeout)


def read_entry(found: KeyValue) -> dict[str, Any]:
    """Return an entry of the history, empty where it is none; anybody may have written it."""
    try:
        fields = json.loads(found.value)
        gap = None if fields["gap"] is None else float(fields["gap"])
        if gap is not None and not 0 <= gap < math.inf:
            return {}
        return {
            "token": int(fields["token"]), "node": str(fields["node"]), "from": str(fields["from"]),
            "to": str(fields["to"]), "reason": str(fields["reason"]),
            "gap": gap, "clean": bool(fields["clean"]),
        }
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return {}
