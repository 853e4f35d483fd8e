"""What may stand in the configuration, piece by piece; INTERFACES: Configuration.

Each table has a model of its own and is checked by itself, so that one bad key hides no other.
A key that is accepted and has no effect would be a promise that is not kept.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from leaderd.core.lease import MAX_TTL

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
NAME_RULE = "must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit"
ROOT = r"^(/[A-Za-z0-9._-]+)+$"
# Source: `dev_valid_name` in net/core/dev.c; a colon would be an alias of old.
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*\Z")
_NOT_IN_INTERFACE = re.compile(r"[\s/:\0]|[^\x21-\x7e]")
SUPPORTED_TYPES = ("script", "vip", "process", "mount", "systemd", "ocf")


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _url(value: str, remedy: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is no URL ({error}); {remedy}") from error
    if any(char.isspace() or not char.isprintable() for char in value):
        raise ValueError(f"has a blank or control character in it; {remedy}")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"is no URL that anybody answers at; {remedy}")
    return parts


def _endpoint(value: str) -> str:
    remedy = "write it as http://HOST:PORT or https://HOST:PORT"
    parts = _url(value, remedy)
    if not parts.port:
        raise ValueError(f"has no port; {remedy} (etcd's own is 2379)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user in it; use user and password_file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"has something behind the port; {remedy}")
    return f"{parts.scheme}://{parts.netloc}"


def _host_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("is no HOST:PORT")
    return value


def _listener(value: str) -> str:
    """Check where to listen: "" for nowhere; IPv6 in brackets, so that its colons are not the port's."""
    if not value:
        return value
    remedy = 'write HOST:PORT, as 127.0.0.1:4040 or [::1]:4040, or "" for off; 0.0.0.0 is all of IPv4'
    host, _, port = value.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise ValueError(f"has no port between 1 and 65535; {remedy}")
    bare = host[1:-1] if (bracketed := host.startswith("[") and host.endswith("]")) else host
    try:
        six = ip_address(bare).version == 6
    except ValueError:
        six = False
        if bracketed or not _HOST.match(host):
            raise ValueError(f"has no host before its port; {remedy}") from None
    if six != bracketed:
        raise ValueError(f"must have brackets around IPv6 and around nothing else; {remedy}")
    return value


def _page(value: str) -> str:
    if not _url(value, "write it as http://HOST[:PORT]/PATH").geturl().isascii():
        raise ValueError("must be of ASCII characters; write others as %XX")
    return value


def _address(value: str) -> str:
    remedy = "write an address with its prefix length, as 10.0.0.1/24 or 2001:db8::1/64"
    try:
        address = ip_interface(value)
    except ValueError as error:
        raise ValueError(f"is no address; {remedy}") from error
    if "/" not in value or "%" in value:
        raise ValueError(f"has {'a zone' if '%' in value else 'no prefix length'}; {remedy}")
    ip, network = address.ip, address.network
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback or ip == IPv4Address("255.255.255.255"):
        raise ValueError("is no address that one host alone can hold")
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped:
        raise ValueError(f"is an IPv4 address in IPv6; {remedy}")
    if ip.version == 4 and network.prefixlen < 31 and ip in (network[0], network[-1]):
        raise ValueError(f"is the network itself or its broadcast address; {remedy}")
    if network.prefixlen == 0:
        raise ValueError("would make every address a neighbour; give the prefix length of its network")
    return str(address)


def _interface(value: str) -> str:
    if not 1 <= len(value.encode()) <= 15 or value in (".", "..") or _NOT_IN_INTERFACE.search(value):
        raise ValueError("is no name of an interface: 1 to 15 characters without blanks, / and :")
    return value


Text = Annotated[str, AfterValidator(_text)]
Path = Annotated[str, Field(min_length=1), AfterValidator(_text)]
Name = Annotated[str, Field(pattern=NAME)]
# A day: longer than anything here may sensibly take, and far below where clocks and timers overflow.
Seconds = Annotated[float, Field(gt=0, le=86400)]
Count = Annotated[int, Field(ge=1, le=1000)]
Restarts = Annotated[int, Field(ge=0, le=1000)]
Command = Annotated[list[Text], Field(min_length=1)]
VipAddress = Annotated[str, AfterValidator(_address)]
FenceStep = Literal["kill", "watchdog", "reboot", "command"]


class Table(BaseModel):
    """A TOML table: its types are taken at their word, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Daemon(Table):
    """The top of the file, without its sub-tables."""

    node: Name | None = None
    root: Annotated[str, Field(pattern=ROOT)] = "/leaderd"
    state_dir: Path | None = None
    log: Literal["auto", "text", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Etcd(Table):
    """`[etcd]`."""

    # No default: two nodes that each found an etcd of their own on loopback would both lead.
    endpoints: Annotated[
        list[Annotated[str, AfterValidator(_endpoint)]],
        Field(min_length=1, description="list the URLs of etcd's members, or give --endpoint"),
    ]
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    user: Annotated[Text, Field(min_length=1)] | None = None
    password_file: Path | None = None


class Api(Table):
    """`[api]`."""

    socket: Path | None = None
    socket_group: Text = ""
    http: Annotated[str, AfterValidator(_listener)] = "127.0.0.1:4040"


class Notify(Table):
    """`[election.notify]`."""

    command: Command
    timeout: Seconds = 5.0


class Check(Table):
    """`[election.check]`."""

    command: Command
    interval: Seconds = 2.0
    timeout: Seconds = 1.0
    rise: Count = 2
    fall: Count = 3


class Budget(Table):
    """The time budget within `[[election]]`. None stands for a scaled default."""

    ttl: Annotated[int, Field(ge=2, le=MAX_TTL)] = 10
    retry_period: Seconds | None = None
    attempt_timeout: Seconds | None = None
    hedge_after: Seconds | None = None
    stop_timeout: Seconds | None = None
    kill_time: Seconds | None = None
    start_timeout: Seconds = 30.0
    margin: Seconds = 0.3
    clock_drift: Annotated[float, Field(ge=0, lt=0.5)] = 0.10


class Election(Budget):
    """`[[election]]`, without its resources and sub-tables."""

    name: Name
    guarantee: Literal["at-most-one", "at-least-one"] = "at-most-one"
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    preempt: bool = False
    preempt_delay: Seconds = 60.0
    fence: Annotated[list[FenceStep], Field(min_length=1)] = ["kill"]
    fence_command: list[Text] = []
    watchdog_device: Path = "/dev/watchdog"


class Script(Table):
    """`[[election.resource]]` of type script."""

    name: Name
    type: Literal["script"]
    command: Command | None = None
    start: Command | None = None
    stop: Command | None = None
    monitor: Command | None = None
    monitor_interval: Seconds | None = None
    contain: bool = False
    restart: Restarts = 0


class Ready(Table):
    """`ready` of a process: at most one of the questions, and for how long it is asked."""

    tcp: Annotated[str, AfterValidator(_host_port)] | None = None
    http: Annotated[str, AfterValidator(_page)] | None = None
    command: Command | None = None
    exits: bool = False
    timeout: Seconds = 10.0


class Process(Table):
    """`[[election.resource]]` of type process, without its `ready`."""

    name: Name
    type: Literal["process"]
    command: Command
    contain: bool = True
    restart: Restarts = 0


class Vip(Table):
    """`[[election.resource]]` of type vip."""

    name: Name
    type: Literal["vip"]
    address: VipAddress | None = None
    addresses: Annotated[list[VipAddress], Field(min_length=1)] | None = None
    interface: Annotated[
        str, AfterValidator(_interface), Field(description="name the interface that is to have the address")
    ]
    on_conflict: Literal["refuse", "take"] = "refuse"
    # Below a second the announcements alone would be a load.
    announce_interval: Annotated[float, Field(ge=1, le=86400)] = 60.0
