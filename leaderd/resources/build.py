"""Makes the resources of an election from its plan."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface
from typing import TYPE_CHECKING

from leaderd.clock import Clock
from leaderd.core.events import Event
from leaderd.core.lease import Timing
from leaderd.core.status import AT_LEAST_ONE
from leaderd.errors import InvariantError
from leaderd.plan import ElectionPlan, ResourcePlan
from leaderd.resources import systemd
from leaderd.resources.attached import STREAMS, Attached
from leaderd.resources.base import Resource
from leaderd.resources.check import HealthCheck
from leaderd.resources.contain import Log, Pods
from leaderd.resources.group import ResourceGroup
from leaderd.resources.lifetime import Lifetimes
from leaderd.resources.mount import Mount
from leaderd.resources.mountspec import MountSpec
from leaderd.resources.notify import Notifier
from leaderd.resources.ocf import Ocf, OcfAgent
from leaderd.resources.process import Process, ProcessSpec
from leaderd.resources.ready import Ready
from leaderd.resources.runner import HookRunner, Measure
from leaderd.resources.script import Calls, Script

if TYPE_CHECKING:
    from leaderd.resources.vip import Vip


@dataclass(frozen=True, slots=True)
class Site:
    """Where the hooks of an election run, and what they need there.

    Attributes:
        node: Name of this node.
        state_dir: Keeps the sequence number of hook runs.
        clock: For deadlines.
        log: Takes the hooks' output.
        pods: The processes that run the resources' hooks.
        measure: Takes note of every hook run; see `HookRunner`.
        announced: Takes election and resource of every announcement of an address.
    """

    node: str
    state_dir: str
    clock: Clock
    log: Log
    pods: Pods
    measure: Measure = lambda *_, **__: None
    announced: Callable[[str, str], None] = lambda *_: None

    def runner(self, election: str, pods: Pods) -> HookRunner:
        """Return a new turn: its hooks run one at a time."""
        return HookRunner(
            election, self.node, self.state_dir, self.clock, self.log, pods, self.measure
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs an election's commands; `vips` by name."""

    group: ResourceGroup
    notifier: Notifier
    check: HealthCheck
    vips: Mapping[str, "Vip"]

    def change(self, plan: ElectionPlan) -> None:
        """Go on with what a reload may change."""
        self.notifier.change(plan.notify)
        self.check.change(plan.check)
        for resource in plan.resources:
            if resource.name in self.vips:
                self.vips[resource.name].announce_every(resource.settings["announce_interval"])


def build(plan: ElectionPlan, timing: Timing, site: Site, post: Callable[[Event], None]) -> Parts:
    """Return the resource group of an election, its notifier and its check."""
    runner = site.runner(plan.name, site.pods)
    lifetimes = Lifetimes()
    vips = {each.name: _vip(each, plan, site, lifetimes) for each in plan.resources if each.type == "vip"}
    resources = [vips.get(each.name) or _resource(each, plan, site, runner) for each in plan.resources]
    group = ResourceGroup(plan.name, resources, timing, site.clock, post, site.pods, site.log)
    name, clock, log = plan.name, site.clock, site.log
    # Processes that belong to no election: the guard's fencing of this one must not take them.
    aside = Pods("", clock, log)
    notifier = Notifier(name, plan.notify, clock, log, site.runner(name, aside))
    check = HealthCheck(name, plan.check, clock, log, site.runner(name, aside), post)
    return Parts(group, notifier, check, vips)


def _resource(resource: ResourcePlan, plan: ElectionPlan, site: Site, runner: HookRunner) -> Resource:
    match resource.type:
        case "script":
            return _called(resource, _script(resource), plan, site, runner)
        case "systemd":
            return _called(resource, systemd.calls(resource.settings["unit"]), plan, site, runner)
        case "mount":
            return _mount(resource, plan, site, runner)
        case "ocf":
            return _ocf(resource, plan, site, runner)
        case "process":
            process = _process(resource, site, runner)
            link = resource.settings.get("link")
            return process if link is None else Attached(process, link, site.clock)
    raise InvariantError(f"{resource.name}: the configuration let an unknown type pass: {resource.type}")


def _process(resource: ResourcePlan, site: Site, runner: HookRunner) -> Process:
    settings = resource.settings
    ready = settings.get("ready", {})
    spec = ProcessSpec(
        tuple(settings["command"]), settings["contain"], settings["restart"],
        Ready(**{**ready, "command": tuple(ready.get("command", ()))}),
        STREAMS if "link" in settings else None,
    )
    return Process(resource.name, spec, clock=site.clock, runner=runner)


def _script(resource: ResourcePlan) -> Calls:
    settings = resource.settings
    verbs = ("start", "stop", "monitor")
    if command := settings.get("command"):
        commands = {verb: (*command, verb) for verb in verbs}
    else:
        commands = {verb: tuple(settings[verb]) for verb in verbs if settings.get(verb)}
    return Calls(commands, contain=settings.get("contain", False))


def _called(
    resource: ResourcePlan, calls: Calls, plan: ElectionPlan, site: Site, runner: HookRunner
) -> Script:
    settings = resource.settings
    return Script(
        resource.name,
        calls,
        monitor_interval=settings.get("monitor_interval", 0.0),
        restart=settings.get("restart", 0),
        stop_timeout=plan.stop_timeout,
        clock=site.clock,
        runner=runner,
    )


def _ocf(resource: ResourcePlan, plan: ElectionPlan, site: Site, runner: HookRunner) -> Ocf:
    settings = resource.settings
    return Ocf(
        OcfAgent.named(settings["agent"], resource.name, settings["params"]),
        monitor_interval=settings.get("monitor_interval"), restart=settings["restart"],
        stop_timeout=plan.stop_timeout, clock=site.clock, runner=runner,
    )


def _mount(resource: ResourcePlan, plan: ElectionPlan, site: Site, runner: HookRunner) -> Mount:
    settings = resource.settings
    spec = MountSpec(
        device=settings["device"], target=settings["target"], fstype=settings["fstype"],
        options=settings["options"], private=settings["private"],
        record=f"{site.state_dir}/mounts/{plan.name}/{resource.name}",
        outside=os.readlink("/proc/self/ns/mnt"),
    )
    return Mount(
        resource.name, spec, monitor_interval=settings["monitor_interval"], restart=settings["restart"],
        stop_timeout=plan.stop_timeout, clock=site.clock, runner=runner,
    )


def _vip(resource: ResourcePlan, plan: ElectionPlan, site: Site, lifetimes: Lifetimes) -> "Vip":
    # Only here: pyroute2 takes 0.2 s to import, and most elections have no address.
    from leaderd.resources.hold import KernelThread, Setup
    from leaderd.resources.vip import Vip

    settings = resource.settings
    setup = Setup(
        addresses=tuple(map(ip_interface, settings["addresses"])),
        interface=settings["interface"],
        take=settings["on_conflict"] == "take",
        announce_interval=settings["announce_interval"],
        clock=site.clock,
        lifetimes=lifetimes,
        thread=KernelThread(site.clock),
        log=partial(site.log, election=plan.name, resource=resource.name),
        announced=partial(site.announced, plan.name, resource.name),
        at_least_one=plan.guarantee == AT_LEAST_ONE,
    )
    return Vip(resource.name, setup, plan.stop_timeout)
