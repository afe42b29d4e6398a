"""Model files from the Hugging Face hub: the local cache first, then the network, clear words when neither has them."""

from __future__ import annotations

import logging
import socket
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from mmrank.errors import EmbedderError, UsageError


def fetch_file(repo: str, names: Sequence[str], *, revision: str | None, advice: str) -> Path:
    """The first of `names` that the hub repository has, as a local file.

    A cached file is used without asking the hub, so that the same spec keeps giving the same weights and
    works offline; name a revision to get another state. Raises `EmbedderError` with the cause and `advice`,
    `UsageError` for what cannot be the name of a repository.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except HFValidationError as error:
            raise UsageError(
                f"{repo!r} is not the name of a hub repository (ORG/NAME): {_first_line(error)}"
            ) from error
    if (offline := _why_offline()) is not None:
        raise EmbedderError(f"{offline} {advice}")
    for name in names:
        try:
            with quiet("huggingface_hub"):
                return Path(hf_hub_download(repo, name, revision=revision))
        except LocalEntryNotFoundError as error:
            raise EmbedderError(f"The hub does not answer ({error.__cause__ or error}). {advice}") from error
        except EntryNotFoundError:
            continue  # the repository has no file of this name
        except (HfHubHTTPError, OSError) as error:
            raise EmbedderError(f"The hub refused ({_first_line(error)}). {advice}") from error
    where = f"{repo}@{revision}" if revision else repo
    raise EmbedderError(f"The hub repository {where} has none of the files {', '.join(names)}. {advice}")


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


def _why_offline() -> str | None:
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


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
