"""HTTP calls to a server: bounded in number, in time and in size, and tried again when that can help."""

from __future__ import annotations

import json
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from mmrank.mllm.remote.spec import headers, without_key

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
R = TypeVar("R")

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""Statuses that can be gone when the same request comes again; all others are final."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0
"""Seconds before the first further try, doubled each time, times a random 0.5 to 1 so that callers spread out."""

LONGEST_ASKED_WAIT = 120.0
"""The longest `Retry-After` that is waited for."""

LARGEST_BODY = 64 * 2**20
"""Bytes of a response; more is a fault of the server."""

WORDS_SHOWN = 400
"""Characters of the server's own words in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A 200 with a JSON object or list."""

    body: Any
    seconds: float
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No usable response. `passing`: asking again later may help. `status`: None when nothing came back."""

    words: str
    status: int | None = None
    passing: bool = False
    seconds: float = 0.0
    retries: int = 0
    wait: float | None = None


class Caller:
    """Sends JSON and gets JSON.

    `connect`, `read`: seconds to open a connection, and without a byte from the server. `deadline`: seconds for one
    call with all its tries, or None. `retries`: further tries after the first.
    """

    def __init__(
        self,
        *,
        concurrency: int = 8,
        connect: float = 10.0,
        read: float = 120.0,
        deadline: float | None = None,
        retries: int = 4,
    ) -> None:
        self.concurrency = concurrency
        self.read = read
        self.deadline = deadline
        self.retries = retries
        self._connect = connect
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`function` of each item, at most `concurrency` at a time, in order."""
        if len(items) <= 1:
            return [function(item) for item in items]
        self._stopped.clear()
        pool = ThreadPoolExecutor(min(self.concurrency, len(items)), thread_name_prefix="mmrank-remote")
        try:
            results = list(pool.map(function, items))
        except BaseException:
            # Ctrl-C must not wait for calls under way: whoever waits to try again wakes up, open connections close.
            self._stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self.close()
            raise
        pool.shutdown()
        return results

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def post(self, url: str, body: Any, *, retries: int | None = None) -> Reply | Refusal:
        """POST `body` as JSON. `retries`: instead of the usual number."""
        return self._call("POST", url, json.dumps(body).encode(), self.retries if retries is None else retries)

    def get(self, url: str, *, retries: int | None = None) -> Reply | Refusal:
        """GET."""
        return self._call("GET", url, None, self.retries if retries is None else retries)

    def _call(self, method: str, url: str, body: bytes | None, retries: int) -> Reply | Refusal:
        started = time.monotonic()
        tried = 0
        while True:
            left = None if self.deadline is None else started + self.deadline - time.monotonic()
            outcome = self._once(method, url, body, left)
            seconds = time.monotonic() - started
            if isinstance(outcome, Reply):
                return Reply(body=outcome.body, seconds=seconds, retries=tried)
            wait = outcome.wait or min(LONGEST_WAIT, FIRST_WAIT * 2**tried) * random.uniform(0.5, 1)
            late = self.deadline is not None and seconds + wait >= self.deadline
            if tried >= retries or not outcome.passing or late or self._stopped.wait(wait):
                words = outcome.words
                if outcome.passing:
                    words += f" (tried {tried + 1} times in {seconds:.1f} s)" if tried else ""
                return Refusal(
                    words=words, status=outcome.status, passing=outcome.passing, seconds=seconds, retries=tried
                )
            tried += 1

    def _once(self, method: str, url: str, body: bytes | None, left: float | None) -> Reply | Refusal:
        """One request. `left`: seconds until the deadline."""
        import httpx

        if left is not None and left <= 0:
            return Refusal(words=f"no answer from {url} within the deadline of {self.deadline:g} s", passing=True)
        ends = None if left is None else time.monotonic() + left
        read = self.read if left is None else min(self.read, left)
        timeout = httpx.Timeout(read, connect=min(self._connect, read))
        sent = {"Content-Type": "application/json", **headers()}
        try:
            with self._opened().stream(method, url, content=body, headers=sent, timeout=timeout) as response:
                text = self._body(response, ends)
                status, after = response.status_code, response.headers.get("Retry-After")
        except httpx.TimeoutException:
            return Refusal(words=f"no answer from {url} within {read:g} s", passing=True)
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.StreamError) as error:
            words = f"{url} cannot be reached, or broke off: {without_key(str(error)) or type(error).__name__}"
            return Refusal(words=words, passing=True)
        except (httpx.HTTPError, httpx.InvalidURL, OverflowError, RuntimeError) as error:
            # RuntimeError: the client was closed by Ctrl-C in another thread.
            return Refusal(words=f"{url}: {type(error).__name__}: {without_key(str(error))}")
        if text is None:
            return Refusal(words=f"the response of {url} was too long or came too slowly", status=status, passing=True)
        if not 200 <= status < 300:
            words = f"HTTP {status} from {url}: {server_words(text)}"
            return Refusal(words=words, status=status, passing=status in PASSING, wait=_asked_wait(after))
        return _read(text, url)

    def _body(self, response: httpx.Response, ends: float | None) -> str | None:
        """The response's text; None when it is larger than `LARGEST_BODY` or still coming at the deadline."""
        chunks, size = [], 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY or (ends is not None and time.monotonic() > ends):
                return None
        return b"".join(chunks).decode("utf-8", errors="replace")

    def _opened(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(limits=httpx.Limits(max_connections=self.concurrency))
                weakref.finalize(self, self._client.close)  # nobody has to remember close()
            return self._client


def _read(text: str, url: str) -> Reply | Refusal:
    """What a 200 holds. An error object in it is a refusal, and passing only when it says so by its code."""
    try:
        body = json.loads(text)
    except ValueError:
        # A proxy's page or a torn response; a server that is whole again answers properly.
        return Refusal(words=f"{url} answered something that is not JSON: {_short(text)}", status=200, passing=True)
    if isinstance(body, dict) and (body.get("error") or body.get("object") == "error"):
        inner = body["error"] if isinstance(body.get("error"), dict) else body
        passing = str(inner.get("code")) in {str(status) for status in PASSING}
        return Refusal(words=f"{url} answered with an error: {server_words(text)}", status=200, passing=passing)
    return Reply(body=body, seconds=0.0)


def server_words(text: str) -> str:
    """The message within an error body, on one line, cut, without keys and without pictures sent back.

    >>> server_words('{"error": {"message": "At most 4 image(s) may be provided in one prompt."}}')
    'At most 4 image(s) may be provided in one prompt.'
    """
    try:
        body = json.loads(text)
    except ValueError:
        return _short(text)
    for name in ("error", "detail", "message"):
        found = body.get(name) if isinstance(body, dict) else None
        if isinstance(found, dict):
            found = found.get("message") or found
        if isinstance(found, list):  # FastAPI: one entry for each field it does not like
            found = "; ".join(
                f"{'.'.join(map(str, e.get('loc', [])))}: {e.get('msg')}" if isinstance(e, dict) else str(e)
                for e in found
            )
        if found:
            return _short(found if isinstance(found, str) else json.dumps(found))
    return _short(text)


def _short(text: str) -> str:
    text = re.sub(r"data:image/[^\s\"']*", "data:image/...", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in without_key(text)).split())
    return (text if len(text) <= WORDS_SHOWN else text[:WORDS_SHOWN].rstrip() + "...") or "no words"


def _asked_wait(after: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header: a number or a date."""
    if not after:
        return None
    try:
        seconds = float(after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(after).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(LONGEST_ASKED_WAIT, max(0.0, seconds)) or None
