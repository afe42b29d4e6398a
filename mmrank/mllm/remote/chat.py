"""Requests to the chat endpoint, and what its answers hold."""

from __future__ import annotations

import re
import threading
from typing import Any

from mmrank.mllm.base import Failure, Sampling
from mmrank.mllm.prompt import Prompt
from mmrank.mllm.remote.calls import Caller, Refusal, Reply
from mmrank.mllm.remote.once import SentOnce, leaves_out
from mmrank.mllm.remote.spec import Server
from mmrank.mllm.remote.wire import Blocks, PictureStore, messages
from mmrank.types import Cost

NEUTRAL: dict[str, Any] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Sampling parameters beyond OpenAI's, at the values that do nothing. vLLM and SGLang take what is not sent from the
checkpoint's generation_config.json (Qwen3-VL: top_k 20), llama.cpp from defaults of its own."""

REFUSABLE = frozenset({*NEUTRAL, "seed", "response_format"})
"""Left out from then on when a server says that it does not know them. A `top_k` that was asked for is not."""

UNKNOWN_FIELD = (400, 422)


class Chat:
    """The chat endpoint of one server, and what was learnt about the fields it takes."""

    def __init__(self, server: Server, caller: Caller, store: PictureStore, *, pictures_once: bool = False) -> None:
        self._server = server
        self._caller = caller
        self._once = SentOnce(store) if pictures_once else None
        self._blocks: Blocks = self._once or store
        self._refused: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self.most_images: int | None = None
        """The largest number of pictures in a prompt, once a refusal has named it."""

    @property
    def refused(self) -> frozenset[str]:
        """Fields the server was found not to know, which it is not sent any more."""
        return self._refused

    def ask(self, prompt: Prompt, sampling: Sampling, *, retries: int | None = None, **more: Any) -> Reply | Refusal:
        """Send one prompt. `more`: further fields. Raises `MediaError` when a picture has gone."""
        body = self.request(prompt, sampling) | more
        firm = {"top_k"} if sampling.top_k is not None else set()
        if self._once is None:
            return self.send(body, firm=firm, retries=retries)
        left_out = leaves_out(body)
        outcome = self.send(body, firm=firm, retries=0 if left_out else retries)
        if left_out and isinstance(outcome, Refusal):
            self._once.missed(prompt)
            outcome = self.send(self.request(prompt, sampling) | more, firm=firm, retries=retries)
            left_out = False
        if isinstance(outcome, Reply):
            self._once.arrived(prompt, left_out=left_out)
        return outcome

    def request(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        """The JSON of a request, with every sampling parameter in it."""
        body: dict[str, Any] = {
            "model": self._server.model,
            "messages": messages(prompt, self._blocks),
            "n": 1,
            "stream": False,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            **NEUTRAL,
        }
        if sampling.top_k is not None:
            body["top_k"] = sampling.top_k
        if sampling.json:
            body["response_format"] = {"type": "json_object"}
        if prompt.answer_prefix:
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body

    def send(
        self, body: dict[str, Any], *, firm: set[str] | frozenset[str] = frozenset(), retries: int | None = None
    ) -> Reply | Refusal:
        """Send a request; fields the server does not know, except `firm` ones, are left out and it is sent again."""
        while True:
            body = {name: value for name, value in body.items() if name not in self._refused - firm}
            outcome = self._caller.post(f"{self._server.base_url}/chat/completions", body, retries=retries)
            if isinstance(outcome, Reply):
                return outcome
            self._learn_images(outcome)
            named = {name for name in (REFUSABLE - firm) & body.keys() if re.search(rf"\b{name}\b", outcome.words)}
            if outcome.status not in UNKNOWN_FIELD or not named:
                return outcome
            with self._lock:
                self._refused |= named

    def _learn_images(self, refusal: Refusal) -> None:
        found = re.search(r"[Aa]t most (\d+) image", refusal.words)
        if found:
            self.most_images = int(found.group(1))


def failed(refusal: Refusal) -> Failure:
    """A refusal as the result of a call."""
    return Failure(
        error=refusal.words,
        retry=refusal.passing,
        retries=refusal.retries,
        cost=Cost(model_calls=1, seconds=refusal.seconds),
    )


def written(body: Any) -> tuple[str, bool] | str:
    """The text of a chat completion and whether it was cut at the token limit; a sentence when there is no text."""
    try:
        choice = body["choices"][0]
        reason, text = choice.get("finish_reason"), choice["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        return "the server's answer has no choices"
    if reason == "content_filter":
        return "the server's content filter stopped the answer"
    if reason in ("abort", "error"):
        return f"the server broke the answer off (finish_reason {reason})"
    if isinstance(text, list):  # content parts, as some gateways write them
        text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
    cut = reason == "length"
    if text is None and cut:
        return "", True  # a reasoning model that did not come to its answer
    if not isinstance(text, str):
        return f"the server's answer has no text (finish_reason {reason})"
    return text, cut


def cost_of(body: Any, seconds: float, pictures: int) -> Cost:
    """What one call took. Tokens are the server's own count, 0 where it gives none; `seconds` are of this call alone,
    and calls run side by side."""
    usage = body.get("usage") if isinstance(body, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    return Cost(
        model_calls=1,
        tokens_in=int(usage.get("prompt_tokens") or 0),
        tokens_out=int(usage.get("completion_tokens") or 0),
        images_encoded=pictures,
        seconds=seconds,
    )
