"""Object stores through fsspec: what lies below a prefix, what a file is, and its bytes, with errors for their reader.

Neither fsspec's caches nor the libraries' own retries are used: one layer, `persistently`, tries again, the same for
every store, and what is kept is kept by `mmrank.media.remote`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from mmrank.errors import MediaError, MissingDependencyError
from mmrank.media.remote import RemoteFile
from mmrank.media.remote_tries import TransientError, persistently, seconds_to_wait
from mmrank.media.uri import cause, printable

PAGE = 1_000
"""Names of one listing request: what S3 gives at most. Two million files are listed without ever holding them."""

BLOCK_BYTES = 8 << 20
"""Bytes of one ranged read, held in memory while it comes; a broken connection costs one block, not the file."""

SKIP_SIGNATURE = "AWS_SKIP_SIGNATURE"
"""Set to ``true`` for public buckets, read without credentials. LanceDB knows it by the same name."""


class AbsentError(MediaError):
    """There is no such file: the store said so, certainly."""


class RemoteStore(Protocol):
    """What a kind of store can do. Every call may raise `TransientError` (try again) or `MediaError` (do not)."""

    def stat(self, uri: str) -> RemoteFile:
        """What it says of a file. Raises `AbsentError` when there is none."""
        ...

    def pages(self, folder: str, *, recursive: bool) -> Iterator[list[RemoteFile]]:
        """The files below a folder, some at a time, in the order of their names' bytes; transient trouble is handled.

        Raises `MediaError` where it cannot be listed, `AbsentError` where the bucket is not there.
        """
        ...

    def blocks(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        """The bytes from `start` on."""
        ...


_stores: dict[str, RemoteStore] = {}
_stores_lock = threading.Lock()


def store_for(uri: str) -> RemoteStore:
    """The store an address lies in, connected once. Raises `MissingDependencyError` without the extra it needs."""
    scheme = uri.partition("://")[0].lower()
    with _stores_lock:
        if scheme not in _stores:
            _stores[scheme] = _connected(scheme)
        return _stores[scheme]


def _connected(scheme: str) -> RemoteStore:
    if scheme in ("http", "https"):
        from mmrank.media.remote_web import WebStore

        return WebStore()
    return S3Store() if scheme == "s3" else FsspecStore("gs", _google_cloud())


class FsspecStore:
    """Any fsspec file system, through what all of them can do: `info`, `walk`, `cat_file`."""

    def __init__(self, scheme: str, files: Any) -> None:
        self._scheme = scheme
        self._files = files

    def stat(self, uri: str) -> RemoteFile:
        try:
            return self._file(self._files.info(uri), uri)
        except Exception as error:
            raise explained(error, uri) from error

    def pages(self, folder: str, *, recursive: bool) -> Iterator[list[RemoteFile]]:
        """One page a folder: fsspec lists no smaller parts."""

        def listed(place: str) -> list[dict[str, Any]]:
            try:
                return sorted(self._files.ls(place, detail=True), key=lambda one: str(one["name"]).encode())
            except Exception as error:
                raise explained(error, place) from error

        waiting = [folder]
        while waiting:
            place = waiting.pop()
            entries = persistently(place, lambda: listed(place))  # noqa: B023 - called before the loop goes on
            addresses = [(one, f"{self._scheme}://{str(one['name']).lstrip('/')}") for one in entries]
            yield [self._file(one, uri) for one, uri in addresses if one["type"] == "file"]
            if recursive:
                waiting += [uri for one, uri in reversed(addresses) if one["type"] == "directory" and uri != place]

    def blocks(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        if file.size is None:
            raise MediaError(f"{printable(file.uri)}: the store does not say how large it is, so it is not read.")
        while start < file.size:
            end = min(start + BLOCK_BYTES, file.size)
            try:  # always ranged: asked for all of a file, s3fs asks for its size first
                block: bytes = self._files.cat_file(file.uri, start=start, end=end)
            except Exception as error:
                raise explained(error, file.uri) from error
            yield block
            if len(block) != end - start:
                return  # too short or too long: whoever counts the bytes says so
            start = end

    def _file(self, info: dict[str, Any], uri: str) -> RemoteFile:
        if info.get("type") == "directory":
            raise FileNotFoundError(uri)
        tag = info.get("ETag") or info.get("etag") or info.get("generation") or info.get("md5Hash")
        return RemoteFile(uri=uri, size=info.get("size"), etag=None if tag is None else str(tag))


class S3Store(FsspecStore):
    """S3 and what speaks like it, through s3fs; listings come page by page.

    Credentials, region and endpoint come from where the AWS tools take them: ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``, ``AWS_PROFILE``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL``,
    ``~/.aws``, the machine's role.
    """

    def __init__(self) -> None:
        try:
            import s3fs
        except ImportError as error:
            raise MissingDependencyError("s3fs", "s3", "reading s3:// addresses") from error
        wait = seconds_to_wait()
        files = s3fs.S3FileSystem(
            anon=os.environ.get(SKIP_SIGNATURE, "").lower() in ("1", "true"),
            config_kwargs={"connect_timeout": wait, "read_timeout": wait, "retries": {"total_max_attempts": 1}},
            use_listings_cache=False,
            skip_instance_cache=True,
        )
        files.retries = 1  # an attribute, which is how s3fs wants it
        super().__init__("s3", files)

    def stat(self, uri: str) -> RemoteFile:
        bucket, key = _bucket_and_key(uri)
        if not key:
            raise AbsentError(f"{printable(uri)} is a bucket, not a file.")
        answer = self._call("head_object", uri, Bucket=bucket, Key=key)
        return RemoteFile(uri=uri, size=int(answer["ContentLength"]), etag=answer.get("ETag"))

    def pages(self, folder: str, *, recursive: bool) -> Iterator[list[RemoteFile]]:
        bucket, key = _bucket_and_key(folder)
        asked: dict[str, Any] = {"Bucket": bucket, "Prefix": f"{key}/" if key else "", "MaxKeys": PAGE}
        if not recursive:
            asked["Delimiter"] = "/"
        while True:
            page = persistently(folder, lambda: self._call("list_objects_v2", folder, **asked))
            yield [
                RemoteFile(uri=f"s3://{bucket}/{one['Key']}", size=int(one["Size"]), etag=one.get("ETag"))
                for one in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def _call(self, method: str, uri: str, **asked: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._files.call_s3(method, **asked)
        except Exception as error:
            raise explained(error, uri) from error
        return answer


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def _google_cloud() -> Any:
    try:
        import gcsfs
    except ImportError as error:
        raise MissingDependencyError("gcsfs", "gcs", "reading gs:// addresses") from error
    return gcsfs.GCSFileSystem(use_listings_cache=False, skip_instance_cache=True, requests_timeout=seconds_to_wait())


_TIMED_OUT = frozenset({"ReadTimeoutError", "ConnectTimeoutError", "TimeoutError", "FSTimeoutError"})
_BROKEN = frozenset(
    {
        "ConnectionError", "HTTPClientError", "ClientConnectionError", "ClientPayloadError", "IncompleteReadError",
        "IncompleteRead", "ResponseParserError",
    }
)  # fmt: skip
_NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})
_BUSY_CODES = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "429"})


def explained(error: Exception, uri: str) -> Exception:
    """What to raise for an error of fsspec, botocore or aiohttp: told by the names of their classes and by S3's codes,
    so that none of these libraries need be imported to ask."""
    if isinstance(error, MediaError | TransientError):
        return error
    chain = [one for one in (error, error.__cause__) if one is not None]
    names = {cls.__name__ for one in chain for cls in type(one).__mro__}
    code, status = _answer(chain)
    name = printable(uri)
    if names & _TIMED_OUT:
        return TransientError(f"it timed out after {seconds_to_wait():g} s")
    if code in _BUSY_CODES or status >= 500 or status == 429:
        return TransientError(f"the store answered {code or status}")
    if code == "NoSuchBucket":
        return AbsentError(f"{name} cannot be read: there is no bucket {_bucket_and_key(uri)[0]!r}.")
    if isinstance(error, FileNotFoundError) or status == 404:
        return AbsentError(f"{name} is not there.")
    if names & _NO_CREDENTIALS:
        return MediaError(
            f"{name} cannot be read: there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or "
            f"AWS_PROFILE); for a public bucket set {SKIP_SIGNATURE}=true."
        )
    if isinstance(error, PermissionError) or status in (401, 403):
        return MediaError(
            f"{name} cannot be read: the store denies it ({code or status or cause(error)}). Check the credentials in "
            "the environment, and that they may list and read there."
        )
    if names & _BROKEN:
        return TransientError(f"the connection broke ({cause(error)})")
    return MediaError(f"{name} cannot be read: {type(error).__name__}: {cause(error)}.")


def _answer(chain: list[BaseException]) -> tuple[str, int]:
    """The store's own code and the HTTP status, where the error carries them."""
    for error in chain:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = str(response.get("Error", {}).get("Code", ""))
            return "" if code.isdigit() else code, int(status)
        number = getattr(error, "code", None)  # gcsfs.retry.HttpError
        if isinstance(number, int):
            return "", number
    return "", 0
