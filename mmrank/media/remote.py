"""Files that lie elsewhere: which addresses there are, and which of them may be fetched.

Nothing is fetched unless its address, or a folder above it, was given by name: to `mmrank.scan`, to `allow_remote`, or
in the environment variable ``MMRANK_REMOTE``. An address that only stands in a row, a sidecar, a page or an index was
written by a stranger, and following it would let the stranger choose what this machine asks for.
"""

from __future__ import annotations

import os
import posixpath
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from urllib.parse import unquote

from mmrank.errors import MediaError, UsageError
from mmrank.media.uri import cut_fragment, is_remote, printable, regular_file, split_uri

BUCKETS = ("s3", "gs")
WEB = ("https", "http")

ALLOWED_VARIABLE = "MMRANK_REMOTE"
"""Prefixes that may be fetched, separated by white space."""

STATS_KEPT, STATS_SECONDS = 16_384, 300.0
"""How many files' sizes and ETags are kept, about 400 bytes each, and for how long they are believed: what a listing
said must last until the pipeline behind it has come to the file. One that changes meanwhile is seen by the next run."""

_ADDRESS = re.compile(rf"^({'|'.join((*BUCKETS, *WEB))})://([^/?#]*)(.*)$", re.IGNORECASE | re.DOTALL)

_lock = threading.Lock()
_allowed: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """What a store says of a file: its address, its bytes (None: not said) and its ETag, which changes with them."""

    uri: str
    size: int | None = None
    etag: str | None = None

    @property
    def stamp(self) -> str | None:
        """Equal as long as the file is; None where the store gives nothing to tell by.

        >>> RemoteFile(uri="s3://bucket/a.jpg", size=12, etag='"ab"').stamp
        '12:"ab"'
        """
        return None if self.etag is None else f"{'' if self.size is None else self.size}:{self.etag}"


def is_bucket(uri: str) -> bool:
    """Whether the address lies in an object store, which can be listed; a web server cannot."""
    found = _ADDRESS.match(uri)
    return found is not None and found[1].lower() in BUCKETS


def normal(uri: str) -> str:
    """The address with scheme and host in small letters and no slash at its end.

    Raises `UsageError` where the bucket or host is missing, or a part is ``.`` or ``..``: stores and servers read
    those differently, so they could lead out of what was given. A password in the address is refused too: it would be
    written into the index and shown.

    >>> normal("S3://bucket/photos/")
    's3://bucket/photos'
    """
    found = _ADDRESS.match(uri)
    if found is None:
        raise UsageError(f"{printable(uri)} is no address; write s3://BUCKET/..., gs://BUCKET/... or https://HOST/...")
    scheme, host, path = found[1].lower(), found[2], found[3]
    if not host:
        raise UsageError(f"{printable(uri)} names no {'bucket' if scheme in BUCKETS else 'host'}.")
    if "@" in host:
        raise UsageError("An address must hold no user and password; credentials come from the environment.")
    plain = path if scheme in BUCKETS else unquote(path.partition("?")[0])
    if any(part in (".", "..") for part in plain.split("/")):
        raise UsageError(f"{printable(uri)} has '.' or '..' among its parts; write the address without them.")
    return f"{scheme}://{host if scheme in BUCKETS else host.lower()}{path.rstrip('/')}"


def allow_remote(*prefixes: str) -> None:
    """Let this process fetch these addresses and everything below them. `mmrank.scan` does so for what it is given.

    Needed where addresses come from elsewhere: rows that name pictures in a bucket, the hits of an index that was
    built by another process, the picture of a query. Raises `UsageError` for what is no address.

    >>> allow_remote("s3://my-bucket/photos")
    >>> is_allowed("s3://my-bucket/photos/cat.jpg"), is_allowed("s3://my-bucket/private.jpg")
    (True, False)
    """
    cleaned = {normal(prefix) for prefix in prefixes}
    with _lock:
        _allowed.update(cleaned)


def allowed() -> frozenset[str]:
    """What `allow_remote` was given in this process: for another one that is to fetch for it."""
    with _lock:
        return frozenset(_allowed)


def is_allowed(uri: str) -> bool:
    """Whether an address may be fetched."""
    try:
        address = normal(cut_fragment(uri)[0])
        given = {normal(prefix) for prefix in os.environ.get(ALLOWED_VARIABLE, "").split()}
    except UsageError:
        return False
    with _lock:
        given |= _allowed
    return any(address == prefix or address.startswith(prefix + "/") for prefix in given)


def check_allowed(uri: str) -> None:
    """Raise `MediaError` unless the address may be fetched."""
    if not is_allowed(uri):
        folder = posixpath.dirname(cut_fragment(uri)[0])
        raise MediaError(
            f"{printable(uri)} lies elsewhere, and mmrank fetches nothing that was not given by name. If you trust "
            f"it, set {ALLOWED_VARIABLE}={printable(folder)} in the environment, or call mmrank.allow_remote(...)."
        )


class _Stats:
    """What stores said of files, for a while."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[RemoteFile, float]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, file: RemoteFile) -> None:
        with self._lock:
            self._known[file.uri] = (file, monotonic())
            self._known.move_to_end(file.uri)
            while len(self._known) > STATS_KEPT:
                self._known.popitem(last=False)

    def get(self, uri: str) -> RemoteFile | None:
        with self._lock:
            found = self._known.get(uri)
        return found[0] if found is not None and monotonic() - found[1] < STATS_SECONDS else None

    def forget(self, uri: str) -> None:
        with self._lock:
            self._known.pop(uri, None)


_stats = _Stats()


def remember(file: RemoteFile) -> None:
    """Keep what a listing said of a file, so that nobody asks again for a while."""
    _stats.put(file)


def forget(uri: str) -> None:
    """Ask the store anew next time."""
    _stats.forget(cut_fragment(uri)[0])


def remote_file(uri: str) -> RemoteFile:
    """What the store says of a file; asked at most every five minutes.

    Raises `MediaError` when it is not allowed, not there, or cannot be asked.
    """
    from mmrank.media.remote_stores import store_for
    from mmrank.media.remote_tries import persistently

    address = cut_fragment(uri)[0]
    check_allowed(address)
    known = _stats.get(address)
    if known is None:
        known = persistently(address, lambda: store_for(address).stat(address))
        _stats.put(known)
    return known


def stamp_of(uri: str) -> str | None:
    """What changes when the file behind a uri does: size and time of a local file, size and ETag of a remote one.

    None where there is no such file, or nothing to tell by: it must then be read to know.

    >>> stamp_of("/no/such/file.jpg") is None
    True
    """
    try:
        if is_remote(uri):
            return remote_file(uri).stamp
        status = regular_file(Path(split_uri(uri).path))
    except MediaError:
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"


def is_gone(uri: str) -> bool:
    """Whether a file is certainly not there any more. False in doubt: a store that denies or does not answer."""
    from mmrank.media.remote_stores import AbsentError

    if not is_remote(uri):
        return not os.path.lexists(split_uri(uri).path)
    forget(uri)
    try:
        remote_file(uri)
    except AbsentError:
        return True
    except MediaError:
        return False
    return False
