"""A guard under test, with real processes all around it."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from leaderd.clock import BootClock
from leaderd.core.lease import Timing
from leaderd.core.records import HolderRecord
from leaderd.guard import children
from leaderd.guard.wire import Arm, Deadlines, Extend, Fence, ReleaseKeys, Stop, encode
from leaderd.keys import ElectionKeys
from leaderd.plan import ApiPlan, ElectionPlan, EtcdPlan, Plan
from leaderd.slots import SlotFile

HERE = Path(__file__).parent
PATIENCE = 20.0
CLOCK = BootClock()
LEASE = 0x694D8A1
TOKEN = 1234


def eventually(condition, what, patience=PATIENCE):
    """Wait until `condition` gives something true, and return that."""
    end = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(0.005)
    return found


def runs(pid):
    """Return whether a process runs, zombies aside."""
    return bool(children.running([pid]))


def election(**changes):
    """Return an election's plan."""
    return ElectionPlan(
        **{
            "name": "db",
            "ttl": 10,
            "retry_period": 1.2,
            "attempt_timeout": 1.0,
            "hedge_after": 0.35,
            "stop_timeout": 2.0,
            "kill_time": 0.5,
            "start_timeout": 30.0,
            "margin": 0.3,
            "clock_drift": 0.1,
            **changes,
        }
    )


def deadlines(stop=5.0, fence=7.0, expire=7.5):
    """Return deadlines so many seconds from now."""
    now = CLOCK.now()
    return Deadlines(now.plus(stop), now.plus(fence), now.plus(expire))


def order(stops=(), token=TOKEN, name="db", times=None, revision=77, lease=LEASE):
    """Return an arm message."""
    keys = ElectionKeys("/leaderd", name)
    record = HolderRecord.held(token, "a", lease, Timing.scaled(10))
    released = record.encode().replace('"held"', '"released"')
    return Arm(
        name,
        token,
        times or deadlines(),
        revision,
        ReleaseKeys(keys.holder, released, keys.key(lease), f"{lease:x}"),
        record.encode(),
        tuple(stops),
        {"LEADERD_PREVIOUS": "b"},
    )


class Agent:
    """One run of the fake agent, seen from the test."""

    def __init__(self, connection):
        connection.settimeout(PATIENCE)
        self._connection = connection
        self._lines = connection.makefile("r")
        hello = self.read()
        self.pid = hello["hello"]
        self.payload = hello["payload"]
        self.env = hello["env"]
        self.waiting = []

    def read(self):
        line = self._lines.readline()
        if not line:
            raise AssertionError("the agent is gone")
        return json.loads(line)

    def do(self, **what):
        """Give an order and wait until it was obeyed."""
        self.tell(**what)
        while "done" not in (answer := self.read()):
            self.waiting.append(answer)
        return answer["done"]

    def tell(self, **what):
        self._connection.sendall(json.dumps(what).encode() + b"\n")

    def send(self, message):
        """Have it send a message to the guard."""
        packet = encode(message).decode()
        self.do(send=packet)

    def hear(self):
        """Return the guard's next message."""
        answer = self.waiting.pop(0) if self.waiting else self.read()
        return answer["got"]

    def fence(self, name="db", token=TOKEN):
        """Hand a term over to the guard, which says at once that it has it."""
        self.send(Fence(name, token))
        assert self.hear() == {"type": "fencing", "election": name, "token": token}

    def arm(self, message):
        self.send(message)
        assert self.hear() == {"type": "armed", "election": message.election, "token": message.token}

    def extend(self, **times):
        self.send(Extend("db", TOKEN, deadlines(**times)))

    def signal(self, number):
        os.kill(self.pid, number)

    def close(self):
        self._lines.close()
        self._connection.close()


class GuardRun:
    """A guard process, its state directory, and the agents that it starts."""

    def __init__(self, folder, *elections, etcd=("http://127.0.0.1:1",), etcd_plan=None, reread=()):
        self.folder = Path(folder)
        self.state_dir = self.folder / "state"
        self.state_dir.mkdir(exist_ok=True)
        self.plan = Plan(
            "a",
            "/leaderd",
            str(self.state_dir),
            "json",
            "debug",
            etcd_plan or EtcdPlan(tuple(etcd)),
            ApiPlan(str(self.folder / "api.sock")),
            elections or (election(),),
        )
        self.reread = reread
        self.sysrq = self.folder / "sysrq"
        self.sysrq.write_text("")
        self.rebooted = self.folder / "rebooted"
        self.nowayout = self.folder / "nowayout"
        self.log_path = self.folder / "guard.log"
        self._listener = socket.socket(socket.AF_UNIX)
        # Short: socket addresses are at most 107 bytes.
        self._control = f"/tmp/leaderd-guard-{os.getpid()}-{id(self):x}"
        self._listener.bind(self._control)
        self._listener.listen()
        self._listener.settimeout(PATIENCE)
        self._agents = []
        self.process = None

    def start(self, env=None):
        settings = {
            "agent": [sys.executable, str(HERE / "fake_agent.py"), self._control],
            "sysrq": str(self.sysrq),
            "reboot": ["touch", str(self.rebooted)],
            "nowayout": str(self.nowayout),
        }
        plan = os.memfd_create("plan")
        os.write(plan, json.dumps({"plan": asdict(self.plan), "reread": self.reread}).encode())
        lock = os.open(self.state_dir / "lock", os.O_RDWR | os.O_CREAT)
        eventually(lambda: self._locked(lock), "the lock of the state directory")
        root = str(HERE.parent.parent)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "run_guard.py"), json.dumps(settings), str(plan), str(lock)],
                pass_fds=(plan, lock),
                stderr=log,
                cwd=root,
                env={**os.environ, "PYTHONPATH": root, **(env or {})},
            )
        os.close(plan)
        os.close(lock)
        return self

    @staticmethod
    def _locked(fd):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def locked(self):
        """Return whether somebody holds the lock."""
        fd = os.open(self.state_dir / "lock", os.O_RDWR)
        free = self._locked(fd)
        os.close(fd)
        return not free

    def agent(self):
        """Return the agent that the guard starts next."""
        connection, _ = self._listener.accept()
        self._agents.append(agent := Agent(connection))
        return agent

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        """Return the guard's exit code."""
        return self.process.wait(PATIENCE)

    def log(self, event=None):
        """Return what the guard has logged, of one event or all."""
        lines = [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if event is None or line["event"] == event]

    def logged(self, event, **fields):
        """Wait for a log line."""

        def find():
            return [line for line in self.log(event) if fields.items() <= line.items()]

        return eventually(find, f"{event} {fields} in\n{self.log_path.read_text()}")[0]

    def journal(self, name="db"):
        text = SlotFile(str(self.state_dir / "terms" / name)).read()
        return json.loads(text) if text else None

    def close(self):
        """Kill what is left; everything that the guard adopted is below it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            children.kill(children.descendants(self.process.pid))
            self.process.kill()
            self.process.wait()
        for agent in self._agents:
            children.kill([*children.descendants(agent.pid), agent.pid])
            agent.close()
        self._listener.close()
        Path(self._control).unlink()


def shell(script, resource="index", timeout=2.0, fine=(0, 7)):
    """Return a stop command that runs a line of shell."""
    return Stop(resource, ("/bin/sh", "-c", script), timeout, fine)
