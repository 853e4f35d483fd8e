"""A vip on a real interface of a real kernel, in a network namespace."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_interface
from pathlib import Path

import pytest

from leaderd.core.actions import StartResources
from leaderd.core.events import Event, ResourceFailed, ResourcesStarted, ResourcesStopped, StartFailed
from leaderd.core.lease import Lease, Timing
from leaderd.errors import ResourceError
from leaderd.plan import ResourcePlan
from leaderd.resources import announce
from leaderd.resources.base import Probe, Term
from leaderd.resources.hold import KernelThread, Setup
from leaderd.resources.lifetime import Lifetimes
from leaderd.resources.vip import Vip
from leaderd.resources.waiting import pause_until
from tests.netns import Lan, heard, inside, ip, needs_netns
from tests.resources.conftest import CLOCK, LEASE, TOKEN, Rig, until

pytestmark = needs_netns

V4, V6 = "10.77.0.100/24", "2001:db8:77::100/64"
STUB = Path(__file__).with_name("vip_stub.py")


def vip(*addresses: str, name: str = "address", **settings: object) -> ResourcePlan:
    return ResourcePlan(name, "vip", {
        "addresses": list(addresses), "interface": "eth0", "on_conflict": "refuse",
        "announce_interval": 60.0, **settings,
    })


@pytest.fixture
def lan() -> Iterator[Lan]:
    lan = Lan()
    yield lan
    lan.close()


class VipRig(Rig):
    """A rig whose lease is younger or older at will."""

    def lease(self, age: float = 0.0, ttl: int = 10) -> Lease:
        return Lease(LEASE, Timing.scaled(ttl, vip=True), CLOCK.now().plus(-age))

    async def start(self, lease: Lease | None = None, *, released: bool = False) -> Event:
        self.group.perform(StartResources(TOKEN, lease or self.lease(), "elected", "b", released))
        return await self.event()

    def logged(self, event: str) -> list[dict[str, object]]:
        return [fields for _, each, fields in self.lines if event in each]


@pytest.fixture
async def rig(lan: Lan, tmp_path: Path) -> AsyncIterator[VipRig]:
    rig = VipRig(tmp_path)
    with inside(lan.here):
        yield rig
        if hasattr(rig, "group"):
            await rig.stop()
            await rig.close()


@pytest.mark.parametrize("released", [False, True])
async def test_it_comes_with_a_lifetime_and_goes(rig: VipRig, lan: Lan, released: bool) -> None:
    """8.7 − 1.25 s of window in whole seconds, less the 0.2 s that a probe takes; both families alike."""
    rig.build(vip(V4, V6))
    assert isinstance(await rig.start(released=released), ResourcesStarted)
    found = lan.addresses()
    for address in (V4, V6):
        assert found[address]["valid_life_time"] in (6, 7)
        assert found[address]["preferred_life_time"] == found[address]["valid_life_time"]
        assert not found[address].get("tentative")
    assert rig.group.states() == [("address", "vip", "started")]
    assert await rig.stop() == ResourcesStopped(TOKEN, True, "")
    assert not {V4, V6} & set(lan.addresses())


async def test_only_a_renewal_extends_it(rig: VipRig, lan: Lan) -> None:
    """The lifetime follows the lease, for all vips of the election alike, and never runs ahead."""
    rig.build(vip(V4, V6), vip("10.77.0.101/24", name="second"))
    await rig.start(rig.lease(age=4.0))
    assert all(lan.addresses()[each]["valid_life_time"] in (2, 3) for each in (V4, V6, "10.77.0.101/24"))
    rig.group.extend(rig.lease(age=1.0))
    await until(lambda: lan.addresses()[V4]["valid_life_time"] >= 5)
    await until(lambda: len({lan.addresses()[each]["valid_life_time"] for each in (V4, V6)}) == 1)
    assert lan.addresses()["10.77.0.101/24"]["valid_life_time"] in (5, 6)


async def test_a_lease_that_is_nearly_over_is_not_enough(rig: VipRig, lan: Lan) -> None:
    """A lifetime of 0 would be refused by the kernel, and a whole second would outlive the lease."""
    rig.build(vip(V4))
    event = await rig.start(rig.lease(age=6.5), released=True)
    assert isinstance(event, StartFailed)
    assert "too little of the lease" in event.detail
    assert V4 not in lan.addresses()


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("released", [False, True])
async def test_an_address_in_use_is_refused_with_the_mac(
    rig: VipRig, lan: Lan, address: str, released: bool
) -> None:
    """The start fails; after a clean release, which rules a holder of ours out, the resource does."""
    ip(lan.there, "addr", "add", address, "dev", "eth0", "nodad")
    rig.build(vip(address))
    event = await rig.start(released=released)
    if released:
        event = await rig.event()
    assert isinstance(event, ResourceFailed if released else StartFailed)
    assert f"is in use by {lan.macs[lan.there].hex(':')} on eth0" in event.detail
    if not released:
        assert address not in lan.addresses()
    await rig.stop()
    assert address not in lan.addresses()


async def test_take_takes_it_and_says_from_whom(rig: VipRig, lan: Lan) -> None:
    """With a warning."""
    ip(lan.there, "addr", "add", V4, "dev", "eth0")
    rig.build(vip(V4, on_conflict="take"))
    assert isinstance(await rig.start(), ResourcesStarted)
    assert lan.macs[lan.there].hex(":") in str(rig.logged("taken from somebody else"))
    assert V4 in lan.addresses()


async def test_a_probe_takes_200_ms_and_no_time_after_a_release(rig: VipRig) -> None:
    """Measured generously: this is what a failover waits."""
    rig.build(vip(V4, V6))
    took = []
    for released in (False, True):
        began = time.perf_counter()
        await rig.start(released=released)
        took.append(time.perf_counter() - began)
        await rig.stop()
    assert 0.2 <= took[0] < 0.6
    assert took[1] < 0.15


async def test_a_probe_during_the_wait_for_the_takeover_costs_nothing(rig: VipRig, lan: Lan) -> None:
    """Asked before the last holder's window closes; the start comes after it, and need not ask first."""
    arp = lan.listen(announce.ETH_P_ARP)
    rig.build(vip(V4))
    opens_at = CLOCK.now().plus(0.5)
    rig.group.expect(opens_at)
    await asyncio.sleep(0.2)
    rig.group.expect(opens_at)
    assert not heard(arp)
    await pause_until(CLOCK, opens_at.plus(-0.03))
    rig.group.expect(None)  # promoting
    assert announce.question(announce.IPv4Address("10.77.0.100"), lan.macs[lan.here]) in heard(arp)
    began = time.perf_counter()
    assert isinstance(await rig.start(), ResourcesStarted)
    assert time.perf_counter() - began < 0.18
    arp.close()


@pytest.mark.parametrize("how", ["answered", "long ago", "given up", "in the past"])
async def test_a_start_asks_itself_when_the_wait_has_told_nothing(rig: VipRig, lan: Lan, how: str) -> None:
    """What was heard then is said again by the start, with the hardware address."""
    rig.build(vip(V4))
    resource = rig.group._resources[0]
    assert isinstance(resource, Vip)
    if how == "answered":
        ip(lan.there, "addr", "add", V4, "dev", "eth0")
    rig.group.expect(CLOCK.now().plus(-1.0 if how == "in the past" else 0.3))
    if how == "given up":
        rig.group.expect(None)
    await asyncio.sleep(0.6)
    if how == "long ago":
        assert resource._scout._silent_at is not None
        resource._scout._silent_at = CLOCK.now().plus(-6.0)
    began = time.perf_counter()
    event = await rig.start()
    if how == "answered":
        assert isinstance(event, StartFailed)
        assert "is in use by" in event.detail
    else:
        assert isinstance(event, ResourcesStarted)
        assert time.perf_counter() - began >= 0.2


async def test_the_neighbours_are_told(rig: VipRig, lan: Lan) -> None:
    """Five times, as request and reply for IPv4, by an overriding advertisement for IPv6."""
    arp, nd = lan.listen(announce.ETH_P_ARP), lan.listen(announce.ETH_P_IPV6)
    rig.build(vip(V4, V6))
    await rig.start(released=True)
    mac = lan.macs[lan.here]
    v4, v6 = ip_interface(V4).ip, ip_interface(V6).ip
    wanted = [*announce.announcements(v4, mac), *announce.announcements(v6, mac)]
    frames: list[bytes] = []

    def complete() -> bool:
        frames.extend(heard(arp) + heard(nd))
        return all(frames.count(frame) >= 5 for frame in wanted)

    await until(complete, 5)
    assert announce.question(v4, mac) in frames
    assert announce.question(v6, mac) in frames
    arp.close()
    nd.close()


async def test_a_neighbour_that_knew_another_holder_believes_it(rig: VipRig, lan: Lan) -> None:
    """The point of announcing: caches turn to us at once."""
    ip(lan.there, "addr", "add", "10.77.0.1/24", "dev", "eth0")
    ip(lan.there, "neigh", "replace", "10.77.0.100", "lladdr", "02:00:00:00:00:99", "dev", "eth0",
       "nud", "reachable")
    ip(lan.there, "addr", "add", "2001:db8:77::1/64", "dev", "eth0", "nodad")
    ip(lan.there, "neigh", "replace", "2001:db8:77::100", "lladdr", "02:00:00:00:00:99", "dev", "eth0",
       "nud", "reachable")
    rig.build(vip(V4, V6))
    await rig.start(released=True)
    mac = lan.macs[lan.here].hex(":")

    def known() -> list[str]:
        return [entry["lladdr"] for entry in json.loads(ip(lan.there, "-j", "neigh"))
                if entry["dst"] in ("10.77.0.100", "2001:db8:77::100")]

    await until(lambda: known() == [mac, mac], 5)


@pytest.mark.parametrize("address", [V4, V6])
async def test_what_somebody_else_removes_is_put_back(rig: VipRig, lan: Lan, address: str) -> None:
    """Within 100 ms, with a log line, announced anew, with no longer a life than the lease gives."""
    rig.build(vip(address))
    await rig.start(rig.lease(age=3.0), released=True)
    arp = lan.listen(announce.ETH_P_ARP if address == V4 else announce.ETH_P_IPV6)
    took = []
    for times in (1, 2, 3):
        ip(lan.here, "addr", "del", address, "dev", "eth0")
        began = time.perf_counter()
        await until(lambda: len(rig.logged("by somebody else: put back")) == times, 5)  # noqa: B023
        took.append(time.perf_counter() - began)
    # The best of three, on a machine that is shared.
    assert min(took) < 0.1
    assert lan.addresses()[address]["valid_life_time"] <= 4
    await until(lambda: heard(arp), 5)
    arp.close()
    assert rig.events.empty()


async def test_what_somebody_else_makes_permanent_gets_its_lifetime_back(rig: VipRig, lan: Lan) -> None:
    """Or nothing would end it with the lease."""
    rig.build(vip(V4))
    await rig.start(released=True)
    ip(lan.here, "addr", "change", V4, "dev", "eth0", "valid_lft", "forever", "preferred_lft", "forever")
    await until(lambda: rig.logged("removed or changed by somebody else: put back"), 5)
    assert lan.addresses()[V4]["valid_life_time"] <= 7


@pytest.mark.parametrize("address", [V4, V6])
async def test_an_address_of_another_tool_is_neither_adopted_nor_removed(
    rig: VipRig, lan: Lan, address: str
) -> None:
    """Start and stop both say what to do, in the agent and in the guard's command."""
    ip(lan.here, "addr", "add", address, "dev", "eth0", *(["nodad"] if address == V6 else []))
    rig.build(vip(address))
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert f"{address} dev eth0 is configured without a lifetime" in event.detail
    assert f"ip addr del {address} dev eth0" in event.detail
    stopped = await rig.stop()
    assert isinstance(stopped, ResourcesStopped)
    assert not stopped.clean
    [command] = rig.group.stop_commands()
    outcome = subprocess.run(command.argv, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert "left alone" in outcome.stderr
    assert lan.addresses()[address]["valid_life_time"] > 1 << 31


async def test_an_address_on_another_interface_is_refused(rig: VipRig, lan: Lan) -> None:
    """This host would answer for it whether it leads or not."""
    ip(lan.here, "addr", "add", "10.77.0.100/32", "dev", "lo")
    rig.build(vip(V4))
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert "10.77.0.100/32 dev lo stands on another interface" in event.detail


async def test_interfaces_that_cannot_have_it(rig: VipRig, lan: Lan) -> None:
    """Missing, down, without a link: the reason is named."""
    rig.build(vip(V4, interface="eth7"))
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert event.detail == "address: there is no interface eth7"
    assert await rig.stop() == ResourcesStopped(TOKEN, True, "")
    rig.build(vip(V4))
    ip(lan.here, "link", "set", "eth0", "down")
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert "interface eth0 is down" in event.detail
    ip(lan.here, "link", "set", "eth0", "up")
    ip(lan.there, "link", "set", "eth0", "down")
    event = await rig.start()
    assert isinstance(event, StartFailed)
    assert "interface eth0 has no link" in event.detail


@pytest.mark.parametrize("how", ["down", "no link", "gone"])
async def test_a_lost_link_is_a_failed_resource(rig: VipRig, lan: Lan, how: str) -> None:
    """And the stop after it succeeds."""
    rig.build(vip(V4, V6))
    await rig.start(released=True)
    if how == "gone":
        ip(lan.here, "link", "del", "eth0")
    else:
        ip(lan.here if how == "down" else lan.there, "link", "set", "eth0", "down")
    event = await rig.event()
    assert isinstance(event, ResourceFailed)
    words = {"down": "is down", "no link": "no link", "gone": "there is no interface"}
    assert words[how] in event.detail
    assert await rig.stop() == ResourcesStopped(TOKEN, True, "")


async def test_the_guard_stops_it_without_the_agent(rig: VipRig, lan: Lan) -> None:
    """Whatever prefix length it has, and again harmlessly; other addresses stay."""
    ip(lan.here, "addr", "add", "10.77.0.5/24", "dev", "eth0")
    rig.build(vip(V4, V6))
    [command] = rig.group.stop_commands()
    for address in (V4, V6, "10.77.0.100/32"):
        ip(lan.here, "addr", "add", address, "dev", "eth0", "valid_lft", "60", "preferred_lft", "60")
    took = []
    for _ in range(2):
        began = time.perf_counter()
        assert subprocess.run(command.argv, check=False).returncode == 0
        took.append(time.perf_counter() - began)
        assert not any(each.startswith(("10.77.0.100", V6)) for each in lan.addresses())
    assert "10.77.0.5/24" in lan.addresses()
    assert min(took) < 0.5
    ip(lan.here, "link", "del", "eth0")
    assert subprocess.run(command.argv, check=False).returncode == 0


@pytest.mark.parametrize(
    ("capabilities", "outcome"),
    [
        ("+net_admin,+net_raw", ""),
        ("+net_admin", "CAP_NET_RAW is needed"),
        ("+net_raw", "CAP_NET_ADMIN is needed"),
    ],
)
@pytest.mark.parametrize("user", ["root", "nobody"])
async def test_two_capabilities_are_enough(
    rig: VipRig, lan: Lan, user: str, capabilities: str, outcome: str
) -> None:
    """For root and for anybody else, to start and for the guard to stop; and each is missed by name."""
    limited = limited_to(user, capabilities)
    sent_at = CLOCK.now()
    process = subprocess.Popen(
        [*limited, sys.executable, str(STUB), V4, V6, str(sent_at.raw), str(sent_at.boot), "30"],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    with process.stdout:
        said = json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    assert said["posted"] == ("StartFailed" if outcome else "ResourcesStarted")
    assert outcome in said["detail"]
    if not outcome:
        rig.build(vip(V4, V6))
        [command] = rig.group.stop_commands()
        assert {V4, V6} <= set(lan.addresses())
        assert subprocess.run([*limited, *command.argv], check=False).returncode == 0
        assert not {V4, V6} & set(lan.addresses())


def limited_to(user: str, capabilities: str) -> list[str]:
    """Return the beginning of a command that runs the rest with these capabilities alone."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    only = f"-all,{capabilities}"
    if user == "root":
        return ["setpriv", "--bounding-set", only]
    limited = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
               f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    look = [*limited, sys.executable, "-c", "import leaderd, pyroute2"]
    if subprocess.run(look, cwd=Path(__file__).parents[2], capture_output=True, check=False).returncode:
        pytest.skip("this Python or this directory is not to be read by other users")
    return limited


async def test_what_an_earlier_run_left_is_removed(rig: VipRig, lan: Lan) -> None:
    """The stop at daemon start (R4), and the start where the prefix length was changed meanwhile."""
    ip(lan.here, "addr", "add", V4, "dev", "eth0", "valid_lft", "60", "preferred_lft", "60")
    rig.build(vip("10.77.0.100/32"))
    await rig.start()
    assert "10.77.0.100/32" in lan.addresses()
    assert V4 not in lan.addresses()


@pytest.mark.parametrize("age", [3.0, 4.6])
async def test_the_kernel_ends_it_when_everything_of_ours_is_dead(
    rig: VipRig, lan: Lan, age: float
) -> None:
    """Never before the lifetime told, by the end of the lease at the latest."""
    lease = rig.lease(age=age)
    process = subprocess.Popen(
        [sys.executable, str(STUB), V4, V6, str(lease.sent_at.raw), str(lease.sent_at.boot), "10"],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    with process.stdout:
        said = json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    assert said["posted"] == "ResourcesStarted", said
    gone: dict[str, float] = {}
    lives = {each: lan.addresses()[each]["valid_life_time"] for each in (V4, V6)}
    while len(gone) < 2:
        found = lan.addresses()
        gone |= {each: CLOCK.now().held_since(lease.sent_at) for each in (V4, V6)
                 if each not in found and each not in gone}
        assert CLOCK.now().held_since(lease.sent_at) < 30
        await asyncio.sleep(0.01)
    for each, at in gone.items():
        left = lease.timing.window - at
        print(f"{each} was gone {left:.2f} s before the end of the lease")
        assert left > 0, "the address has outlived the lease"
        assert said["at"] + said["seconds"] - 0.5 <= at, f"ended early: {lives}"


def loose(*addresses: str) -> Vip:
    """A vip of an election at least one."""
    return Vip("address", Setup(
        tuple(map(ip_interface, addresses)), "eth0", take=False, announce_interval=60.0, clock=CLOCK,
        lifetimes=Lifetimes(), thread=KernelThread(CLOCK), log=lambda *_, **__: None, at_least_one=True,
    ), 2.0)


async def test_the_network_is_asked_who_else_has_an_address(lan: Lan) -> None:
    """Nobody, another host that outranks this one or not, and nobody can say when the link is down."""
    with inside(lan.here):
        asked = loose(V4, V6)
        assert await asked.probe() == Probe(sent=True)
        ip(lan.there, "addr", "add", V6, "dev", "eth0", "nodad")
        found = await asked.probe()
        assert (found.sent, found.yields) == (True, lan.macs[lan.there] < lan.macs[lan.here])
        assert "2001:db8:77::100 is in use by" in found.other
        ip(lan.there, "link", "set", "eth0", "down")
        assert await asked.probe() == Probe(sent=False)
        await asked.stop(Term(-1, 0, "store-lost"), CLOCK.now().plus(2.0))


async def test_who_is_elected_announces_until_the_other_one_has_let_go(lan: Lan) -> None:
    """An address that stands elsewhere without a proof is taken at once, and announced again after that."""
    ip(lan.there, "addr", "add", V4, "dev", "eth0")
    lease = Lease(LEASE, Timing.scaled(10, vip=True), CLOCK.now())
    with lan.listen(announce.ETH_P_ARP) as frames, inside(lan.here):
        taken = loose(V4)
        await taken.start(Term(TOKEN, LEASE, "elected"), lease, 5.0)
        assert V4 in lan.addresses()
        await pause_until(CLOCK, CLOCK.now().plus(1.0))
        heard(frames)
        await pause_until(CLOCK, CLOCK.now().plus(0.5))
        assert [frame for frame in heard(frames) if announce.claim(frame) is not None]
        ip(lan.there, "addr", "del", V4, "dev", "eth0")
        await pause_until(CLOCK, CLOCK.now().plus(0.5))
        heard(frames)
        await pause_until(CLOCK, CLOCK.now().plus(0.5))
        assert not heard(frames), "and no more once nobody answers"
        ended = taken.ended()
        assert ended is not None
        assert not ended.done()
        await taken.stop(Term(TOKEN, LEASE, "shutdown"), CLOCK.now().plus(2.0))


async def test_without_a_proof_an_address_that_somebody_has_is_refused(lan: Lan) -> None:
    """Between the last probe and the start another one may have been faster."""
    ip(lan.there, "addr", "add", V4, "dev", "eth0")
    lease = Lease(0, Timing.scaled(10, vip=True), CLOCK.now())
    with inside(lan.here):
        refused = loose(V4)
        with pytest.raises(ResourceError, match="is in use by"):
            await refused.start(Term(-1, 0, "store-lost"), lease, 5.0)
        await refused.stop(Term(-1, 0, "store-lost"), CLOCK.now().plus(2.0))
        assert V4 not in lan.addresses()
