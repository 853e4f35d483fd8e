"""Every error that leaderd raises on purpose.

    LeaderdError
    ├── ConfigError          the configuration or the command line is wrong; exit 2
    ├── RefusedError         asked for something that cannot be done now; exit 1
    ├── UnreachableError     the daemon or etcd does not answer; exit 4
    ├── LeaseLostError       the session is over; step down, a retry cannot help
    ├── EtcdError            etcd answered with an error, or did not answer in time
    │   └── EtcdRefusedError etcd said no for good (permission, bad request): retrying is no use
    ├── ResourceError        a resource could not be started, stopped or checked
    ├── GuardError           the guard is gone or broke the protocol
    └── InvariantError       a bug in leaderd; the agent stops, the guard cleans up
"""


class LeaderdError(Exception):
    """Root of the tree; its text is one line for people."""


class ConfigError(LeaderdError):
    """The configuration or the command line is wrong.

    Attributes:
        problems: One line each, with the dotted key and the remedy.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class RefusedError(LeaderdError):
    """The request is understood and cannot be granted now."""


class UnreachableError(LeaderdError):
    """Nobody answers at the address that was asked."""


class LeaseLostError(LeaderdError):
    """The session is over; step down."""


class EtcdError(LeaderdError):
    """Etcd answered with an error or not in time; another endpoint or a later try may help."""


class EtcdRefusedError(EtcdError):
    """Etcd said no for good: permission, credentials or a malformed request."""


class ResourceError(LeaderdError):
    """A resource could not be started, stopped or checked."""


class GuardError(LeaderdError):
    """The guard is gone, or a message broke the protocol."""


class InvariantError(LeaderdError):
    """Something that must be true is not; a bug."""
