"""Where etcd is and how to prove who we are: the plan's URLs and files, read and checked."""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from leaderd.errors import ConfigError
from leaderd.plan import EtcdPlan


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint: its URL, and the `host:port` in it."""

    url: str
    target: str
    secure: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What is needed to talk to etcd; empty where it is not used.

    Attributes:
        addresses: The endpoints, each once; at least one.
        ca: PEM text of the authority that etcd's certificates must be signed by.
        cert: PEM text of our certificate.
        key: PEM text of its key.
        user: User name.
        password: Its password.
    """

    addresses: tuple[Address, ...]
    ca: bytes = b""
    cert: bytes = b""
    key: bytes = field(default=b"", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)


def read_access(plan: EtcdPlan) -> Access:
    """Read the files that a plan names.

    Raises:
        ConfigError: All that is wrong at once: endpoints that are no URLs, files that cannot be
            read or are not what they should be.
    """
    problems: list[str] = []
    addresses = tuple(
        address for url in dict.fromkeys(plan.endpoints) if (address := _address(url, problems))
    )
    if not plan.endpoints:
        problems.append("etcd.endpoints: at least one is needed")
    access = Access(
        addresses,
        _pem("ca_file", plan.ca_file, problems),
        _pem("cert_file", plan.cert_file, problems),
        _pem("key_file", plan.key_file, problems),
        plan.user,
        _read("password_file", plan.password_file, problems).decode(errors="replace").strip("\r\n"),
    )
    if problems:
        raise ConfigError(problems)
    return access


def files_of(plan: EtcdPlan) -> tuple[tuple[int, ...], ...]:
    """Return what changes when one of a plan's files is replaced or written to.

    Raises:
        OSError: One is not there.
    """
    paths = filter(None, (plan.ca_file, plan.cert_file, plan.key_file, plan.password_file))
    found = [os.stat(path) for path in paths]
    return tuple((each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for each in found)


def check_tls(plan: EtcdPlan) -> None:
    """Make sure that certificate and key are whole and belong together, and that there is an authority.

    Raises:
        ConfigError: They do not; gRPC would fail every connection without saying why.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    key, what = "cert_file", plan.cert_file
    try:
        if plan.cert_file:
            # Asks nobody for the password of a key: gRPC could not use one either.
            context.load_cert_chain(plan.cert_file, plan.key_file or None, password="")
        key, what = "ca_file", plan.ca_file
        if plan.ca_file:
            context.load_verify_locations(plan.ca_file)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError([f"etcd.{key}: {what} cannot be used: {error}"]) from error


_EXAMPLE: Final = "https://10.0.0.1:2379"


def _address(url: str, problems: list[str]) -> Address | None:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return Address(url, f"{host}:{parts.port}", parts.scheme == "https")
    except ValueError:
        # A port that is no number, or brackets that do not match: the same remedy.
        pass
    problems.append(f"etcd.endpoints: {url!r} is not a URL like {_EXAMPLE}")
    return None


def _pem(name: str, path: str, problems: list[str]) -> bytes:
    data = _read(name, path, problems)
    # gRPC takes anything here and then fails every connection without saying why.
    if data and b"-----BEGIN " not in data:
        problems.append(f"etcd.{name}: {path} holds no PEM text (-----BEGIN …)")
    return data


def _read(name: str, path: str, problems: list[str]) -> bytes:
    try:
        return Path(path).read_bytes() if path else b""
    except OSError as error:
        problems.append(f"etcd.{name}: cannot read {path}: {error.strerror}")
        return b""
