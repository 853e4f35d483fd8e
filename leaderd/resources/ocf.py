"""The `ocf` kind: any agent of the Open Cluster Framework, without Pacemaker.

What an agent's meta-data advises counts where the configuration is silent: how often to monitor, and how
long a monitor may take. Its parameters' defaults are its own to apply, as under Pacemaker.

Source: OCF resource agent API 1.1, ra-api.xsd; the resource agents' developer guide.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass

from leaderd.clock import Clock
from leaderd.core.lease import Lease
from leaderd.errors import ResourceError
from leaderd.hookenv import inherited
from leaderd.instant import Instant
from leaderd.resources.base import Term
from leaderd.resources.ocfmeta import MetaData, read_meta_data
from leaderd.resources.runner import HookRunner
from leaderd.resources.script import Calls, Script, ended

DEFAULT_ROOT = "/usr/lib/ocf"
# Where neither the configuration nor the agent says how often, seconds.
DEFAULT_INTERVAL = 10.0
_REASON = "ocf-exit-reason:"
_CODES = {
    1: "generic error", 2: "wrong arguments", 3: "not implemented", 4: "not permitted",
    5: "not installed here", 6: "not configured rightly", 8: "running, promoted", 9: "failed, promoted",
}


@dataclass(frozen=True, slots=True)
class OcfAgent:
    """An agent with its parameters.

    Attributes:
        path: The program.
        instance: Name of the resource.
        env: Its environment beside that of the hook contract.
    """

    path: str
    instance: str
    env: Mapping[str, str]

    @staticmethod
    def named(agent: str, instance: str, params: Mapping[str, str]) -> "OcfAgent":
        """Return the agent that ocf:PROVIDER:NAME means on this machine; OCF_ROOT says where it is."""
        root = os.environ.get("OCF_ROOT") or DEFAULT_ROOT
        _, provider, name = agent.split(":")
        return OcfAgent(f"{root}/resource.d/{provider}/{name}", instance, {
            "OCF_ROOT": root,
            "OCF_RA_VERSION_MAJOR": "1",
            "OCF_RA_VERSION_MINOR": "1",
            "OCF_RESOURCE_INSTANCE": instance,
            "OCF_RESOURCE_TYPE": name,
            "OCF_RESOURCE_PROVIDER": provider,
            **{f"OCF_RESKEY_{parameter}": value for parameter, value in params.items()},
        })


class Ocf(Script):
    """An OCF agent as a resource; see `leaderd.resources.base.Resource`.

    Args:
        agent: Which, with its parameters.
        monitor_interval: Seconds between two monitors; None leaves it to the agent.
        restart: How often it may be restarted in place when its monitor fails.
        stop_timeout: Seconds that the guard gives its stop.
        clock: For deadlines.
        runner: Runs it, in turn with the election's hooks.
    """

    def __init__(
        self, agent: OcfAgent, *, monitor_interval: float | None, restart: int, stop_timeout: float,
        clock: Clock, runner: HookRunner,
    ) -> None:
        verbs = {verb: (agent.path, verb) for verb in ("start", "stop", "monitor")}
        super().__init__(
            agent.instance, Calls(verbs, "ocf", env=agent.env),
            monitor_interval=monitor_interval or DEFAULT_INTERVAL, restart=restart,
            stop_timeout=stop_timeout, clock=clock, runner=runner,
        )
        self._agent = agent
        self._interval = monitor_interval
        self._known: MetaData | None = None

    async def start(self, term: Term, lease: Lease, timeout: float) -> None:
        """Call start; exit code 0 means that it runs."""
        await self._learn()
        await super().start(term, lease, timeout)

    async def stop(self, term: Term, until: Instant) -> None:
        """Call stop; exit code 0 or 7 means that it does not run."""
        await super().stop(term, until)
        if not term.token:
            # At daemon start there is time to get to know it; at a takeover there is none.
            await self._learn()

    def _environment(self, verb: str, deadline: Instant) -> dict[str, str]:
        left = max(0.0, self._clock.now().left_until(deadline))
        interval = self.monitor_interval if verb == "monitor" else 0.0
        return {
            **self._agent.env,
            "OCF_RESKEY_CRM_meta_timeout": f"{left * 1000:.0f}",
            "OCF_RESKEY_CRM_meta_interval": f"{interval * 1000:.0f}",
            **({"OCF_CHECK_LEVEL": "0"} if verb == "monitor" else {}),
        }

    def _error(self, verb: str, code: int) -> ResourceError:
        why = self._runner.said.partition(_REASON)[2].strip()
        words = f"exit code {code}, {_CODES[code]}" if code in _CODES else ended(code)
        return ResourceError(f"{self.name}: {verb}: {words}{': ' if why else ''}{why}")

    async def _learn(self) -> None:
        """Read its meta-data once. One that gives none has defaults; its start will say what is wrong."""
        if self._known is not None:
            return
        env = {**inherited(), **self._agent.env}
        known = self._known = await asyncio.to_thread(read_meta_data, self._agent.path, env)
        self.monitor_interval = self._interval or known.interval or DEFAULT_INTERVAL
        self._monitor_timeout = known.timeouts.get("monitor", 0.0)
