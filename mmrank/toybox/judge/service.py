"""The judge behind the server: request bodies in, response bodies out, in the OpenAI-compatible form of vLLM."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmrank.toybox.judge.answers import log_odds, probability, remainder, spoiled, written
from mmrank.toybox.judge.errors import RefusedError, short
from mmrank.toybox.judge.flow import Flow, Reader
from mmrank.toybox.judge.noise import Fault, Noise
from mmrank.toybox.judge.question import one_item, right_answers, understood
from mmrank.toybox.judge.tokens import first_tokens, logprobs_content, normalised, padded, tokens_of
from mmrank.toybox.judge.truth import relevance

MODEL = "toybox-truth"
CONTEXT = 131_072
TURN_TOKENS = 4
"""Tokens that a chat template puts around a turn."""

PICTURE_TOKENS = 64

REFUSALS_KEPT = 50

UNKNOWING = 0.5
"""The score of a pair that has nothing of the collection in it, such as a probe's; up to a hundredth more by the
instruction, so that a probe can tell that it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What the server takes: log-probabilities of an answer (20 as vLLM by default), pictures of a prompt."""

    logprobs: int = 20
    images: int | None = None


class Service:
    """Answers requests from one collection's truth. Thread-safe.

    Attributes:
        counts: what was served, by endpoint (`chat`, `score`, `rerank`), form of answer (`form:arrows`) and outcome
            (`answered`, `small_talk`, `malformed`, `refused`, `timeout`, `server_error`).
        refusals: why the latest refused requests were refused.
    """

    def __init__(self, reader: Reader, noise: Noise, caps: Caps) -> None:
        self._reader, self.noise, self._caps = reader, noise, caps
        self._lock = threading.Lock()
        self._repeats: Counter[bytes] = Counter()
        self.counts: Counter[str] = Counter()
        self.refusals: deque[str] = deque(maxlen=REFUSALS_KEPT)

    def snapshot(self) -> dict[str, int]:
        """The counts so far."""
        with self._lock:
            return dict(self.counts)

    def count(self, *names: str) -> None:
        """Add one to each of some counts."""
        with self._lock:
            self.counts.update(names)

    def refused(self, why: str) -> None:
        """Keep a refusal and its reason."""
        self.count("refused")
        with self._lock:
            self.refusals.append(why)

    def fault(self, content: bytes) -> Fault | None:
        """Whether this request, seen as often as it was, fails on the way."""
        with self._lock:
            repeat = self._repeats[content]
            self._repeats[content] += 1
        return self.noise.fault(content, repeat)

    def chat(self, body: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """The response to a chat completion. Raises `RefusedError`."""
        self._check(body)
        goes_on = bool(body.get("continue_final_message"))
        flow = self._reader.flow(body.get("messages") or [], goes_on=goes_on)
        if self._caps.images is not None and len(flow.pictures) > self._caps.images:
            raise RefusedError(f"At most {self._caps.images} image(s) may be provided in one prompt.")
        text, logprobs = self._answer(flow, content)
        tokens = tokens_of(text)
        most = _whole(body, "max_tokens") or _whole(body, "max_completion_tokens") or CONTEXT
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(tokens[:most])},
            "finish_reason": "length" if len(tokens) > most else "stop",
            "logprobs": None,
        }
        if body.get("logprobs"):
            first = padded(logprobs, _whole(body, "top_logprobs"))
            choice["logprobs"] = {"content": logprobs_content(choice["message"]["content"], first)}
        self.count("answered")
        return {
            "id": f"chatcmpl-{content.hex()[:12]}",
            "object": "chat.completion",
            "model": MODEL,
            "choices": [choice],
            "usage": _usage(flow, len(body["messages"]) - goes_on, min(most, len(tokens))),
        }

    def score(self, body: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """The response to ``/score``: one query with some documents, or as many queries. Raises `RefusedError`."""
        queries = _sides(_field(body, "text_1", "queries", "data_1"))
        documents = _sides(_field(body, "text_2", "documents", "data_2"))
        if len(queries) not in (1, len(documents)):
            raise RefusedError(f"{len(queries)} queries came with {len(documents)} documents; send one, or one each")
        queries = queries * len(documents) if len(queries) == 1 else queries
        pairs = zip(queries, documents, strict=True)
        scores = [self._pair(query, document, body, content, place) for place, (query, document) in enumerate(pairs)]
        self.count("answered")
        rows = [{"index": place, "object": "score", "score": score} for place, score in enumerate(scores)]
        return {"id": f"score-{content.hex()[:12]}", "object": "list", "model": MODEL, "data": rows, "usage": {}}

    def rerank(self, body: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        """The response to ``/rerank``: documents by falling score. Raises `RefusedError`."""
        query, documents = _field(body, "query"), _sides(_field(body, "documents"))
        scores = [self._pair(query, document, body, content, place) for place, document in enumerate(documents)]
        self.count("answered")
        order = sorted(range(len(scores)), key=lambda place: -scores[place])[: _whole(body, "top_n") or len(scores)]
        rows = [{"index": place, "relevance_score": scores[place]} for place in order]
        return {"id": f"rerank-{content.hex()[:12]}", "model": MODEL, "results": rows, "usage": {}}

    def _answer(self, flow: Flow, content: bytes) -> tuple[str, dict[str, float]]:
        """What is written after the prefix, and the log-probabilities of its first token."""
        question = understood(self._reader, flow)
        if question is None:
            self.count("small_talk")
            return "yes", normalised({"yes": 1.0, "no": 0.0})
        self.count(f"form:{question.form.kind}")
        worth = self.noise.felt(question.worth, content)
        if self.noise.spoils(content):
            self.count("malformed")
            text = spoiled(question, worth, self.noise.chance(content, "spoiled"))
            return remainder(text, question.prefix), normalised({"I": 0.0, "The": -1.0})
        text = remainder(written(question, worth, think=self.noise.think and not question.prefix), question.prefix)
        return text, first_tokens(question, worth)

    def _pair(self, query: Any, document: Any, body: Mapping[str, Any], content: bytes, place: int) -> float:
        asked, judged = (
            self._reader.things(Flow(text, tuple(seen))) for text, seen in map(self._reader.content, (query, document))
        )
        if not asked and not judged:
            self.count("small_talk")
            said = str(body.get("instruction", body.get("instruct", ""))).encode()
            chance = UNKNOWING + content_of(said)[0] / 25_600
            return chance if body.get("use_activation") is not False else math.log(chance / (1 - chance))
        if not judged:
            raise RefusedError(f"document {place} holds nothing of this toy collection; send its own media and texts")
        worth = relevance(self._reader.known, right_answers(self._reader.known, asked), one_item(judged))
        felt = self.noise.felt([worth], content + place.to_bytes(4, "big"))[0]
        return log_odds(felt) if body.get("use_activation") is False else probability(felt)

    def _check(self, body: Mapping[str, Any]) -> None:
        if not isinstance(body.get("messages"), list):
            raise RefusedError(f"messages is {short(repr(body.get('messages')), 60)}; send a list of messages")
        if body.get("stream") or _whole(body, "n") > 1:
            raise RefusedError("stream and n > 1 are not served; ask for one whole answer")
        if body.get("continue_final_message") and body.get("add_generation_prompt", True):
            raise RefusedError("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
        asked = _whole(body, "top_logprobs")
        if (body.get("logprobs") or asked) and self.noise.refuse_logprobs:
            raise RefusedError("logprobs are not supported by this server")
        if asked > self._caps.logprobs:
            raise RefusedError(
                f"Requested sample logprobs of {asked}, which is greater than max allowed: {self._caps.logprobs}"
            )


def content_of(body: bytes) -> bytes:
    """A hash of everything a request holds: what its errors are drawn from."""
    return hashlib.blake2b(body, digest_size=16).digest()


def _field(body: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if name in body:
            return body[name]
    raise RefusedError(f"the request has no {' or '.join(names)}")


def _whole(body: Mapping[str, Any], name: str) -> int:
    """A whole number of a request, 0 where it is not given."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or value < 0):
        raise RefusedError(f"{name} is {short(repr(value), 40)}; it must be a whole number from 0 on")
    return int(value or 0)


def _sides(value: Any) -> list[Any]:
    """One text or content, or a list of them; a bare list of parts is one content."""
    if isinstance(value, list) and not any(isinstance(part, dict) and "type" in part for part in value):
        return value
    return [value]


def _usage(flow: Flow, turns: int, written_tokens: int) -> dict[str, int]:
    read = len(tokens_of(flow.text)) + len(tokens_of(flow.prefix)) + TURN_TOKENS * (turns + 1)
    read += PICTURE_TOKENS * len(flow.pictures)
    return {"prompt_tokens": read, "completion_tokens": written_tokens, "total_tokens": read + written_tokens}
