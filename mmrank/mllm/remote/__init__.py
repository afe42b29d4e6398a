"""MLLMs behind OpenAI-compatible servers: vLLM, SGLang, transformers serve, llama.cpp."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, get_args

from mmrank.errors import UsageError
from mmrank.mllm.base import CAPABILITIES, Capability
from mmrank.mllm.remote.calls import Caller
from mmrank.mllm.remote.logprobs import Restriction
from mmrank.mllm.remote.pairs import Scale
from mmrank.mllm.remote.spec import key, parse_spec

if TYPE_CHECKING:
    from mmrank.mllm.remote.backend import RemoteMllm

__all__ = ["load_remote"]


def load_remote(
    spec: str,
    *,
    concurrency: int = 8,
    connect_timeout: float = 10.0,
    read_timeout: float = 120.0,
    deadline: float | None = None,
    retries: int = 4,
    capabilities: Collection[Capability] | None = None,
    max_logprobs: int | None = None,
    max_images: int | None = None,
    answer_prefix: bool | None = None,
    merge_spaces: bool = True,
    restrict: Restriction | None = None,
    pair_scale: Scale = "probability",
    pairs_per_request: int = 32,
    lossless: bool = False,
    pictures_once: bool = False,
    **unknown: object,
) -> RemoteMllm:
    """The MLLM that ``openai:BASE_URL#MODEL`` names. Nothing is sent until it is used.

    A key is taken from the environment, `MMRANK_API_KEY` before `OPENAI_API_KEY`, whenever a request is sent; it is
    never part of a spec, an error or a transcript.

    Args:
        concurrency: requests under way at a time.
        connect_timeout, read_timeout: seconds to open a connection, and without a byte of the answer.
        deadline: seconds for one prompt with all its tries; None: no end but the tries'.
        retries: further tries when the connection fails or the server is overloaded; refusals are not repeated.
        capabilities: what the server can do, when it is not to be probed.
        max_logprobs: how many log-probabilities the server gives (vLLM's ``--max-logprobs``); None: found out.
        max_images: pictures in one prompt (vLLM's ``--limit-mm-per-prompt``), for `limits`.
        answer_prefix: whether the server continues an answer from given words; None: found out.
        merge_spaces: count " A" as "A" too when choices are read (their probabilities add).
        restrict: let the server allow nothing but the choices, by this field of vLLM's. It only helps a server started
            with ``--logprobs-mode processed_logprobs``: by default log-probabilities are those before any restriction.
        pair_scale: what ``/score`` gives: probabilities, or ("log_odds") logits, which vLLM is then asked for.
        pairs_per_request: documents of one query in one ``/score`` request.
        lossless: send every picture as PNG; by default large ones go as JPEG of quality 95.
        pictures_once: name every picture by what it shows, and leave it out of requests once the server has it. vLLM
            takes that; others refuse it or would not see the picture.

    Raises `UsageError` for a spec of another form, credentials in the URL, or an option out of its range.

    >>> load_remote("openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct")
    RemoteMllm('openai:http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct')
    """
    from mmrank.mllm.remote.backend import RemoteMllm

    if unknown:
        raise UsageError(
            f"{', '.join(sorted(unknown))}: no option of a server; there is {', '.join(sorted(_names()))}."
        )
    _check(locals())
    key()  # a key that cannot be sent is said now
    caller = Caller(
        concurrency=concurrency, connect=connect_timeout, read=read_timeout, deadline=deadline, retries=retries
    )
    return RemoteMllm(
        parse_spec(spec),
        caller,
        declared=None if capabilities is None else frozenset(capabilities),
        max_logprobs=max_logprobs,
        max_images=max_images,
        answer_prefix=answer_prefix,
        merge_spaces=merge_spaces,
        restrict=restrict,
        pair_scale=pair_scale,
        pairs_per_request=pairs_per_request,
        lossless=lossless,
        pictures_once=pictures_once,
    )


def _names() -> set[str]:
    return set(load_remote.__kwdefaults__ or ())


def _check(options: dict[str, object]) -> None:
    """Raises `UsageError` for an option out of its range."""
    for name, least in (("concurrency", 1), ("retries", 0), ("max_logprobs", 1), ("max_images", 0)):
        value = options[name]
        if value is not None and (not isinstance(value, int) or value < least):
            raise UsageError(f"{name}={value!r}: a whole number of at least {least} is needed.")
    for name in ("connect_timeout", "read_timeout", "deadline"):
        value = options[name]
        if value is not None and (not isinstance(value, int | float) or not value > 0):
            raise UsageError(f"{name}={value!r}: a number of seconds above 0 is needed.")
    given = options["capabilities"]
    unknown = set(given) - set(CAPABILITIES) if isinstance(given, Collection) else set()
    if unknown:
        raise UsageError(f"capabilities={sorted(unknown)}: allowed are {', '.join(CAPABILITIES)}.")
    for name, allowed in (("restrict", (None, *get_args(Restriction))), ("pair_scale", get_args(Scale))):
        if options[name] not in allowed:
            raise UsageError(f"{name}={options[name]!r}: allowed are {', '.join(map(str, allowed))}.")
