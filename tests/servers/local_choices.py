"""A server over a model on this machine: chat with log-probabilities of the whole vocabulary, and pair scores.

It fills the checkpoint's own chat template with what arrives over HTTP and looks at all logits, so that it shares no
line with `mmrank.mllm.local`: what both ways say about one prompt must agree.
"""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

from PIL import Image

from tests.servers.openai_server import Answered, Json, OpenAIServer

SYSTEM = "Judge the document."


class LocalModel:
    """`model` and `processor` are transformers'; `answer`, `score`, `count` and `tokenize` are for `OpenAIServer`."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self._lock = threading.Lock()

    def answer(self, request: Json) -> Answered:
        import torch

        with self._lock, torch.inference_mode():
            batch = self._batch(request["messages"], open_end=bool(request.get("continue_final_message")))
            if request.get("logprobs"):
                row = torch.log_softmax(self.model(**batch, logits_to_keep=1).logits[0, -1].double(), -1)
                return Answered(text=self._token(int(row.argmax())), logprobs=self._likeliest(row, request))
            written = self.model.generate(**batch, max_new_tokens=request["max_tokens"], do_sample=False)
            ids = written[0, batch["input_ids"].shape[1] :]
        full = len(ids) >= request["max_tokens"]
        text = self.processor.tokenizer.decode(ids, skip_special_tokens=True)
        return Answered(text=text, finish="length" if full else "stop", tokens_out=len(ids))

    def score(self, query: Any, document: Any, instruction: str | None) -> float:
        """The probability of yes against no in float32, as vLLM's two-row head gives it."""
        import torch

        request = {"messages": pair_messages(query, document, instruction)}
        with self._lock, torch.inference_mode():
            logits = self.model(**self._batch(request["messages"], open_end=False), logits_to_keep=1).logits[0, -1]
        yes, no = (self.tokenize(word)[0] for word in ("yes", "no"))
        return float(torch.sigmoid((logits[yes] - logits[no]).float()))

    def count(self, request: Json) -> int:
        with self._lock:
            batch = self._batch(request["messages"], open_end=bool(request.get("continue_final_message")))
        return int(batch["input_ids"].shape[1])

    def tokenize(self, text: str) -> list[int]:
        return [int(token) for token in self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _likeliest(self, row: Any, request: Json) -> dict[str, float]:
        values, ids = row.topk(min(request["top_logprobs"], len(row)))
        return {self._token(int(i)): float(value) for value, i in zip(values, ids, strict=True)}

    def _token(self, token: int) -> str:
        return str(self.processor.tokenizer.decode([token]))

    def _batch(self, messages: list[Json], *, open_end: bool) -> Any:
        return self.processor.apply_chat_template(
            [{"role": m["role"], "content": _content(m["content"])} for m in messages],
            tokenize=True,
            add_generation_prompt=not open_end,
            continue_final_message=open_end,
            return_dict=True,
            return_tensors="pt",
        )


def pair_messages(query: Any, document: Any, instruction: str | None) -> list[Json]:
    """The prompt that the server itself makes of a pair."""
    words = f"Instruct: {instruction} Query: "
    content = [{"type": "text", "text": words}, *_blocks(query), {"type": "text", "text": " Document: "}]
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": [*content, *_blocks(document)]},
    ]


def serve(weights: Any, processor: Any, **options: Any) -> OpenAIServer:
    """A server that is not started yet; `options` are those of `OpenAIServer`."""
    local = LocalModel(weights, processor)
    return OpenAIServer(
        local.answer, **{"score": local.score, "count": local.count, "tokenize": local.tokenize, **options}
    )


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _content(content: Any) -> list[Json]:
    """Content as transformers' processors take it: pictures as PIL images."""
    return [
        block if block["type"] == "text" else {"type": "image", "image": _picture(block["image_url"]["url"])}
        for block in _blocks(content)
    ]


def _picture(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB")
