"""Schedules written by hand, for what chance hardly ever brings about."""

from leaderd.core.control import STANDBY_PREFIX, SWITCHOVER, Intent
from tests.sim.host import Host
from tests.sim.mix import Mix
from tests.sim.world import Result, World

NOTHING = Mix(length=30.0, weights={}, ttls=(6,), drifts=(0.10,), preferred=0.0)
# Nodes of different priorities, most of which preempt.
CALM = Mix(length=40.0, weights={}, ttls=(4,), drifts=(0.10,), preferred=1.0)


def stale_proof(seed: int, *, trace: bool = False) -> Result:
    """Let a stalled etcd leader acknowledge a keepalive, and be healed just before the read that follows.

    The read is linearizable and shows the key, but the acknowledgement was worth nothing: the new etcd
    leader has not seen that keepalive. Only the raft terms tell (rule R11).
    """
    world = World(seed, NOTHING, trace=trace)
    engine, etcd = world.engine, world.etcd

    def stall() -> None:
        stalled = etcd.leader
        if stalled is not None:
            etcd.stall(stalled)
            engine.after(5.0, corner, stalled.index)

    def corner(index: int) -> None:
        holder = _holder(world)
        if holder is None or holder.agent is None:
            return
        for number, link in enumerate(holder.links):
            link.cut(out=number != index, back=number != index)
        holder.agent.client.endpoint = index
        engine.after(holder.timing.stop_after - 0.6, etcd.heal, etcd.members[index])
        engine.after(holder.timing.stop_after - 0.05, silence, holder)

    def silence(holder: Host) -> None:
        for link in holder.links:
            link.cut(out=True, back=True)

    engine.after(12.0, stall)
    return world.run()


def _holder(world: World) -> Host | None:
    return next((host for host in world.hosts if host.name in world.monitor.holders), None)


def revoked_under_a_leader(seed: int) -> float:
    """Revoke the leader's lease, and return how many seconds it holds on (rule R7)."""
    world = World(seed, NOTHING)
    engine, monitor = world.engine, world.monitor
    ended: list[float] = []

    def revoke() -> None:
        world.etcd.store.revoke(world.etcd.store.queue[0].lease)
        holder = _holder(world)
        if holder is not None:
            look(holder.name, monitor.holders[holder.name], engine.now)

    def look(name: str, token: int, since: float) -> None:
        if monitor.holders.get(name) == token:
            engine.after(0.01, look, name, token, since)
        else:
            ended.append(engine.now - since)

    engine.after(12.0, revoke)
    world.run()
    return ended[0]


def switched_over(seed: int) -> tuple[str, str, float]:
    """Have an operator wish for the last in the queue.

    Returns:
        Who was wished for, who led next, and for how many seconds nobody held in between.
    """
    world = World(seed, NOTHING)
    engine, monitor, store = world.engine, world.monitor, world.etcd.store
    wanted: list[str] = []
    ends: list[float] = []
    starts: list[tuple[str, float]] = []

    def wish() -> None:
        wanted.append(store.queue[-1].node)
        token = store.holder.token if store.holder else 0
        intent = Intent(token, wanted[0], "switchover", 0)
        store.put_control(SWITCHOVER, intent.encode(), store.queue[0].lease)
        look(dict(monitor.holders))

    def look(before: dict[str, int]) -> None:
        holders = dict(monitor.holders)
        if not holders and not ends:
            ends.append(engine.now)
        if holders and holders != before:
            starts.append((next(iter(holders)), engine.now))
        else:
            engine.after(0.001, look, before)

    engine.after(14.0, wish)
    world.run()
    return wanted[0], starts[0][0], starts[0][1] - ends[0]


def put_into_standby(seed: int) -> float:
    """Mark the leader's node, and return how many seconds it holds on."""
    world = World(seed, NOTHING)
    engine, monitor = world.engine, world.monitor
    ended: list[float] = []

    def mark() -> None:
        name = next(iter(monitor.holders))
        world.etcd.store.put_control(STANDBY_PREFIX + name)
        look(name, engine.now)

    def look(name: str, since: float) -> None:
        if name in monitor.holders:
            engine.after(0.01, look, name, since)
        else:
            ended.append(engine.now - since)

    engine.after(14.0, mark)
    world.run()
    return ended[0]
