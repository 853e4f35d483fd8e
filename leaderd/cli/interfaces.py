"""What `leaderd check` says of a vip's interface as this machine is now; none of it is an error."""

import socket
from collections.abc import Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from leaderd.plan import Plan


def unfit(plan: Plan) -> Iterator[str]:
    """Yield which interfaces are not here, and which are on another network than the address.

    They may still come, and an address may well stand alone; but where another interface is on its
    network, nobody there will hear of it.
    """
    here = {name for _, name in socket.if_nameindex()}
    for election in plan.elections:
        for resource in election.resources:
            if not (name := resource.settings.get("interface", "")):
                continue
            key = f"election.{election.name}.resource.{resource.name}.interface"
            if name not in here:
                yield f"{key}: there is no {name} on this machine"
            else:
                yield from (f"{key}: {text}" for text in _elsewhere(resource.settings))


def _elsewhere(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield which of a vip's addresses other interfaces are on the network of, and its own is not."""
    from leaderd.errors import ResourceError
    from leaderd.resources.addresses import Kernel

    kernel = Kernel()
    try:
        found = kernel.all()
    except (ResourceError, OSError):
        return  # Who may not ask the kernel may still check a file.
    finally:
        kernel.close()
    own = settings["interface"]
    vips = [ip_interface(text) for text in settings["addresses"]]
    ours = {vip.ip for vip in vips}
    for vip in vips:
        near = {socket.if_indextoname(each.index) for each in found
                if each.address in vip.network and each.address not in ours}
        # Link-local networks are at every interface.
        if near and own not in near and not vip.is_link_local:
            yield f"{own} has no address in {vip.network}, but {', '.join(sorted(near))} has"
