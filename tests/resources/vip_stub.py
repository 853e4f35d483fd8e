"""An agent to be killed: installs addresses on eth0 under a given lease, says so, and waits for its end.

Run as `vip_stub.py ADDRESS… SENT_RAW SENT_BOOT TTL`.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from leaderd.core.actions import StartResources
from leaderd.core.lease import Lease, Timing
from leaderd.instant import Instant
from leaderd.plan import ResourcePlan
from leaderd.resources.lifetime import whole_seconds
from tests.resources.conftest import CLOCK, Rig


async def main(addresses: list[str], raw: float, boot: float, ttl: int) -> None:
    """Start, tell, wait."""
    rig = Rig(Path(tempfile.gettempdir()))
    rig.build(ResourcePlan("address", "vip", {
        "addresses": addresses, "interface": "eth0", "on_conflict": "refuse", "announce_interval": 60.0,
    }))
    lease = Lease(1, Timing.scaled(ttl, vip=True), Instant(raw, boot))
    rig.group.perform(StartResources(7, lease, "elected", "b", released=True))
    event = await rig.event()
    now = CLOCK.now()
    print(json.dumps({
        "posted": type(event).__name__, "detail": getattr(event, "detail", ""),
        "seconds": whole_seconds(lease, now), "at": now.held_since(lease.sent_at),
    }), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:-3], float(sys.argv[-3]), float(sys.argv[-2]), int(sys.argv[-1])))
