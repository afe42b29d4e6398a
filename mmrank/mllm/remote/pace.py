"""How fast a server has been, from the calls of this process."""

from __future__ import annotations

import threading

from mmrank.mllm.base import Speed
from mmrank.types import Cost

ENOUGH = 4
"""Calls below which no speed is given."""


class Pace:
    """Fits seconds = tokens read / read + tokens written / write over all calls, by least squares; thread-safe.

    >>> pace = Pace()
    >>> for tokens_in, tokens_out in ((1000, 1), (2000, 1), (1000, 100), (3000, 50)):
    ...     pace.note(Cost(tokens_in=tokens_in, tokens_out=tokens_out, seconds=tokens_in / 1000 + tokens_out / 50))
    >>> speed = pace.speed()
    >>> round(speed.read), round(speed.write)
    (1000, 50)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._ii = self._io = self._oo = self._is = self._os = 0.0

    def note(self, cost: Cost) -> None:
        """Remember a call that worked; calls whose tokens the server did not count say nothing."""
        if not cost.tokens_in or not cost.seconds:
            return
        tokens_in, tokens_out, seconds = float(cost.tokens_in), float(cost.tokens_out), cost.seconds
        with self._lock:
            self._calls += 1
            self._ii += tokens_in * tokens_in
            self._io += tokens_in * tokens_out
            self._oo += tokens_out * tokens_out
            self._is += tokens_in * seconds
            self._os += tokens_out * seconds

    def speed(self) -> Speed | None:
        """Tokens a second as a caller sees them, with other calls running beside; None while they cannot be told."""
        with self._lock:
            determinant = self._ii * self._oo - self._io * self._io
            if self._calls < ENOUGH or determinant <= 1e-6 * self._ii * self._oo:
                return None
            read = (self._is * self._oo - self._os * self._io) / determinant
            write = (self._os * self._ii - self._is * self._io) / determinant
        return Speed(read=1 / read, write=1 / write) if read > 0 and write > 0 else None
