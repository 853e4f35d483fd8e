"""Turns file, environment and command line into the checked plan, or says everything that is wrong."""

import grp
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderd.config import model
from leaderd.config.elections import election_plan, list_of_tables, prefixes
from leaderd.config.explain import Report, show
from leaderd.config.kinds import check_one_each
from leaderd.config.overrides import QUICK, SETTINGS, given, lay_over
from leaderd.config.paths import MAX_SOCKET_PATH, default_socket, default_state_dir
from leaderd.config.quick import PREFIX, quick_election
from leaderd.config.source import Source
from leaderd.config.vip import check_distinct
from leaderd.errors import ConfigError
from leaderd.plan import ApiPlan, ElectionPlan, EtcdPlan, Plan

_FILES = ("ca_file", "cert_file", "key_file", "password_file")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the defaults depend on.

    Attributes:
        environ: The environment.
        uid: Effective user id.
        hostname: As the kernel has it.
        terminal: Whether the log goes to a terminal.
    """

    environ: Mapping[str, str]
    uid: int
    hostname: str
    terminal: bool


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked plan, and what is allowed in it but may surprise."""

    plan: Plan
    warnings: tuple[str, ...]


def load(source: Source, options: Mapping[str, Any], machine: Machine) -> Loaded:
    """Check everything and fill in every default.

    Args:
        source: The tables of the file.
        options: Options of the command line by their names with underscores; None is not given.
        machine: What the defaults depend on.

    Raises:
        ConfigError: With every problem found, a line each.
    """
    report = Report()
    tables = lay_over(source.tables, given(SETTINGS, options, machine.environ, report), report)
    quick = given(QUICK, options, machine.environ, report)
    loading = _Loading(report, machine, source.directory)
    top = {key: value for key, value in tables.items() if key not in ("etcd", "api", "election")}
    daemon = report.checked(model.Daemon, top, "")
    etcd = loading.etcd(_table(tables, "etcd", report))
    elections = loading.elections(tables, quick)
    node = loading.node(daemon)
    api = loading.api(_table(tables, "api", report))
    if report.problems or not (daemon and etcd and api):
        raise ConfigError(report.problems)
    plan = Plan(
        node=node,
        root=daemon.root,
        state_dir=loading.absolute(daemon.state_dir)
        if daemon.state_dir
        else default_state_dir(machine.environ, machine.uid, node),
        log=("text" if machine.terminal else "json") if daemon.log == "auto" else daemon.log,
        log_level=daemon.log_level,
        etcd=etcd,
        api=api,
        elections=elections,
    )
    return Loaded(plan, tuple(report.warnings))


def _table(tables: Mapping[str, Any], key: str, report: Report) -> Mapping[str, Any]:
    raw = tables.get(key, {})
    if isinstance(raw, dict):
        return raw
    report.problem(key, f"must be a table, written [{key}], not {show(raw)}")
    return {}


def _group_exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


class _Loading:
    """The parts of one `load`, which share where problems go and what paths count from."""

    def __init__(self, report: Report, machine: Machine, directory: str) -> None:
        self._report = report
        self._machine = machine
        self._directory = directory

    def absolute(self, path: str) -> str:
        """Return a path of the file as an absolute one; those of options are so already."""
        return os.path.abspath(os.path.join(self._directory, path))

    def node(self, daemon: model.Daemon | None) -> str:
        """Return the node's name: as given, else the host's."""
        if daemon is None or daemon.node is not None:
            return daemon.node if daemon and daemon.node else ""
        name = self._machine.hostname.lower()
        if not re.fullmatch(model.NAME, name):
            self._report.problem("node", f"set it; the host name {show(name)} will not do: {model.NAME_RULE}")
        return name

    def etcd(self, raw: Mapping[str, Any]) -> EtcdPlan | None:
        """Return how to reach etcd."""
        table = self._report.checked(model.Etcd, raw, "etcd")
        if table is None:
            return None
        endpoints = table.endpoints
        for number, endpoint in enumerate(endpoints):
            if endpoint in endpoints[:number]:
                self._report.problem(f"etcd.endpoints[{number}]", f"{endpoint} stands there twice")
        self._check_tls(table, {endpoint.partition(":")[0] for endpoint in endpoints})
        files = {name: self._readable(name, getattr(table, name)) for name in _FILES}
        return EtcdPlan(endpoints=tuple(endpoints), user=table.user or "", **files)

    def _check_tls(self, table: model.Etcd, schemes: set[str]) -> None:
        for one, other in (("cert_file", "key_file"), ("user", "password_file")):
            for have, lack in ((one, other), (other, one)):
                if getattr(table, have) is not None and getattr(table, lack) is None:
                    self._report.problem(f"etcd.{lack}", f"is missing: {have} is of no use without it")
        if "https" not in schemes:
            for name in ("ca_file", "cert_file", "key_file"):
                if getattr(table, name) is not None:
                    self._report.problem(f"etcd.{name}", "has no effect: no endpoint begins with https://")
        if table.user is not None and "http" in schemes:
            self._report.warning("etcd.user", "an http:// endpoint gets the password in clear")

    def _readable(self, name: str, path: str | None) -> str:
        if path is None:
            return ""
        path = self.absolute(path)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                self._report.problem(f"etcd.{name}", f"{show(path)} is not a file")
                return path
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            self._report.problem(f"etcd.{name}", f"{show(path)} cannot be read: {error.strerror}")
        return path

    def api(self, raw: Mapping[str, Any]) -> ApiPlan | None:
        """Return where the daemon listens."""
        table = self._report.checked(model.Api, raw, "api")
        if table is None:
            return None
        path = (
            self.absolute(table.socket)
            if table.socket
            else default_socket(self._machine.environ, self._machine.uid)
        )
        if table.socket_group and not _group_exists(table.socket_group):
            self._report.problem("api.socket_group", f"{show(table.socket_group)} is no group here")
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            self._report.problem("api.socket", f"{show(path)} is longer than {MAX_SOCKET_PATH} bytes")
        return ApiPlan(path, table.socket_group, table.http)

    def elections(self, tables: Mapping[str, Any], quick: Mapping[str, Any]) -> tuple[ElectionPlan, ...]:
        """Return the plans of the file's elections, or of the one that the quick options make."""
        found = list_of_tables(tables.get("election", []), "election", self._report)
        names = prefixes("election", found, self._report)
        if quick and found:
            origins = ", ".join(value.origin for value in quick.values())
            self._report.problem(origins, "cannot be used with a file that has [[election]] in it")
        elif quick:
            if table := quick_election(quick, self._report):
                found, names = [table], [PREFIX]
        elif not tables.get("election"):
            self._report.problem("election", "is missing: write [[election]] in a file, or give --election")
        plans = [
            (name, plan) for raw, name in zip(found, names, strict=True)
            if (plan := election_plan(raw, name, self.absolute, self._report))
        ]
        check_distinct(plans, self._report)
        check_one_each(plans, self._report)
        return tuple(plan for _, plan in plans)
