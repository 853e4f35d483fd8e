from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetStatusRequest(_message.Message):
    __slots__ = ("election",)
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    election: str
    def __init__(self, election: _Optional[str] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("node", "version", "boot_id", "pids", "elections", "warnings")
    NODE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    ELECTIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    node: str
    version: str
    boot_id: str
    pids: Pids
    elections: _containers.RepeatedCompositeFieldContainer[Election]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., version: _Optional[str] = ..., boot_id: _Optional[str] = ..., pids: _Optional[_Union[Pids, _Mapping]] = ..., elections: _Optional[_Iterable[_Union[Election, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchStatusRequest(_message.Message):
    __slots__ = ("election",)
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    election: str
    def __init__(self, election: _Optional[str] = ...) -> None: ...

class WatchStatusResponse(_message.Message):
    __slots__ = ("node", "election")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    node: str
    election: Election
    def __init__(self, node: _Optional[str] = ..., election: _Optional[_Union[Election, _Mapping]] = ...) -> None: ...

class Pids(_message.Message):
    __slots__ = ("guard", "agent")
    GUARD_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    guard: int
    agent: int
    def __init__(self, guard: _Optional[int] = ..., agent: _Optional[int] = ...) -> None: ...

class Election(_message.Message):
    __slots__ = ("name", "state", "reason", "detail", "leader", "token", "lease", "guarantee", "valid_for", "paused", "healthy", "since", "candidates", "nodes", "resources", "blocked", "proven")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_FIELD_NUMBER: _ClassVar[int]
    VALID_FOR_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    HEALTHY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: str
    reason: str
    detail: str
    leader: str
    token: int
    lease: str
    guarantee: str
    valid_for: float
    paused: bool
    healthy: bool
    since: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    blocked: str
    proven: bool
    def __init__(self, name: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., leader: _Optional[str] = ..., token: _Optional[int] = ..., lease: _Optional[str] = ..., guarantee: _Optional[str] = ..., valid_for: _Optional[float] = ..., paused: _Optional[bool] = ..., healthy: _Optional[bool] = ..., since: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., blocked: _Optional[str] = ..., proven: _Optional[bool] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("node", "priority", "revision", "foreign")
    NODE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_FIELD_NUMBER: _ClassVar[int]
    node: str
    priority: int
    revision: int
    foreign: bool
    def __init__(self, node: _Optional[str] = ..., priority: _Optional[int] = ..., revision: _Optional[int] = ..., foreign: _Optional[bool] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("node", "state", "reason")
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node: str
    state: str
    reason: str
    def __init__(self, node: _Optional[str] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("name", "type", "state")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    state: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., state: _Optional[str] = ...) -> None: ...

class SwitchoverRequest(_message.Message):
    __slots__ = ("election", "to")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    election: str
    to: str
    def __init__(self, election: _Optional[str] = ..., to: _Optional[str] = ...) -> None: ...

class SwitchoverResponse(_message.Message):
    __slots__ = ("text", "leader", "token", "gap", "done")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LEADER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    text: str
    leader: str
    token: int
    gap: float
    done: bool
    def __init__(self, text: _Optional[str] = ..., leader: _Optional[str] = ..., token: _Optional[int] = ..., gap: _Optional[float] = ..., done: _Optional[bool] = ...) -> None: ...

class SetStandbyRequest(_message.Message):
    __slots__ = ("election", "node", "standby", "force")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STANDBY_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    election: str
    node: str
    standby: bool
    force: bool
    def __init__(self, election: _Optional[str] = ..., node: _Optional[str] = ..., standby: _Optional[bool] = ..., force: _Optional[bool] = ...) -> None: ...

class SetStandbyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SetPausedRequest(_message.Message):
    __slots__ = ("election", "paused")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    election: str
    paused: bool
    def __init__(self, election: _Optional[str] = ..., paused: _Optional[bool] = ...) -> None: ...

class SetPausedResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetHistoryRequest(_message.Message):
    __slots__ = ("election", "limit")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    election: str
    limit: int
    def __init__(self, election: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class GetHistoryResponse(_message.Message):
    __slots__ = ("terms",)
    TERMS_FIELD_NUMBER: _ClassVar[int]
    terms: _containers.RepeatedCompositeFieldContainer[Term]
    def __init__(self, terms: _Optional[_Iterable[_Union[Term, _Mapping]]] = ...) -> None: ...

class Term(_message.Message):
    __slots__ = ("election", "token", "node", "to", "reason", "gap", "clean")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    election: str
    token: int
    node: str
    to: str
    reason: str
    gap: float
    clean: bool
    def __init__(self, election: _Optional[str] = ..., token: _Optional[int] = ..., node: _Optional[str] = ..., to: _Optional[str] = ..., reason: _Optional[str] = ..., gap: _Optional[float] = ..., clean: _Optional[bool] = ..., **kwargs) -> None: ...

class VerifyTokenRequest(_message.Message):
    __slots__ = ("election", "token")
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    election: str
    token: int
    def __init__(self, election: _Optional[str] = ..., token: _Optional[int] = ...) -> None: ...

class VerifyTokenResponse(_message.Message):
    __slots__ = ("valid", "newest")
    VALID_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    newest: int
    def __init__(self, valid: _Optional[bool] = ..., newest: _Optional[int] = ...) -> None: ...

class RaiseEpochRequest(_message.Message):
    __slots__ = ("election",)
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    election: str
    def __init__(self, election: _Optional[str] = ...) -> None: ...

class RaiseEpochResponse(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("election",)
    ELECTION_FIELD_NUMBER: _ClassVar[int]
    election: str
    def __init__(self, election: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("node", "elections")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ELECTIONS_FIELD_NUMBER: _ClassVar[int]
    node: str
    elections: _containers.RepeatedCompositeFieldContainer[Explanation]
    def __init__(self, node: _Optional[str] = ..., elections: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("name", "promise", "why", "waits", "enforcers", "failure")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROMISE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    ENFORCERS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    name: str
    promise: str
    why: _containers.RepeatedScalarFieldContainer[str]
    waits: _containers.RepeatedScalarFieldContainer[str]
    enforcers: _containers.RepeatedCompositeFieldContainer[Enforcer]
    failure: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., promise: _Optional[str] = ..., why: _Optional[_Iterable[str]] = ..., waits: _Optional[_Iterable[str]] = ..., enforcers: _Optional[_Iterable[_Union[Enforcer, _Mapping]]] = ..., failure: _Optional[_Iterable[str]] = ...) -> None: ...

class Enforcer(_message.Message):
    __slots__ = ("resource", "type", "agent", "kernel", "guard", "alone")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    GUARD_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    resource: str
    type: str
    agent: str
    kernel: str
    guard: str
    alone: str
    def __init__(self, resource: _Optional[str] = ..., type: _Optional[str] = ..., agent: _Optional[str] = ..., kernel: _Optional[str] = ..., guard: _Optional[str] = ..., alone: _Optional[str] = ...) -> None: ...
