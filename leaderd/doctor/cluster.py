"""What the doctor finds at etcd."""

import asyncio
from typing import Final

from leaderd.budget import timing_of
from leaderd.clock import BootClock, Clock
from leaderd.doctor.finding import Finding, fail, ok, warn
from leaderd.errors import EtcdError
from leaderd.etcd import ops
from leaderd.etcd.client import Endpoint, EtcdClient
from leaderd.etcd.versions import version_warnings
from leaderd.guard.release import reach
from leaderd.keys import ElectionKeys
from leaderd.plan import Plan

_TIMEOUT: Final = 2.0
_READS: Final = 5
_UPGRADE: Final = "see docs/etcd.md for what was measured"


async def findings(plan: Plan) -> list[Finding]:
    """Return what all endpoints show, in their order.

    Raises:
        ConfigError: A file of the plan cannot be read.
    """
    clock = BootClock()
    client = EtcdClient(plan.etcd, clock)
    try:
        members = await client.status()
        found = [_member(member, members) for member in members]
        found += [
            warn("etcd version", text, _UPGRADE)
            for text in version_warnings([(member.url, member.version) for member in members])
        ]
        reached = [
            endpoint for endpoint, member in zip(client.endpoints, members, strict=True) if not member.error
        ]
        found += await asyncio.gather(*(_round_trip(endpoint, plan, clock) for endpoint in reached))
        found += await asyncio.gather(*(_gateway(endpoint, plan) for endpoint in reached))
        if reached:
            found.append(await _shortest_lease(reached[0], plan))
    finally:
        await client.close()
    return found


def _member(member: ops.MemberStatus, members: list[ops.MemberStatus]) -> Finding:
    check = f"etcd {member.url}"
    if member.error:
        what = member.error.removeprefix(f"{member.url}: ")
        return fail(check, what, "is it running, and does no firewall stand between?")
    others = {each.member_id for each in members if not each.error}
    leads = "leads" if member.member_id == member.leader_id else "follows"
    if not member.leader_id:
        return fail(check, f"version {member.version}, has no leader", "a majority of members must run")
    text = f"version {member.version}, {leads}, answered in {member.round_trip * 1000:.1f} ms"
    if len(others) < len([each for each in members if not each.error]):
        return warn(check, f"{text}; another endpoint is the same member", "name each member once")
    return ok(check, text)


async def _round_trip(endpoint: Endpoint, plan: Plan, clock: Clock) -> Finding:
    """Read as a renewal does: linearizable, the election's own keys."""
    check = f"round trip {endpoint.url}"
    keys = ElectionKeys(plan.root, plan.elections[0].name)
    limit = min(timing_of(election).attempt_timeout for election in plan.elections)
    longest = 0.0
    try:
        for _ in range(_READS):
            asked = clock.now()
            await endpoint.read(ops.Range(keys.prefix, keys.range_end), _TIMEOUT)
            longest = max(longest, clock.now().held_since(asked))
    except EtcdError as error:
        what = str(error).removeprefix(f"{endpoint.url}: ")
        text = f"keys under {plan.root} cannot be read: {what}"
        return fail(check, text, "grant the user read and write there")
    text = f"at most {longest * 1000:.1f} ms in {_READS} linearizable reads; attempt_timeout is {limit:g} s"
    if longest > limit / 2:
        return warn(check, text, "renewals will fail now and then: raise attempt_timeout and ttl")
    return ok(check, text)


async def _gateway(endpoint: Endpoint, plan: Plan) -> Finding:
    check = f"JSON gateway {endpoint.url}"
    if problem := await asyncio.to_thread(reach, plan.etcd, endpoint.url, _TIMEOUT):
        remedy = "after a crash the next agent releases, else the lease runs out; see --enable-grpc-gateway"
        return warn(check, f"not usable: {problem}", remedy)
    return ok(check, "usable: after a crash of the agent the guard gives the leadership up at once")


async def _shortest_lease(endpoint: Endpoint, plan: Plan) -> Finding:
    """Ask for the shortest lease there is; etcd grants 1.5 of its election time-out at least."""
    shortest = min(plan.elections, key=lambda election: election.ttl)
    try:
        grant = await endpoint.grant(1, _TIMEOUT)
        await endpoint.revoke(grant.lease, _TIMEOUT)
    except EtcdError as error:
        return fail("minimum ttl", f"no lease is granted: {error}", "grant the user write access")
    text = f"etcd grants leases of {grant.ttl} s and longer"
    if shortest.ttl < grant.ttl:
        return warn("minimum ttl", f"{text}; election {shortest.name} asks for {shortest.ttl} s",
                    f"set its ttl to {grant.ttl} or more, or lower etcd's --election-timeout")
    return ok("minimum ttl", f"{text}; the shortest ttl here is {shortest.ttl} s")
