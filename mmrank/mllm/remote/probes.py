"""What a server can do, found out with a few tiny requests before the first real one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmrank.errors import MllmError
from mmrank.mllm.base import Capability, Sampling
from mmrank.mllm.prompt import Message, Prompt, TextPart
from mmrank.mllm.remote import pairs
from mmrank.mllm.remote.calls import Caller, Refusal
from mmrank.mllm.remote.chat import Chat, written
from mmrank.mllm.remote.logprobs import cap_named, top_tokens
from mmrank.mllm.remote.spec import KEY_VARIABLES, Server
from mmrank.mllm.remote.wire import PictureStore

PROBE = "Answer with one word: yes or no."
"""The text of every probe; a server under test may answer it on its own."""

MOST_LOGPROBS = 128
"""Asked for first: enough for 20 labels with their other spellings (METHODS.md 8.3 says up to 120)."""

USUAL_LOGPROBS = (20, 5)
"""Asked for when a refusal names no number: the caps of vLLM and of OpenAI's older models."""

PROBE_RETRIES = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the probes found. `reasons`: for each capability that is missing, why, in the server's words.

    `unlisted`: the models that the server lists, when the one asked for is not among them and it answered all the same.
    `max_logprobs`: how many log-probabilities an answer may ask for. `route`: where pair scores are asked for.
    `instruction_used`: False when two different instructions gave one score.
    """

    capabilities: frozenset[Capability]
    reasons: Mapping[Capability, str] = field(default_factory=dict)
    max_logprobs: int | None = None
    route: pairs.Route | None = None
    instruction_used: bool | None = None
    unlisted: str | None = None


def listed_models(server: Server, caller: Caller) -> list[dict[str, Any]]:
    """The rows of ``/models``, empty when the server has no such page or it is broken (transformers serve without a
    hub cache).

    Raises `MllmError` when the server cannot be reached or refuses the key.
    """
    url = f"{server.base_url}/models"
    outcome = caller.get(url, retries=PROBE_RETRIES)
    if isinstance(outcome, Refusal):
        if outcome.status is None:
            raise MllmError(
                f"No server answers: {outcome.words}. Start one, for example with: vllm serve {server.model} "
                f"--port 8000, or look at the URL with: mmrank doctor {server.spec}"
            )
        if outcome.status in (401, 403):
            raise MllmError(f"{outcome.words}. Put the server's key into the environment variable {KEY_VARIABLES[0]}.")
        return []
    rows = outcome.body.get("data") if isinstance(outcome.body, dict) else None
    return [row for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []


def names_of(rows: list[dict[str, Any]]) -> str:
    """The models of ``/models``, for a message."""
    return ", ".join(str(row["id"]) for row in rows[:20]) or "nothing that it lists"


def context_length(row: Mapping[str, Any]) -> int | None:
    """Tokens of the context, where ``/models`` gives them: vLLM's and SGLang's field, or llama.cpp's."""
    meta = row.get("meta")
    for value in (row.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None):
        if isinstance(value, int) and value > 0:
            return value
    return None


def probe(server: Server, caller: Caller, chat: Chat, scale: pairs.Scale, rows: list[dict[str, Any]]) -> Found:
    """Try a chat completion with log-probabilities, and a pair score. Raises `MllmError` when nothing works at all."""
    capabilities: set[Capability] = set()
    reasons: dict[Capability, str] = {}
    said, cap, why = _probe_choices(chat)
    if said:
        capabilities.add("generate")
    else:
        reasons["generate"] = why
    if cap:
        capabilities.add("choices")
    else:
        reasons["choices"] = why
    route, used, refusal = _probe_pairs(server, caller, scale)
    if route:
        capabilities.add("pairs")
    else:
        reasons["pairs"] = refusal
    reasons["attention"] = "a server does not show what its model looks at; load the weights here instead"
    listed = any(row["id"] == server.model for row in rows)
    if not capabilities and not listed and rows:
        raise MllmError(
            f"{server.base_url} does not serve {server.model!r}. It serves: {names_of(rows)}. ({reasons['generate']})"
        )
    if not capabilities:
        raise MllmError(
            f"{server.spec} answers neither chat completions ({reasons['generate']}) nor pair scores "
            f"({reasons['pairs']}). Look at it with: mmrank doctor {server.spec}"
        )
    return Found(
        capabilities=frozenset(capabilities),
        reasons=reasons,
        max_logprobs=cap,
        route=route,
        instruction_used=used,
        unlisted=names_of(rows) if rows and not listed else None,
    )


def _probe_choices(chat: Chat) -> tuple[bool, int | None, str]:
    """Whether the server writes text, how many log-probabilities it gives, and why there are none."""
    asked = [MOST_LOGPROBS]
    why = ""
    while asked:
        number = asked.pop(0)
        outcome = chat.ask(tiny(), Sampling(max_tokens=1), retries=PROBE_RETRIES, logprobs=True, top_logprobs=number)
        if not isinstance(outcome, Refusal):
            said = written(outcome.body)
            if isinstance(said, str):
                return False, None, said
            tokens = top_tokens(outcome.body)
            return True, (None if isinstance(tokens, str) else len(tokens) or None), str(tokens)
        why = outcome.words
        if outcome.status not in (400, 422):
            break
        if number == MOST_LOGPROBS:
            named = cap_named(outcome.words)
            asked = [named] if named and named < MOST_LOGPROBS else list(USUAL_LOGPROBS)
    plain = chat.ask(tiny(), Sampling(max_tokens=1), retries=PROBE_RETRIES)
    if isinstance(plain, Refusal):
        return False, None, plain.words
    said = written(plain.body)
    return (False, None, said) if isinstance(said, str) else (True, None, why)


def _probe_pairs(server: Server, caller: Caller, scale: pairs.Scale) -> tuple[pairs.Route | None, bool | None, str]:
    """The first route that scores a pair, whether it heeds the instruction, and the last refusal."""
    refusal = "no /score and no /rerank"
    for route in pairs.ROUTES:
        given: list[float] = []
        for instruction in ("Find what is the same.", "Find what is different."):
            outcome = caller.post(
                route.url(server.base_url, server.root_url),
                pairs.request(
                    route,
                    server.model,
                    (TextPart(text="yes"),),
                    ((TextPart(text="yes"),),),
                    instruction=instruction,
                    scale=scale,
                    store=PictureStore(0),
                ),
                retries=PROBE_RETRIES,
            )
            if isinstance(outcome, Refusal):
                refusal = outcome.words if outcome.status != 404 else refusal
                break
            found = pairs.scores(outcome.body, 1)
            if isinstance(found, str):
                refusal = found
                break
            given += found
            answered = _as_answered(route, outcome.body)
        else:
            return answered, given[0] != given[1], ""
    return None, None, refusal


def _as_answered(route: pairs.Route, body: Any) -> pairs.Route:
    """SGLang answers ``/rerank`` with a bare list, and takes bare lists of parts: the words alone do not show it."""
    if route.endpoint == "rerank" and isinstance(body, list):
        return pairs.Route(path=route.path, endpoint="rerank", wrapped=False)
    return route


def continues_prefix(chat: Chat) -> bool | str:
    """Whether the server lets an answer begin with given words; a sentence when it does not.

    Told by the server's own token count: an assistant turn "A" that is left open adds one token to the prompt, one
    that is closed and followed by a new turn adds at least three. No content is judged, so this holds for any model.
    """
    counts = []
    for prefix in ("", "A"):
        outcome = chat.ask(tiny(prefix), Sampling(max_tokens=1), retries=PROBE_RETRIES)
        if isinstance(outcome, Refusal):
            return outcome.words
        try:
            counts.append(int(outcome.body["usage"]["prompt_tokens"]))
        except (KeyError, TypeError, ValueError):
            return "the server does not count tokens, so that it cannot be told whether it continues a given beginning"
    added = counts[1] - counts[0]
    if 1 <= added <= 2:
        return True
    return (
        f"the server closes the given beginning and starts a new answer (its prompt grew by {added} tokens, not by 1)"
    )


def tiny(answer_prefix: str = "") -> Prompt:
    """The probe's prompt."""
    message = Message(role="user", parts=(TextPart(text=PROBE),))
    return Prompt(messages=(message,), answer_prefix=answer_prefix)
