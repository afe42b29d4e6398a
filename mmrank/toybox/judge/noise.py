"""How the judge errs and fails, on purpose and repeatably: the same request errs the same way every time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

from mmrank.toybox.errors import ToyboxError

Fault: TypeAlias = Literal["timeout", "server_error"]

_SHARES = ("malformed", "timeout", "server_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What is wrong with the judge; by default nothing.

    Attributes:
        swap: scale of Gumbel noise on every candidate's worth (0 to 1), so that orders are draws of a Plackett-Luce
            model: at 0.1 a near-duplicate comes before the answer once in fifty times, at 0.3 once in four.
        position_bias: worth added to the first slot shown, falling evenly to none at the last.
        malformed: share of answers that cannot be used whole: no answer, one label again and again, labels that do
            not exist, a few labels only.
        think: answers begin with a think block that names labels in the wrong order.
        delay: seconds before every answer.
        timeout: share of requests that are held for `hold` seconds and then dropped without an answer.
        hold: seconds.
        server_error: share of requests answered with HTTP 500 or 503. A repeated request is drawn anew.
        refuse_logprobs: requests for log-probabilities are refused, as some servers do.
        seed: another seed, other errors.
    """

    swap: float = 0.0
    position_bias: float = 0.0
    malformed: float = 0.0
    think: bool = False
    delay: float = 0.0
    timeout: float = 0.0
    hold: float = 5.0
    server_error: float = 0.0
    refuse_logprobs: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ToyboxError(f"{name} is {getattr(self, name)}; it is a share of requests, from 0 to 1")
        for name in ("swap", "position_bias", "delay", "hold"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ToyboxError(f"{name} is {getattr(self, name)}; give a number from 0 on")

    def chance(self, content: bytes, purpose: str, repeat: int = 0) -> Random:
        """The dice for one purpose and request; `repeat`: how often this request came before, where that matters."""
        return Random(f"{self.seed}/{purpose}/{repeat}/{content.hex()}")

    def felt(self, worth: Sequence[float], content: bytes) -> tuple[float, ...]:
        """What the judge takes the candidates to be worth, in the order they are shown.

        Example:
            >>> Noise(position_bias=0.2).felt([0.5, 0.5, 0.5], b"request")
            (0.7, 0.6, 0.5)
        """
        dice = self.chance(content, "order")
        last = max(1, len(worth) - 1)
        return tuple(
            value + self.swap * _gumbel(dice) + self.position_bias * (1 - place / last)
            for place, value in enumerate(worth)
        )

    def fault(self, content: bytes, repeat: int) -> Fault | None:
        """Whether a request fails, and how."""
        drawn = self.chance(content, "fault", repeat).random()
        if drawn < self.timeout:
            return "timeout"
        return "server_error" if drawn < self.timeout + self.server_error else None

    def spoils(self, content: bytes) -> bool:
        """Whether the answer to a request is malformed."""
        return self.chance(content, "malformed").random() < self.malformed


def _gumbel(dice: Random) -> float:
    return -math.log(-math.log(min(1 - 1e-12, max(1e-12, dice.random()))))
