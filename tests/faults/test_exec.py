"""`leaderd exec` over real etcd: the command runs only while leadership is held, once, and dies with it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leaderd.demo.journal import overlaps
from tests.cluster import Cluster
from tests.faults.calls import Call
from tests.faults.figures import figure
from tests.faults.trio import WRITER, Journal, nobody_holds, now, python, wait_for

pytestmark = pytest.mark.timeout(180)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for PID namespaces")

Make = Callable[..., Call]
KILLS = {"agent": (False, False, True), "guard": (False, True, False), "both": (False, True, True),
         "all": (True, True, True), "caller": (True, False, False)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One etcd member: nothing here depends on more."""
    with Cluster(1, directory=tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
def name(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """An election that nobody holds."""
    found = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")[:60]
    nobody_holds(cluster, found)
    return found


@pytest.fixture
def call(cluster: Cluster, name: str, tmp_path: Path) -> Iterator[Make]:
    """Makes calls; at the end nothing of theirs is left, on disk or in memory."""
    made: list[Call] = []

    def make(*words: str, **more: tuple[str, ...]) -> Call:
        made.append(Call(cluster, tmp_path, name, *words, **more))
        return made[-1]

    try:
        yield make
        for each in made:
            each.process.wait(30)
            wait_for("the end of all that was started", lambda each=each: not each.marked(), 15)
    finally:
        for each in made:
            each.destroy()


def candidates(cluster: Cluster, name: str) -> list[str]:
    """Return the keys in the queue."""
    return cluster.etcdctl("get", "--prefix", "--keys-only", f"/leaderd/election/{name}/").split()


def holder(cluster: Cluster, name: str) -> dict:
    """Return the holder record."""
    return json.loads(cluster.etcdctl("get", f"/leaderd/control/{name}/holder", "--print-value-only"))


def beats(path: Path) -> float:
    """Return when the writer has written last."""
    holds = Journal(path).holds()
    return holds[-1].end_at if holds else 0.0


@pytest.mark.parametrize(("text", "code"), [
    ("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("nonexistent-program", 127),
])
def test_it_exits_as_the_command_does(call: Make, cluster: Cluster, name: str, text: str, code: int) -> None:
    """And has given leadership up by then, with nothing left in the queue or on disk."""
    made = call("sh", "-c", text)
    assert made.end()[0] == code, made.says()
    assert holder(cluster, name)["state"] == "released"
    assert not candidates(cluster, name)
    assert not list(made.temporary.iterdir())


def test_programs_that_cannot_be_run(call: Make, tmp_path: Path) -> None:
    """The codes of a shell, without waiting for leadership."""
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert call("/nonexistent/program").end()[0] == 127
    assert call(str(plain)).end()[0] == 126
    text = tmp_path / "text"
    text.write_text("#!/nonexistent/interpreter\n")
    text.chmod(0o755)
    made = call(str(text))
    assert made.end()[0] == 127, made.says()
    assert "No such file or directory" in made.says()


def test_its_streams_are_the_caller_s(call: Make) -> None:
    """Standard input, output and error, whole and unaltered; the token is in the environment."""
    made = call("sh", "-c", "cat; echo oops >&2; echo $LEADERD_TOKEN $LEADERD_ELECTION")
    text = "line\n" * 20_000 + "no newline at the end "
    code, out = made.end(text)
    assert code == 0
    assert out.startswith(text)
    token, election = out[len(text):].split()
    assert int(token) > 0
    assert election
    assert "oops" in made.says().splitlines()


@needs_root
def test_it_is_contained_by_default(call: Make, tmp_path: Path) -> None:
    """A daemon that the command leaves behind does not outlive it; --no-contain is the host's namespace."""
    leave = (f"readlink /proc/self/ns/pid; setsid sh -c 'sleep 1000; :{tmp_path}' "
             ">/dev/null 2>&1 </dev/null & sleep 0.3")
    code, out = (made := call("sh", "-c", leave)).end()
    assert code == 0
    assert out.strip() != os.readlink("/proc/self/ns/pid")
    wait_for("the daemon's end", lambda: not made.marked(), 5)
    code, out = call("readlink", "/proc/self/ns/pid", options=("--no-contain",)).end()
    assert (code, out.strip()) == (0, os.readlink("/proc/self/ns/pid"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_command(call: Make, number: signal.Signals) -> None:
    """It may handle them, go on, and choose its exit code."""
    short = number.name[3:]
    made = call("sh", "-c", f"trap 'echo got; exit 9' {short}; echo up; while :; do sleep 0.05; done")
    assert made.process.stdout.readline() == "up\n"
    made.process.send_signal(number)
    assert made.end() == (9, "got\n"), made.says()


def test_a_signal_that_kills_the_command_is_told_as_shells_do(call: Make) -> None:
    """130 for ^C."""
    made = call("sh", "-c", "echo up; exec sleep 1000")
    assert made.process.stdout.readline() == "up\n"
    made.process.send_signal(signal.SIGINT)
    assert made.end()[0] == 130


def test_who_waits_gets_75_or_goes_by_the_signal(call: Make, cluster: Cluster, name: str) -> None:
    """The holder is not disturbed, and the queue is left in order."""
    first = call("sh", "-c", "echo up; cat")
    assert first.process.stdout.readline() == "up\n"
    began = time.monotonic()
    second = call("touch", str(first.directory / "wrong"), options=("--wait", "2"))
    code, _ = second.end()
    assert code == 75
    assert time.monotonic() - began < 12
    assert "was not got in time" in second.says()
    third = call("touch", str(first.directory / "wrong"))
    wait_for("two in the queue", lambda: len(candidates(cluster, name)) == 2, 20)
    third.process.send_signal(signal.SIGTERM)
    assert third.end()[0] == 143
    assert len(candidates(cluster, name)) == 1
    assert first.end("")[0] == 0
    assert not (first.directory / "wrong").exists()


def test_two_calls_never_overlap_and_follow_at_once(call: Make, tmp_path: Path) -> None:
    """The second begins when the first has ended: that is what it is for."""
    noted = tmp_path / "noted"
    text = f"date +%s.%N >> {noted}; sleep 0.5; date +%s.%N >> {noted}"
    made = [call("sh", "-c", text) for _ in range(3)]
    assert [each.end()[0] for each in made] == [0, 0, 0]
    times = [float(line) for line in noted.read_text().split()]
    assert times == sorted(times)
    gaps = [after - before for before, after in zip(times[1::2], times[2::2], strict=False)]
    figure(f"exec: from the end of one command to the start of the next {min(gaps):.3f} … {max(gaps):.3f} s")
    assert max(gaps) < 3


def test_a_lost_lease_stops_the_command_and_it_is_not_run_again(
    call: Make, cluster: Cluster, name: str, tmp_path: Path
) -> None:
    """75, and the command had its chance to clean up."""
    made = call("sh", "-c", f"echo up >> {tmp_path}/ups; trap 'echo clean; exit 0' TERM; "
                            "while :; do sleep 0.05; done")
    made.wait_for_output("ups")
    cluster.etcdctl("lease", "revoke", holder(cluster, name)["lease"])
    assert made.end() == (75, "clean\n")
    assert "leadership of" in made.says()
    assert (tmp_path / "ups").read_text() == "up\n"


@pytest.mark.parametrize("kind", list(KILLS))
def test_whoever_is_killed_the_command_is_dead_and_not_run_again(
    call: Make, cluster: Cluster, name: str, tmp_path: Path, kind: str
) -> None:
    """SIGKILL to the agent, the guard, both, the process that was called, or all three at once."""
    journal = tmp_path / "journal"
    made = call(*json.loads(python(WRITER, str(journal), "run")))
    wait_for("a beat", lambda: beats(journal) > 0, 30)
    caller, guard, agent = KILLS[kind]
    pids = [made.process.pid] * caller + [made.guard] * guard + [made.agent] * agent
    assert all(pids)
    at = now()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    code, _ = made.end()
    assert code == (-9 if caller else 75), made.says()
    if not caller:
        # When the call returns, nothing of it runs.
        assert not made.marked()
    wait_for("the end of all", lambda: not made.marked(), 15)
    last = beats(journal)
    figure(f"exec: kill -9 {kind}: the last beat of the command {max(0.0, last - at):.3f} s later")
    # Guard and agent dead: the kernel's doing. With one of them alive: an orderly stop.
    assert last - at < (0.5 if kind in {"agent", "both", "all"} else 3.0)
    assert len(Journal(journal).holds()) == 1
    after = call("true")
    assert after.end()[0] == 0, after.says()
    assert not overlaps(Journal(journal).holds())


@needs_root
def test_without_the_privilege_the_caller_kills_what_was_detached(call: Make, tmp_path: Path) -> None:
    """Guard and agent die together: the command by the kernel's hand, its daemon before the call returns."""
    journal = tmp_path / "journal"
    writer = " ".join(json.loads(python(WRITER, str(journal), "run")))
    made = call(
        "sh", "-c", f"setsid {writer} >/dev/null 2>&1 </dev/null & while :; do sleep 0.05; done",
        wrapper=("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"),
    )
    wait_for("a beat", lambda: beats(journal) > 0, 30)
    assert "no PID namespace" in made.says()
    at = now()
    for pid in (made.guard, made.agent):
        os.kill(pid, signal.SIGKILL)
    assert made.end()[0] == 75
    assert not made.marked()
    assert beats(journal) - at < 1.0
    figure(f"exec, not contained: kill -9 both: the last beat of a daemon {beats(journal) - at:.3f} s later")


def test_etcd_that_is_gone_costs_the_leadership_in_time(call: Make, cluster: Cluster, tmp_path: Path) -> None:
    """No answer for a whole window: the command is stopped before another could lead."""
    journal = tmp_path / "journal"
    made = call(*json.loads(python(WRITER, str(journal), "run")))
    wait_for("a beat", lambda: beats(journal) > 0, 30)
    cluster.pause(0)
    at = now()
    try:
        code, _ = made.end()
    finally:
        cluster.heal()
    assert code == 75
    # ttl 5: V = 4.2 s after the last renewal was sent.
    assert beats(journal) - at < 4.2


def test_a_state_directory_that_is_given_is_kept_and_locked(call: Make, tmp_path: Path) -> None:
    """Two calls on one directory are refused, as two daemons are."""
    options = ("--state-dir", str(tmp_path / "state"), "--socket", str(tmp_path / "socket"))
    made = call("sh", "-c", "echo up; cat", options=options)
    assert made.process.stdout.readline() == "up\n"
    assert (tmp_path / "socket").is_socket()
    other = call("true", options=options)
    assert other.end()[0] == 1
    assert "already running" in other.says()
    assert made.end("")[0] == 0
    assert (tmp_path / "state" / "lock").exists()
    assert not list(made.temporary.iterdir())
