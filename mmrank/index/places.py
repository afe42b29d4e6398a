"""Where an index lies: a folder of this machine or a prefix in an object store, and what can go wrong there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrank.errors import IndexStoreError, NoIndexError
from mmrank.index.filters import LANCE_ERRORS
from mmrank.index.schema import FAILURES, FRAMES, ITEMS, SETTINGS, THUMBNAILS, TOKENS
from mmrank.media.remote_tries import TIMEOUT_VARIABLE, seconds_to_wait

StorageOptions = Mapping[str, str]
"""What LanceDB hands on to the object store: ``aws_endpoint``, ``aws_region``, ``aws_access_key_id``, ``timeout``..."""

_FOLDERS = frozenset(f"{name}.lance" for name in (ITEMS, THUMBNAILS, FRAMES, FAILURES, SETTINGS, TOKENS))

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""The variables that name an S3 endpoint; the first is the one that the AWS tools prefer and LanceDB does not know."""

_TROUBLES = (
    (("NoSuchBucket", "BucketNotFound"), "there is no bucket {bucket!r}. Make it first, or mend its name."),
    (
        (
            "AccessDenied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "PermissionDenied",
            "status: 403",
            "status: 401",
        ),
        "the store denies it. Check the credentials in the environment, and that they may list, read and write there.",
    ),
    (
        ("CredentialsNotLoaded", "no providers in chain", "credential provider", "InvalidCredentials"),
        "there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE).",
    ),
    (("kind: Connect", "dns error", "error trying to connect"), "the store cannot be reached; is its address right?"),
    (("kind: Timeout", "TimedOut", "operation timed out"), "the store did not answer in time. Try again later."),
)
"""What LanceDB's errors hold, and what that means: it has one type for all of them, so the text is all there is."""

_CODE = re.compile(r"<Code>(\w+)</Code>|status: (\d{3})")


def place_of(uri: str | Path) -> str:
    """The uri as LanceDB takes it: a local folder made absolute, ``~`` expanded; an address without a slash at its end.

    >>> place_of("s3://bucket/photos.index/")
    's3://bucket/photos.index'
    """
    text = str(uri)
    if not text.strip():
        raise IndexStoreError("The uri of the index is empty; give a folder, or something like s3://bucket/index.")
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    scheme, _, rest = text.partition("://")
    return f"{scheme}://{rest.rstrip('/')}" if "://" in text else str(Path(text).expanduser().absolute())


def is_elsewhere(place: str) -> bool:
    """Whether an index lies in an object store: there is no folder to look into.

    >>> is_elsewhere("s3://bucket/photos.index"), is_elsewhere("/indexes/photos")
    (True, False)
    """
    return "://" in place


def connect(place: str, options: StorageOptions | None, *, create: bool) -> Any:
    """LanceDB's connection; makes the folder. Raises `IndexStoreError`, `NoIndexError` for a folder that is missing."""
    import lancedb

    if not is_elsewhere(place):
        _check_folder(Path(place), create=create)
    try:
        return lancedb.connect(place, storage_options=_options(place, options))
    except LANCE_ERRORS as error:
        raise trouble(place, f"The index at {place} cannot be reached", error) from error


def trouble(place: str, what: str, error: Exception) -> IndexStoreError:
    """The error to raise for one of LanceDB's: `what` cannot be done, and what it means where that is known, else what
    it said.

    >>> what = "The index at s3://photos/index cannot be opened"
    >>> print(trouble("s3://photos/index", what, OSError("... <Code>NoSuchBucket</Code> ...")))
    The index at s3://photos/index cannot be opened: there is no bucket 'photos'. Make it first, or mend its name.
    """
    text = str(error)
    if is_elsewhere(place):
        bucket = place.partition("://")[2].partition("/")[0]
        for signs, meaning in _TROUBLES:
            if any(sign in text for sign in signs):
                return IndexStoreError(f"{what}: {meaning.format(bucket=bucket)}")
        text = text[:400]
    return IndexStoreError(f"{what}: {text}")


def is_absence(error: Exception) -> bool:
    """Whether LanceDB says that a table is not there, and not that its store or bucket is not."""
    text = str(error)
    return isinstance(error, ValueError) and "not found" in text and _CODE.search(text) is None


def _options(place: str, given: StorageOptions | None) -> dict[str, str] | None:
    """The caller's options, and what the environment says that LanceDB does not read there itself."""
    if not is_elsewhere(place):
        return None if given is None else dict(given)
    found: dict[str, str] = {}
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    if place.startswith("s3") and endpoint:
        found["aws_endpoint"] = endpoint
    if os.environ.get(TIMEOUT_VARIABLE):
        found["timeout"] = found["connect_timeout"] = f"{seconds_to_wait():g}s"
    found |= dict(given or {})
    named = next((value for name, value in found.items() if name.lower() in ("aws_endpoint", "endpoint")), "")
    if named.startswith("http://"):  # whoever names such an endpoint means it
        found.setdefault("allow_http", "true")
    return found or None


def _check_folder(folder: Path, *, create: bool) -> None:
    """Refuse what is no folder, and to build in one that holds other things."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        if create:
            return
        raise NoIndexError(
            f"There is no index at {folder}: the folder does not exist. "
            f"Build one with: mmrank index PATH... --to {folder}"
        ) from None
    except NotADirectoryError:
        raise IndexStoreError(f"{folder} is a file; an index is a folder. Name a new or empty one.") from None
    except OSError as error:
        raise IndexStoreError(f"The folder {folder} cannot be read: {error.strerror or error}") from error
    foreign = [name for name in names if name not in _FOLDERS and not name.startswith((".", "_"))]
    if foreign and create and f"{ITEMS}.lance" not in names:
        listed = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise IndexStoreError(
            f"The folder {folder} holds other things ({listed}) and no index. An index wants a folder of its own: "
            f"name a new or empty one, for example {folder.with_name(folder.name + '.index')}"
        )
