"""Trying again what a store could not do at this moment."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from mmrank.errors import MediaError, UsageError
from mmrank.media.uri import printable

T = TypeVar("T")

ATTEMPTS = 4
"""Of every request: with the pauses between them 3.5 s in which a store may recover, beside its time-outs."""

FIRST_PAUSE = 0.5
"""Seconds before the second attempt, doubled each time, and varied by half, lest all workers come back at once."""

TIMEOUT = 30.0
"""Seconds in which a store must connect, and in which it must send something."""

TIMEOUT_VARIABLE = "MMRANK_REMOTE_TIMEOUT"
"""Another `TIMEOUT`, in the environment."""


class TransientError(Exception):
    """A store cannot do it now: a time-out, a broken connection, a short answer, "slow down", an error of its own."""


def persistently(uri: str, call: Callable[[], T]) -> T:
    """Run `call`; on `TransientError` wait and run it again. Raises `MediaError` when it fails every time."""
    pause = FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call()
        except TransientError as error:
            if attempt == ATTEMPTS:
                raise MediaError(
                    f"{printable(uri)} cannot be read: {error}, {ATTEMPTS} times in a row. Run it again later."
                ) from error
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause *= 2
    raise AssertionError("unreachable")


def seconds_to_wait() -> float:
    """`TIMEOUT`, or what the environment says. Raises `UsageError` when that is no number above 0."""
    text = os.environ.get(TIMEOUT_VARIABLE, "")
    if not text:
        return TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{TIMEOUT_VARIABLE} is {text!r}; it must be a number of seconds above 0, such as 30.")
    return seconds
