"""What somebody does to the socket or the port of HTTP, as a program of its own: give its name and either.

Prints a line when it has begun in earnest; goes on until its standard input ends, or is over by itself.
"""

import asyncio
import json
import os
import random
import resource
import socket
import sys
from contextlib import suppress

# As the daemon's other clients have it, and faster.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "upb"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def begun(text: str) -> None:
    """Say so."""
    print(text, flush=True)


def connection(path: str) -> socket.socket:
    """Connect; the other end may close at any time."""
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(5)
    one.connect(path)
    return one


def noise(path: str) -> None:
    """Random bytes, bare and behind the greeting of HTTP/2, whole and cut off."""
    dice = random.Random(7)
    begun("noise")
    for number in range(300):
        with suppress(OSError), connection(path) as one:
            one.sendall((_PREFACE if number % 2 else b"") + dice.randbytes(dice.randrange(1, 20_000)))
            if number % 3 == 0:
                one.recv(100)


def crowd(path: str) -> None:
    """More connections than the daemon has descriptors, all of them kept open."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = []
    for _ in range(1500):
        with suppress(OSError):
            held.append(connection(path))
            held[-1].sendall(_PREFACE)
    begun(f"{len(held)} connections")
    sys.stdin.read()


async def huge(path: str) -> None:
    """Requests of 3 MB, headers of 1 MB, names of 10 kB, methods that there are not: each gets an error."""
    import grpc

    codes = set()
    options = [("grpc.max_metadata_size", 4 << 20)]
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
        for method, body, headers in (
            ("GetStatus", b"\n" + b"\x80\x80\xc0\x01" + b"x" * (3 << 20), ()),
            ("GetStatus", b"", (("x-huge", "y" * (1 << 20)),)),
            ("GetStatus", b"\n\x90\x4e" + b"x" * 10_000, ()),
            ("SetPaused", b"\xff" * 100, ()),
            ("WatchStatus", b"\n\x01\xff", ()),
            ("NoSuchThing", b"", ()),
        ) * 5:
            call = channel.unary_unary(f"/leaderd.v1.Leaderd/{method}")
            try:
                await call(body, timeout=5, metadata=headers)
            except grpc.aio.AioRpcError as error:
                codes.add(error.code().name)
    begun(" ".join(sorted(codes)))


async def watchers(path: str, count: int = 1000, connections: int = 20) -> None:
    """Watch a thousand times over; a line for each change that all of them have heard of."""
    import grpc

    from leaderd.api.pb import leaderd_pb2 as pb
    from leaderd.api.pb.leaderd_pb2_grpc import LeaderdStub

    alone = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"unix:{path}", options=alone) for _ in range(connections)]
    stubs = [LeaderdStub(channel) for channel in channels]
    calls = [stubs[number % connections].WatchStatus(pb.WatchStatusRequest()) for number in range(count)]
    for call in calls:
        await call.read()
    begun("watching")
    while True:
        heard = await asyncio.gather(*(call.read() for call in calls))
        begun(str({len(each.election.candidates) for each in heard}))


async def streams(port: str, count: int = 1000) -> None:
    """Read a thousand event streams; a line for each change that all of them have told of."""
    readers = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        writer.write(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n")
        readers.append((reader, writer))

    async def candidates(reader: asyncio.StreamReader) -> int:
        while not (line := await reader.readline()).startswith(b"data: "):
            assert line, "the stream has ended"
        return len(json.loads(line[6:])["candidates"])

    await asyncio.gather(*(candidates(reader) for reader, _ in readers))
    begun("watching")
    while True:
        begun(str(set(await asyncio.gather(*(candidates(reader) for reader, _ in readers)))))


async def deaf(path: str) -> None:
    """Watch five hundred times over, and never read."""
    import grpc

    from leaderd.api.pb import leaderd_pb2 as pb
    from leaderd.api.pb.leaderd_pb2_grpc import LeaderdStub

    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        calls = [LeaderdStub(channel).WatchStatus(pb.WatchStatusRequest()) for _ in range(500)]
        for call in calls:
            await call.read()
        begun("deaf")
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    job = {"noise": noise, "crowd": crowd, "huge": huge, "watchers": watchers, "streams": streams,
           "deaf": deaf}[sys.argv[1]]
    work = job(sys.argv[2])
    if asyncio.iscoroutine(work):
        asyncio.run(work)
