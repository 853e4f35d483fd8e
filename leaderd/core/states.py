"""States of an election on one node. The table of transitions stands here too."""

from enum import Enum


class State(Enum):
    """The words of INTERFACES.md §4."""

    STANDBY = "standby"
    CANDIDATE = "candidate"
    PROMOTING = "promoting"
    LEADER = "leader"
    DEMOTING = "demoting"
    FENCED = "fenced"
