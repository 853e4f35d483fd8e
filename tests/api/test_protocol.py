"""The generated code is what the proto file says, loads under both protobufs, and knows every field."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leaderd.api.messages import VALID_STEP, Changes, as_dict, status_message
from leaderd.clock import BootClock
from leaderd.core.records import CandidateKey
from leaderd.core.states import State
from leaderd.core.status import Status
from leaderd.report import Report
from tests.api.fakes import FakeSource, election, plan

ROOT = Path(__file__).parents[2]
GENERATED = ("leaderd_pb2.py", "leaderd_pb2.pyi", "leaderd_pb2_grpc.py")


def test_the_generated_code_is_not_stale(tmp_path: Path) -> None:
    """`make proto` after every change of the proto file."""
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed: cannot compare generated code")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-Ileaderd/api/pb={ROOT}/proto/leaderd/v1",
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            f"--grpc_python_out={tmp_path}",
            "leaderd/api/pb/leaderd.proto",
        ],
        check=True,
    )
    for name in GENERATED:
        fresh = (tmp_path / "leaderd/api/pb" / name).read_text()
        assert (ROOT / "leaderd/api/pb" / name).read_text() == fresh, f"{name} is stale: run make proto"


@pytest.mark.parametrize("implementation", ["python", "upb"])
def test_both_protobuf_implementations_carry_the_whole_report(implementation: str) -> None:
    """The agent runs on the one (etcd3 needs it), the command line on the other."""
    script = (
        "from google.protobuf.internal import api_implementation\n"
        "from leaderd.api import grpc, client\n"
        "from leaderd.api.messages import VALID_STEP, Changes, as_dict, status_message\n"
        "from tests.api.fakes import FakeSource\n"
        f"assert api_implementation.Type() == {implementation!r}\n"
        "report = FakeSource().report()\n"
        "message = status_message(report)\n"
        "assert as_dict(type(message).FromString(message.SerializeToString())) == report\n"
    )
    environ = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=environ)


def test_a_report_with_an_unknown_field_is_a_mistake_of_ours() -> None:
    """Not silently left out: the proto file has to learn it."""
    with pytest.raises(ValueError, match="surprise"):
        status_message({**FakeSource().report(), "surprise": 1})


def test_one_message_serves_all_who_hear_of_a_change_in_time() -> None:
    """And says of the lease never more than the report did; a change is another message."""
    changes = Changes()
    first = changes.message("a", election(valid_for=3.94))
    assert changes.message("a", election(valid_for=3.91)) is first
    assert 3.94 - VALID_STEP <= first.election.valid_for <= 3.91
    assert changes.message("a", election("web", valid_for=3.91)) is not first
    assert changes.message("a", election(valid_for=3.91, token=7)).election.token == 7
    assert changes.message("a", election(valid_for=-0.01)).election.valid_for == -VALID_STEP
    assert changes.message("a", election(valid_for=0.0)).election.valid_for == 0
    with pytest.raises(ValueError, match="surprise"):
        changes.message("a", {**election(), "surprise": 1})


def test_what_is_not_reported_has_its_zero() -> None:
    """A reader finds every key, always."""
    report = as_dict(status_message({"node": "a"}))
    assert report["elections"] == []
    assert report["pids"] == {"guard": 0, "agent": 0}


def test_the_report_of_the_daemon_has_only_fields_of_the_protocol() -> None:
    """The real one, with everything in it that it can have."""
    status = Status(
        "db",
        State.LEADER,
        reason="elected",
        leader="a",
        token=7,
        lease=0x694D8A,
        stop_at=BootClock().now().plus(5),
        candidates=(CandidateKey("/leaderd/election/db/1", 1, 7, "a", 100, 8.7),),
    )
    report = Report(plan(Path("/s")), BootClock(), {"guard": 1, "agent": 2}, "b00t")
    report.add(lambda: status, lambda: [("app", "script", "started")])
    answer = as_dict(status_message(report.report()))
    assert answer["elections"][0]["candidates"] == [
        {"node": "a", "priority": 100, "revision": 7, "foreign": False}
    ]
    assert answer["elections"][0]["lease"] == "694d8a"
    assert 4 < answer["elections"][0]["valid_for"] <= 5
