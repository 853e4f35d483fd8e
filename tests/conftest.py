"""What every test needs: the protobuf that etcd3's stubs can be imported with, and honest skips."""

import os

# Before anything imports protobuf: etcd3's generated stubs need the pure-python implementation.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
# The guard forks workers. Its own process has no gRPC, but this one has, and gRPC's fork handlers abort
# a child whose descriptors are gone.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import signal

import pytest

# What started us may have ignored these (nohup, a shell's background job); what we start must not.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let everything be run that a commit has no time for."""
    parser.addoption("--compose-faults", action="store_true", help="run the whole list of container faults")
    parser.addoption("--vm", action="store_true", help="run all cases in virtual machines")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "root: needs root (namespaces, addresses, real-time priority)")
    config.addinivalue_line("markers", "compose_faults: a container fault that is not part of the gate")
    config.addinivalue_line("markers", "vm: a case in a virtual machine that is not part of the gate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs root where there is none, and what was not asked for; and say so."""
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("compose_faults") and not config.getoption("compose_faults"):
            item.add_marker(pytest.mark.skip(reason="not in the gate: make compose-faults"))
        if item.get_closest_marker("vm") and not config.getoption("vm"):
            item.add_marker(pytest.mark.skip(reason="not in the gate: make vm"))
