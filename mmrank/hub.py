"""What every use of the Hugging Face hub shares: silence, and knowing at once that it cannot be reached."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Silence the named loggers below CRITICAL, and keep the root logger as it is.

    open_clip logs through the root logger, whose first use installs a handler for the whole program;
    a handler that does nothing, there for the moment, keeps that from happening.
    """
    root, nothing = logging.getLogger(), logging.NullHandler()
    levels = [(logger, logger.level) for logger in map(logging.getLogger, loggers)]
    root.addHandler(nothing)
    for logger, _ in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
        root.removeHandler(nothing)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Loading without transformers' progress bars and warnings: what matters of them is raised as an error."""
    from transformers.utils import logging as theirs

    bars, level = theirs.is_progress_bar_enabled(), theirs.get_verbosity()
    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if bars:
            theirs.enable_progress_bar()


def why_offline() -> str | None:
    """Why it is no use to ask the hub; None when it may answer.

    Without a network the hub's client retries for 23 seconds; a name that does not resolve says it at once.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set and the files are not in the local cache."
    if urllib.request.getproxies():
        return None
    host = urlsplit(constants.ENDPOINT).hostname or ""
    try:
        socket.getaddrinfo(host, 443)
    except OSError as error:
        return f"{host} cannot be reached ({error.strerror or error})."
    return None


def first_line(error: BaseException) -> str:
    """What an error says, in one line.

    >>> first_line(ValueError("one\\ntwo")), first_line(KeyError())
    ('one', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
