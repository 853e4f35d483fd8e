"""What goes wrong on the nodes: processes, disks, schedulers and resources."""

from leaderd.core import actions as a
from leaderd.core import events as e
from leaderd.core.states import State
from tests.sim.host import Host
from tests.sim.trouble import Trouble


class NodeFaults(Trouble):
    """Faults of nodes."""

    # --- processes ---

    def _pause_processes(self, *, agent: bool, guard: bool) -> bool:
        host = self._host()
        if guard and not host.resources.contained:
            return False
        processes = [process for process, wanted in ((host.agent, agent), (host.guard, guard))
                     if wanted and process is not None and not process.paused]
        for process in processes:
            process.pause()
            self._while(process.resume)
        names = " ".join(type(process).__name__.lower() for process in processes)
        return bool(processes) and self._note(f"{host.name}: {names} stopped")

    def _pause_agent(self) -> bool:
        return self._pause_processes(agent=True, guard=False)

    def _pause_guard(self) -> bool:
        return self._pause_processes(agent=False, guard=True)

    def _pause_both(self) -> bool:
        return self._pause_processes(agent=True, guard=True)

    def _at_a_step(self) -> bool:
        """Wait for a node to do one certain thing, and hit it right then."""
        host, choice = self._host(), self.engine.rng.choice
        step, what = choice(self.world.mix.steps), choice(self.world.mix.hits)
        host.trap = (step, lambda: self._spring(host, step, what))
        return True

    def _spring(self, host: Host, step: type[a.Action], what: str) -> None:
        agent = host.agent
        if self.over or agent is None:
            return
        self._note(f"{host.name}: {what} right after {step.__name__}")
        match what:
            case "revoke" if agent.client.joined is not None:
                self.etcd.store.revoke(agent.client.joined.lease)
            case "power off":
                host.power_off("fault")
            case "kill":
                host.agent_dies(agent, "killed")
            case "late news":
                self.engine.after(0.001, agent.do, agent.late_news)
            case "cut":
                for link in host.links:
                    link.cut(out=self.engine.chance(0.7), back=True)
                self._while(lambda: self._heal_links(host.links))
            case "pause" | "pause both":
                self._stop_processes(host, guard=what == "pause both" and host.resources.contained)

    def _stop_processes(self, host: Host, *, guard: bool) -> None:
        for process in (host.agent, host.guard if guard else None):
            if process is not None:
                process.pause()
                self._while(process.resume)

    def _slow_disk(self) -> bool:
        host = self._host()
        host.slow_disk = self.engine.uniform(0.2, 5.0)
        self._while(lambda: setattr(host, "slow_disk", 0.0))
        return self._note(f"{host.name}: the guard needs {host.slow_disk:.1f} s to write a term down")

    def _laggy_node(self) -> bool:
        host = self._host()
        host.lag = self.engine.uniform(*self.world.mix.lag)
        self._while(lambda: setattr(host, "lag", 0.0))
        return self._note(f"{host.name}: everything is {host.lag:.2f} s late")

    def _kill_agent(self) -> bool:
        host = self._host()
        if host.agent is None:
            return False
        host.agent_dies(host.agent, "killed")
        return self._note(f"{host.name}: agent killed")

    def _kill_guard(self) -> bool:
        host = self._host()
        if host.guard is None or not host.resources.contained:
            return False
        self._note(f"{host.name}: guard killed")
        host.guard_dies()
        return True

    def _kill_both(self) -> bool:
        host = self._host()
        if host.guard is None or not host.resources.contained:
            return False
        self._note(f"{host.name}: guard and agent killed")
        host.guard_dies()
        if host.agent is not None:
            host.agent_dies(host.agent, "killed")
        return True

    def _crash_service(self) -> bool:
        """Kill guard and agent, with a service manager that restarts them at once."""
        host = self._host()
        if host.guard is None or not host.resources.running:
            return False
        self._note(f"{host.name}: guard and agent killed, restarted at once")
        host.guard_dies()
        if host.agent is not None:
            host.agent_dies(host.agent, "killed")
        return True

    def _power_off(self) -> bool:
        host = self._host()
        host.power_off("fault")
        return True

    def _shutdown(self) -> bool:
        host = self._host()
        if host.agent is None:
            return False
        self._note(f"{host.name}: told to shut down")
        host.agent.do(host.agent.post, e.Shutdown())
        return True

    # --- resources ---

    def _bad_start(self) -> bool:
        host = self._host()
        host.resources.behaviour.start = kind = self.engine.rng.choice(("slow", "slow", "fail", "hang"))
        self._while(lambda: setattr(host.resources.behaviour, "start", ""))
        return self._note(f"{host.name}: starts {kind}")

    def _bad_stop(self) -> bool:
        host = self._host()
        host.resources.behaviour.stop = kind = self.engine.rng.choice(("slow", "slow", "fail", "hang"))
        self._while(lambda: setattr(host.resources.behaviour, "stop", ""))
        return self._note(f"{host.name}: stops {kind}")

    def _unhealthy(self) -> bool:
        """Have a node's check fail for a while."""
        host = self._host()
        host.ill = True
        if host.agent is not None:
            host.agent.do(host.agent.post, e.HealthChanged(healthy=False, detail="ill"))
        self._while(lambda: self._well(host))
        return self._note(f"{host.name}: its check fails")

    def _well(self, host: Host) -> None:
        if host.ill:
            host.ill = False
            if host.agent is not None:
                host.agent.do(host.agent.post, e.HealthChanged(healthy=True, detail=""))

    def _resource_fails(self) -> bool:
        for host in self.hosts:
            agent = host.agent
            if agent is not None and agent.election.state is State.LEADER:
                self._note(f"{host.name}: a resource fails")
                agent.do(agent.post, e.ResourceFailed(agent.election.status().token, "it fell over"))
                return True
        return False
