"""The network between a node and an etcd member: delay, loss, and cuts of either direction."""

from collections.abc import Callable
from typing import Any

from tests.sim.engine import Engine

RETRANSMIT = 0.2


class Link:
    """One node's way to one member and back."""

    __slots__ = ("_engine", "_held", "_random", "cut_back", "cut_out", "loss", "slow")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._random = engine.rng.random
        self.cut_out = False
        self.cut_back = False
        self.loss = 0.0
        self.slow = 0.0
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def send(self, call: Callable[..., None], *args: Any) -> None:
        """Carry a request to the member."""
        if self.cut_out:
            self._hold(call, args)
        else:
            self._engine.after(self._delay(), call, *args)

    def back(self, call: Callable[..., None], *args: Any) -> None:
        """Carry an answer to the node."""
        if self.cut_back:
            self._hold(call, args)
        else:
            self._engine.after(self._delay(), call, *args)

    def _delay(self) -> float:
        random = self._random
        delay = 0.0005 + 0.004 * random() * random()
        if self.slow:
            delay += self.slow * random()
        if self.loss:
            pause = RETRANSMIT
            while random() < self.loss and pause < 3:
                delay += pause
                pause *= 2
        return delay

    def _hold(self, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        # The kernel retransmits what it has once the cut is over, unless the connection was given up.
        if self._random() < 0.4:
            self._held.append((call, args))

    def cut(self, *, out: bool, back: bool) -> None:
        """Cut the way there, the way back, or both."""
        self.cut_out, self.cut_back = out, back

    def heal(self) -> None:
        """End every fault; what was held arrives late."""
        self.cut_out = self.cut_back = False
        self.loss = self.slow = 0.0
        held, self._held = self._held, []
        for call, args in held:
            self._engine.after(self._engine.uniform(0.001, 0.3), call, *args)
