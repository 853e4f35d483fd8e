"""A worker that runs on every node and works on one: asyncio, fenced by its token.

    LEADERD_HTTP=127.0.0.1:4040 python worker.py db /shared/counter
"""

import asyncio
import sys

from file_guard import StaleTokenError, write

from leaderd.client import AsyncClient
from leaderd.errors import LeaseLostError


async def work(path: str, token: int) -> None:
    """Count for as long as nobody else may."""
    for number in range(sys.maxsize):
        await asyncio.to_thread(write, path, f"{token} {number}\n".encode(), token)
        await asyncio.sleep(0.05)


async def main(election: str, path: str) -> None:
    """Lead, lose, wait to lead again."""
    client = AsyncClient(election=election)
    while True:
        try:
            async with client.leadership() as term:
                print(f"leading with token {term.token}", flush=True)
                await work(path, term.token)
        except (LeaseLostError, StaleTokenError) as error:
            print(f"not leading any more: {error}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
