"""The checked plan: plain values that the starting process hands to the guard, and the guard to the agent.

Standard library only, since the guard reads it. Everything has been validated and every default
filled in by `leaderd.config`; nothing here checks anything again.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EtcdPlan:
    """How to reach etcd. Paths are absolute; an empty string means not used."""

    endpoints: tuple[str, ...]
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    user: str = ""
    password_file: str = ""


@dataclass(frozen=True, slots=True)
class ApiPlan:
    """Where the daemon listens. `http` is "" when it is off."""

    socket: str
    socket_group: str = ""
    http: str = ""


@dataclass(frozen=True, slots=True)
class ResourcePlan:
    """One resource: its name, its kind, and the kind's own settings."""

    name: str
    type: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotifyPlan:
    """The notify hook of an election; durations in seconds."""

    command: tuple[str, ...]
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """The health check of an election; durations in seconds, `rise` and `fall` in results in a row."""

    command: tuple[str, ...]
    interval: float = 2.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3


@dataclass(frozen=True, slots=True)
class ElectionPlan:
    """One election. Durations in seconds, `ttl` in whole seconds; see docs/interfaces.md §2 for the words."""

    name: str
    ttl: int
    retry_period: float
    attempt_timeout: float
    hedge_after: float
    stop_timeout: float
    kill_time: float
    start_timeout: float
    margin: float
    clock_drift: float
    guarantee: str = "at-most-one"
    priority: int = 100
    preempt: bool = False
    preempt_delay: float = 60.0
    fence: tuple[str, ...] = ("kill",)
    fence_command: tuple[str, ...] = ()
    watchdog_device: str = "/dev/watchdog"
    resources: tuple[ResourcePlan, ...] = ()
    notify: NotifyPlan | None = None
    check: CheckPlan | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a daemon needs to know. `log` is "text" or "json", already decided."""

    node: str
    root: str
    state_dir: str
    log: str
    log_level: str
    etcd: EtcdPlan
    api: ApiPlan
    elections: tuple[ElectionPlan, ...]

    def encode(self) -> str:
        """Return the plan as one line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def decode(text: str) -> "Plan":
        """Read a plan that `encode` wrote."""
        fields = json.loads(text)
        return Plan(
            **{
                **fields,
                "etcd": EtcdPlan(**{**fields["etcd"], "endpoints": tuple(fields["etcd"]["endpoints"])}),
                "api": ApiPlan(**fields["api"]),
                "elections": tuple(_election(election) for election in fields["elections"]),
            }
        )


def _election(fields: dict[str, Any]) -> ElectionPlan:
    notify, check = fields["notify"], fields["check"]
    return ElectionPlan(
        **{
            **fields,
            "fence": tuple(fields["fence"]),
            "fence_command": tuple(fields["fence_command"]),
            "resources": tuple(ResourcePlan(**resource) for resource in fields["resources"]),
            "notify": notify and NotifyPlan(tuple(notify["command"]), notify["timeout"]),
            "check": check and CheckPlan(**{**check, "command": tuple(check["command"])}),
        }
    )
