"""Calls to workers of a Ray cluster, and bearing with those that die."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mmrank.errors import WorkersError

log = logging.getLogger("mmrank.index.build")

T = TypeVar("T")

TRIES = 2
"""How often a batch is given to a worker before its items are given one by one: the first may have died of its own."""

ASK_AGAIN, LOOK_EVERY = 1.0, 0.05
"""Seconds between questions to a worker that died whether it is back, and between looks for one with time."""


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
        self._suspects = threading.Lock()  # held by the one call whose parts may be deadly
        self._reserved: int | None = None

    def __len__(self) -> int:
        return len(self._actors)

    def each(
        self, method: str, parts: Sequence[T], fail: Callable[[str], Any], *args: Any, **options: Any
    ) -> list[Any]:
        """What the method gives for all of `parts`, one result for each.

        A worker that dies takes all its calls along, whosever fault it was. So the parts of a call that was lost more
        than once are tried one by one, each on a worker that has nothing else to do: one file that no library can read
        takes nothing else along, and what `fail` makes of the reason is the result for that one.
        Raises `WorkersError` when no worker is left.
        """
        for _ in range(TRIES):
            with self._taken() as number:
                done, _ = self._asked(number, method, parts, *args, **options)
            if done is not None:
                return done
        return [self._alone(method, part, fail, *args, **options) for part in parts]

    def _alone(self, method: str, part: Any, fail: Callable[[str], Any], *args: Any, **options: Any) -> Any:
        lost = ""
        for _ in range(TRIES):
            with self._suspects, self._taken(alone=True) as number:
                done, lost = self._asked(number, method, [part], *args, **options)
            if done is not None:
                return done[0]
        return fail(f"{TRIES} workers died over it. {lost}")

    def _asked(
        self, number: int, method: str, parts: Sequence[Any], *args: Any, **options: Any
    ) -> tuple[list[Any] | None, str]:
        """What a worker gives, or None and the reason; it is out of service then."""
        import ray

        try:
            return list(ray.get(getattr(self._actors[number], method).remote(parts, *args, **options))), ""
        except ray.exceptions.RayError as error:
            lost = cause(error)
            log.warning("Ray worker %d was lost with %d items: %s", number, len(parts), lost)
            with self._lock:
                self._lost.setdefault(number, (0.0, None))
            return None, lost

    @contextmanager
    def _taken(self, *, alone: bool = False) -> Iterator[int]:
        """An actor in service, the one with the fewest calls, or one that has no other as long as this lasts."""
        number = self._wait_for(alone=alone)
        try:
            yield number
        finally:
            with self._lock:
                self._busy[number] -= 1
                if alone:
                    self._reserved = None

    def _wait_for(self, *, alone: bool) -> int:
        began = time.monotonic()
        while True:
            with self._lock:
                self._look_for_lost()
                here = [number for number in range(len(self._actors)) if number not in self._lost]
                began = time.monotonic() if here else began
                if alone and self._reserved not in here:
                    self._reserved = min(here, key=self._busy.__getitem__, default=None)
                if alone:
                    free = [number for number in here if number == self._reserved and not self._busy[number]]
                else:
                    free = [number for number in here if number != self._reserved]
                if free:
                    chosen = min(free, key=self._busy.__getitem__)
                    self._busy[chosen] += 1
                    return chosen
            if time.monotonic() - began > self._patience:
                raise WorkersError(
                    f"All {len(self._actors)} Ray workers were lost, and none came back within {self._patience:g} s. "
                    "What is embedded is in the index: run the same command again when the cluster is back."
                )
            time.sleep(LOOK_EVERY)

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
