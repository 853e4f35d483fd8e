"""Ask the leaderd beside you: does this node lead, and with which fencing token?

    from leaderd.client import Client

    client = Client(election="db")
    if client.is_leader():
        write(data, token=client.token())

`AsyncClient` is the same for asyncio, and can run a block only while the node leads. Standard library
alone; imports nothing of leaderd's daemon. docs/client.md says what an answer is worth.
"""

from typing import TYPE_CHECKING, Any

from leaderd.client.sync import Client

if TYPE_CHECKING:
    from leaderd.client.aio import AsyncClient, Leadership

__all__ = ["AsyncClient", "Client", "Leadership"]


def __getattr__(name: str) -> Any:
    # asyncio alone takes longer to import than all of the rest.
    if name in ("AsyncClient", "Leadership"):
        from leaderd.client import aio

        return getattr(aio, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
