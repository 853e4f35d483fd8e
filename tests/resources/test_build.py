"""From the plan to resources."""

import os
import subprocess
import sys

import pytest

from leaderd.errors import InvariantError
from leaderd.plan import ResourcePlan


async def test_a_type_that_the_configuration_should_have_refused_is_a_bug(rig):
    with pytest.raises(InvariantError, match="unknown type pass: teapot"):
        rig.build(ResourcePlan("x", "teapot", {}))
    rig.build()


async def test_names_kinds_and_intervals_come_from_the_plan(rig):
    group = rig.build(
        ResourcePlan("x", "script", {"command": ["/bin/true"], "monitor_interval": 2.5}),
        ResourcePlan("y", "script", {"start": ["/bin/true"], "monitor_interval": 2.5, "contain": True}),
    )
    assert group.states() == [("x", "script", "unknown"), ("y", "script", "unknown")]
    assert [resource.monitor_interval for resource in group._resources] == [2.5, 0.0]


def test_pyroute2_is_imported_for_a_vip_alone():
    """It costs 0.2 s of every agent's start."""
    code = "import sys, leaderd.app; sys.exit('pyroute2' in sys.modules)"
    env = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=env).returncode == 0
