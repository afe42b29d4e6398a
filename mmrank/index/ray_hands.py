"""Calls to workers of a Ray cluster, and bearing with those that die."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mmrank.errors import WorkersError

log = logging.getLogger("mmrank.index.build")

T = TypeVar("T")

TRIES = 2
"""How often a batch is given to a worker before its items are given one by one: the first may have died of its own."""

ASK_AGAIN = 1.0
"""Seconds between questions to a worker that died whether it is back."""


class Hands:
    """The actors of a build. A call goes to the one in service with the fewest; used from several threads.

    An actor whose call failed is out of service until it answers: Ray starts it anew wherever there is room.
    `patience`: seconds to wait while none is in service.
    """

    def __init__(self, actors: Sequence[Any], patience: float) -> None:
        self._actors = actors
        self._patience = patience
        self._busy = [0] * len(actors)
        self._lost: dict[int, tuple[float, Any]] = {}  # when it was asked last, and the answer to come
        self._lock = threading.Lock()

    def each(
        self, method: str, parts: Sequence[T], fail: Callable[[str], Any], *args: Any, **options: Any
    ) -> list[Any]:
        """What the method gives for all of `parts`, one result for each.

        Where workers die of them every part is tried alone, so that one file no library can read takes nothing else
        along; what `fail` makes of the reason is the result for that one. Raises `WorkersError` when no worker is left.
        """
        import ray

        lost = None
        for left in reversed(range(TRIES)):
            number = self._take()
            try:
                return list(ray.get(getattr(self._actors[number], method).remote(parts, *args, **options)))
            except ray.exceptions.RayError as error:
                lost = cause(error)
                log.warning("Ray worker %d was lost with %d items, %d tries left: %s", number, len(parts), left, lost)
                with self._lock:
                    self._lost.setdefault(number, (0.0, None))
            finally:
                with self._lock:
                    self._busy[number] -= 1
        if len(parts) == 1:
            return [fail(f"{TRIES} workers died over it. {lost}")]
        return [one for part in parts for one in self.each(method, [part], fail, *args, **options)]

    def _take(self) -> int:
        """The actor in service with the fewest calls; waits for one."""
        began = time.monotonic()
        while True:
            with self._lock:
                self._look_for_lost()
                here = [number for number in range(len(self._actors)) if number not in self._lost]
                if here:
                    chosen = min(here, key=self._busy.__getitem__)
                    self._busy[chosen] += 1
                    return chosen
            if time.monotonic() - began > self._patience:
                raise WorkersError(
                    f"All {len(self._actors)} Ray workers were lost, and none came back within {self._patience:g} s. "
                    "What is embedded is in the index: run the same command again when the cluster is back."
                )
            time.sleep(ASK_AGAIN / 4)

    def _look_for_lost(self) -> None:
        """Take those back into service that answer again."""
        import ray

        for number, (asked, answer) in list(self._lost.items()):
            if answer is not None:
                if not ray.wait([answer], timeout=0)[0]:
                    continue
                try:
                    ray.get(answer)
                    del self._lost[number]
                except ray.exceptions.RayError:
                    self._lost[number] = asked, None
            elif time.monotonic() - asked >= ASK_AGAIN:
                self._lost[number] = time.monotonic(), self._actors[number].introduce.remote()


def cause(error: BaseException) -> str:
    """The line of Ray's long report that says most: its last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
