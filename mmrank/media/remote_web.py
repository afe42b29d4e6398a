"""Files of a web server, one address each: nothing is listed there, and no redirection is followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmrank.errors import MediaError
from mmrank.media.remote import RemoteFile
from mmrank.media.remote_stores import AbsentError
from mmrank.media.remote_tries import TransientError, seconds_to_wait
from mmrank.media.uri import cause, printable

if TYPE_CHECKING:
    import httpx

_CHUNK_BYTES = 1 << 20
_AS_IT_IS = {"Accept-Encoding": "identity"}
_NO_HEAD = frozenset({403, 405, 501})
"""How servers answer that do not know HEAD, or sign addresses for GET only; they are asked for the first byte then."""


class WebStore:
    """``https://`` and ``http://`` through httpx."""

    def __init__(self) -> None:
        import httpx

        self._client = httpx.Client(timeout=seconds_to_wait(), follow_redirects=False, headers=_AS_IT_IS)

    def stat(self, uri: str) -> RemoteFile:
        import httpx

        try:
            answer = self._client.head(uri)
            if answer.status_code in _NO_HEAD:
                with self._client.stream("GET", uri) as streamed:  # closed before its body is read
                    answer = streamed
        except httpx.HTTPError as error:
            raise _explained(error, uri) from error
        _check(answer, uri)
        headers = answer.headers
        size = headers.get("content-length", "")
        return RemoteFile(
            uri=uri,
            size=int(size) if size.isdigit() else None,
            etag=headers.get("etag") or headers.get("last-modified"),
        )

    def pages(self, folder: str, *, recursive: bool) -> Iterator[list[RemoteFile]]:
        raise MediaError(f"{printable(folder)}: a web server lists no folders; give the addresses of files.")
        yield []

    def blocks(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        """One streamed answer; a server that does not resume sends it all again, and what is there is passed over."""
        import httpx

        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and file.etag and file.etag.startswith('"'):
            headers["If-Range"] = file.etag
        try:
            with self._client.stream("GET", file.uri, headers=headers) as answer:
                _check(answer, file.uri)
                passed = start if start and answer.status_code != httpx.codes.PARTIAL_CONTENT else 0
                for block in answer.iter_raw(_CHUNK_BYTES):
                    yield block[passed:]
                    passed = max(passed - len(block), 0)
        except httpx.HTTPError as error:
            raise _explained(error, file.uri) from error


def _check(answer: httpx.Response, uri: str) -> None:
    status, name = answer.status_code, printable(uri)
    if status in (404, 410):
        raise AbsentError(f"{name} is not there ({status}).")
    if status in (429, 500, 502, 503, 504):
        raise TransientError(f"the server answered {status}")
    if answer.is_redirect:
        where = printable(answer.headers.get("location", ""))
        raise MediaError(f"{name} leads on to {where}, which was not given. If you trust it, give that address.")
    if not answer.is_success:
        raise MediaError(f"{name} cannot be read: the server answered {status} {answer.reason_phrase}.")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise MediaError(
            f"{name} comes compressed ({answer.headers['content-encoding']}) although it was asked not to."
        )


def _explained(error: httpx.HTTPError, uri: str) -> Exception:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return TransientError(f"it timed out after {seconds_to_wait():g} s")
    if isinstance(error, httpx.TransportError):
        return TransientError(f"the connection failed ({cause(error)})")
    return MediaError(f"{printable(uri)} cannot be read: {cause(error)}.")
