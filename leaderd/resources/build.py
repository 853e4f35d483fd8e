"""Makes the resources of an election from its plan."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_interface

from leaderd.clock import Clock
from leaderd.core.events import Event
from leaderd.core.lease import Timing
from leaderd.errors import InvariantError
from leaderd.plan import ElectionPlan, ResourcePlan
from leaderd.resources.base import Resource
from leaderd.resources.contain import Log, Pods
from leaderd.resources.group import ResourceGroup
from leaderd.resources.lifetime import Lifetimes
from leaderd.resources.notify import Notifier
from leaderd.resources.runner import HookRunner
from leaderd.resources.script import Script


@dataclass(frozen=True, slots=True)
class Site:
    """Where the hooks of an election run, and what they need there.

    Attributes:
        node: Name of this node.
        state_dir: Keeps the sequence number of hook runs.
        clock: For deadlines.
        log: Takes the hooks' output.
        pods: The processes that run the resources' hooks.
    """

    node: str
    state_dir: str
    clock: Clock
    log: Log
    pods: Pods

    def runner(self, election: str, pods: Pods) -> HookRunner:
        """Return a new turn: its hooks run one at a time."""
        return HookRunner(election, self.node, self.state_dir, self.clock, self.log, pods)


def build(
    plan: ElectionPlan, timing: Timing, site: Site, post: Callable[[Event], None]
) -> tuple[ResourceGroup, Notifier | None]:
    """Return the resource group of an election and its notifier, if it has one."""
    runner = site.runner(plan.name, site.pods)
    lifetimes = Lifetimes()
    resources = [
        _vip(resource, plan, site, lifetimes) if resource.type == "vip"
        else _resource(resource, plan, site, runner)
        for resource in plan.resources
    ]
    group = ResourceGroup(plan.name, resources, timing, site.clock, post, site.pods)
    if plan.notify is None:
        return group, None
    # Processes that belong to no election: the guard's fencing of this one must not take them.
    aside = site.runner(plan.name, Pods("", site.clock, site.log))
    notifier = Notifier(plan.name, plan.notify, site.clock, site.log, aside)
    return group, notifier


def _resource(resource: ResourcePlan, plan: ElectionPlan, site: Site, runner: HookRunner) -> Resource:
    if resource.type != "script":
        raise InvariantError(f"{resource.name}: the configuration let an unknown type pass: {resource.type}")
    settings = resource.settings
    verbs = ("start", "stop", "monitor")
    if command := settings.get("command"):
        commands = {verb: (*command, verb) for verb in verbs}
    else:
        commands = {verb: tuple(settings[verb]) for verb in verbs if settings.get(verb)}
    return Script(
        resource.name,
        commands,
        monitor_interval=settings.get("monitor_interval", 0.0),
        contain=settings.get("contain", False),
        stop_timeout=plan.stop_timeout,
        clock=site.clock,
        runner=runner,
    )


def _vip(resource: ResourcePlan, plan: ElectionPlan, site: Site, lifetimes: Lifetimes) -> Resource:
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
    )
    return Vip(resource.name, setup, plan.stop_timeout)
