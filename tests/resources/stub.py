"""An agent to be killed: starts one script resource, says what happened, and lives until told.

Run as `stub.py DIRECTORY HOOK CONTAIN`; prints one JSON object a line; a line on standard input
names what to do next: stop, or states.
"""

import asyncio
import json
import sys
from pathlib import Path

from tests.resources.conftest import Rig, script


def say(**fields: object) -> None:
    print(json.dumps(fields, default=str), flush=True)


async def main(directory: str, hook: str, contain: str) -> None:
    rig = Rig(Path(directory))
    rig.log = lambda level, event, **fields: say(level=level, event=event, **fields)
    group = rig.build(script("x", (hook,), contain=contain == "1", monitor_interval=0.2))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    rig.begin_start()

    async def tell() -> None:
        while True:
            event = await rig.events.get()
            say(posted=type(event).__name__, detail=getattr(event, "detail", ""))

    telling = asyncio.create_task(tell())
    while line := await commands.readline():
        if line.strip() == b"stop":
            rig.begin_stop()
        else:
            say(states=group.states(), commands=[command.argv for command in group.stop_commands()])
    telling.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
