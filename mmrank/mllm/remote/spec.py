"""Where a server is, what its model is called, and the key for it, which is only ever in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from mmrank.errors import MllmError, UsageError

PREFIX = "openai:"
KEY_VARIABLES = ("MMRANK_API_KEY", "OPENAI_API_KEY")
"""Looked at in this order."""

_FORM = "openai:BASE_URL#MODEL, such as openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server and one of its models. Holds no key: `key()` reads the environment each time."""

    base_url: str
    model: str

    @property
    def spec(self) -> str:
        return f"{PREFIX}{self.base_url}#{self.model}"

    @property
    def root_url(self) -> str:
        """The base without its version: vLLM puts ``/score`` and ``/tokenize`` there."""
        return self.base_url.removesuffix("/v1")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""

    @property
    def encrypted_or_near(self) -> bool:
        """Whether a key may travel there without being readable on the way: https, or this very machine."""
        return self.base_url.startswith("https:") or self.host in ("localhost", "127.0.0.1", "::1")


def key() -> str | None:
    """The key of the environment, or None. Raises `MllmError` when it cannot stand in an HTTP header."""
    for variable in KEY_VARIABLES:
        value = os.environ.get(variable, "").strip()
        if not value:
            continue
        if not (value.isascii() and value.isprintable()):
            raise MllmError(
                f"The key in the environment variable {variable} has characters that no HTTP header can hold. "
                "Set it again, on one line and without quotes."
            )
        return value
    return None


def headers() -> Mapping[str, str]:
    """What is sent with every request."""
    given = key()
    return {"Authorization": f"Bearer {given}"} if given else {}


def without_key(text: str) -> str:
    """`text` with the key taken out: some servers repeat it in their refusals."""
    given = key()
    return text.replace(given, "[key]") if given else text


def parse_spec(spec: str) -> Server:
    """A `Server` from ``openai:BASE_URL#MODEL``.

    Raises `UsageError` for anything else, and for credentials within the URL (the message does not repeat them).

    >>> parse_spec("openai:http://localhost:8000/v1/#Qwen/Qwen3-VL-8B-Instruct").spec
    'openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct'
    """
    url, _, model = spec.removeprefix(PREFIX).partition("#")
    parts = _split(url)
    if parts is not None and (parts.username is not None or parts.password is not None or parts.query):
        raise UsageError(
            "The URL of a server must not hold a user name, a password or a query: specs end up in logs and run "
            f"files. Put the key into the environment variable {KEY_VARIABLES[0]} and write {_FORM}"
        )
    if not spec.startswith(PREFIX) or parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{spec!r} does not name a server. Allowed: {_FORM}")
    if not model.strip():
        raise UsageError(
            f"{spec!r} does not name a model. Add # and a name that {url.rstrip('/')}/models lists. Allowed: {_FORM}"
        )
    return Server(base_url=url.rstrip("/"), model=model.strip())


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is found out only here
    except ValueError:
        return None
    return parts
