"""Yes/no scores of pairs by a server's own prompt: vLLM's and SGLang's ``/score`` and ``/rerank``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mmrank.mllm.prompt import Part
from mmrank.mllm.remote.wire import PictureStore, content

Scale: TypeAlias = Literal["probability", "log_odds"]

LARGEST = 1 - 2.0**-24
"""The float32 below 1: servers compute in float32 or less, so a 1 means "at least this"."""

SMALLEST = 2.0**-126
"""The smallest normal float32: a 0 means "at most this"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to ask for pair scores.

    `path`: after the base URL, or after the root for paths that begin with ``//``. `wrapped`: contents of pictures
    and texts stand in ``{"content": [...]}`` (vLLM), or are the bare list (SGLang).
    """

    path: str
    endpoint: Literal["score", "rerank"]
    wrapped: bool = True

    def url(self, base: str, root: str) -> str:
        return root + self.path[1:] if self.path.startswith("//") else base + self.path


ROUTES = (
    Route(path="//score", endpoint="score"),
    Route(path="/score", endpoint="score"),
    Route(path="/rerank", endpoint="rerank"),
    Route(path="/rerank", endpoint="rerank", wrapped=False),
    Route(path="//rerank", endpoint="rerank"),
)
"""Tried in this order; the first that answers the probe is used from then on."""


def request(
    route: Route,
    model: str,
    query: Sequence[Part],
    documents: Sequence[Sequence[Part]],
    *,
    instruction: str | None,
    scale: Scale,
    store: PictureStore,
) -> dict[str, Any]:
    """The JSON that asks for the scores of one query with some documents. Raises `MediaError`.

    The instruction goes under both names in use (vLLM: `instruction`, SGLang: `instruct`).
    """
    asked = _side(query, route, store)
    shown = [_side(document, route, store) for document in documents]
    body: dict[str, Any] = {"model": model}
    if route.endpoint == "score":
        body |= {"text_1": asked, "text_2": shown}
    else:
        body |= {"query": asked, "documents": shown, "top_n": len(shown), "return_documents": False}
    if instruction is not None:
        body |= {"instruction": instruction, "instruct": instruction}
    if scale == "log_odds":
        body["use_activation"] = False
    return body


def _side(parts: Sequence[Part], route: Route, store: PictureStore) -> Any:
    shown = content(parts, store)
    return {"content": shown} if route.wrapped and not isinstance(shown, str) else shown


def scores(body: Any, count: int) -> list[float] | str:
    """One number per document, in the order they were sent; a sentence when the response does not hold them."""
    rows = body.get("data", body.get("results")) if isinstance(body, dict) else body
    if not isinstance(rows, list):
        return "the response has no list of scores"
    found: dict[int, float] = {}
    for row in rows:
        try:
            value = row["score"] if "score" in row else row["relevance_score"]
            found[int(row["index"])] = float(value)
        except (KeyError, TypeError, ValueError):
            return f"the response has an entry without a score: {str(row)[:100]}"
    if sorted(found) != list(range(count)) or len(rows) != count:
        return f"the response has {len(rows)} scores for {count} documents"
    return [found[place] for place in range(count)]


def log_odds(score: float, scale: Scale) -> float | str:
    """The log-odds of a score; a sentence when the number cannot be what `scale` says.

    A probability of exactly 1 or 0 gives the log-odds of the nearest float32 inside: 16.6, or -87.3.

    >>> log_odds(0.5, "probability"), round(log_odds(1.0, "probability"), 1), round(log_odds(0.0, "probability"), 1)
    (0.0, 16.6, -87.3)
    """
    if not math.isfinite(score):
        return f"the server's score is {score}, which is not a number to rank by"
    if scale == "log_odds":
        return score
    if not 0 <= score <= 1:
        return (
            f"the server's score {score:g} is not a probability. When this server gives logits, load it with "
            'pair_scale="log_odds"'
        )
    p = min(LARGEST, max(SMALLEST, score))
    return math.log(p) - math.log1p(-p)


def saturated(score: float, scale: Scale) -> bool:
    """Whether a score lies so near an end that it can no longer tell two documents apart."""
    return scale == "probability" and not SMALLEST <= score <= LARGEST
