"""Sending pairs in requests of one query each, and mending the batch when one document is refused."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mmrank.errors import MediaError
from mmrank.mllm.base import Failure, PairScore
from mmrank.mllm.prompt import ImagePart, Pair, Prompt
from mmrank.mllm.remote import pairs
from mmrank.mllm.remote.calls import Caller, Refusal
from mmrank.mllm.remote.chat import cost_of, failed
from mmrank.mllm.remote.spec import Server
from mmrank.mllm.remote.wire import PictureStore
from mmrank.types import Cost


def grouped(prompts: Sequence[Prompt], size: int) -> list[list[int]]:
    """Places of prompts that share query and instruction, at most `size` together, each place once.

    >>> from mmrank.mllm.prompt import TextPart
    >>> def prompt(query): return Prompt(messages=(), pair=Pair(query=(TextPart(text=query),), document=()))
    >>> grouped([prompt("a"), prompt("b"), prompt("a"), prompt("a")], 2)
    [[0, 2], [3], [1]]
    """
    by_query: dict[tuple[object, str | None], list[int]] = {}
    for place, prompt in enumerate(prompts):
        pair = _pair(prompt)
        by_query.setdefault((pair.query, pair.instruction), []).append(place)
    return [places[i : i + size] for places in by_query.values() for i in range(0, len(places), size)]


def _pair(prompt: Prompt) -> Pair:
    assert prompt.pair is not None, "checked by the caller"
    return prompt.pair


class PairAsker:
    """Asks for the scores of prompts that share their query. `saturated`: scores that were exactly 0 or 1."""

    def __init__(
        self, server: Server, caller: Caller, store: PictureStore, route: pairs.Route, scale: pairs.Scale
    ) -> None:
        self._server = server
        self._caller = caller
        self._store = store
        self._route = route
        self._scale: pairs.Scale = scale
        self._lock = threading.Lock()
        self.saturated = 0

    def ask(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        """One result per prompt. A request that is refused for good is taken apart, so that one document that the
        server does not like costs the others nothing."""
        shared = _pair(prompts[0])
        try:
            body = pairs.request(
                self._route,
                self._server.model,
                shared.query,
                [_pair(prompt).document for prompt in prompts],
                instruction=shared.instruction,
                scale=self._scale,
                store=self._store,
            )
        except MediaError as error:
            return self._apart(prompts) or [Failure(error=str(error))]
        outcome = self._caller.post(self._route.url(self._server.base_url, self._server.root_url), body)
        if isinstance(outcome, Refusal):
            apart = [] if outcome.passing else self._apart(prompts)
            return apart or [failed(outcome) for _ in prompts]
        found = pairs.scores(outcome.body, len(prompts))
        pictures = sum(isinstance(part, ImagePart) for p in prompts for part in (*_pair(p).query, *_pair(p).document))
        costs = _shares(cost_of(outcome.body, outcome.seconds, pictures), len(prompts))
        if isinstance(found, str):
            return [Failure(error=found, retries=outcome.retries, cost=cost) for cost in costs]
        return [self._scored(score, cost, outcome.retries) for score, cost in zip(found, costs, strict=True)]

    def _apart(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        if len(prompts) == 1:
            return []
        return [result for prompt in prompts for result in self.ask([prompt])]

    def _scored(self, score: float, cost: Cost, retries: int) -> PairScore | Failure:
        value = pairs.log_odds(score, self._scale)
        if isinstance(value, str):
            return Failure(error=value, cost=cost)
        if pairs.saturated(score, self._scale):
            with self._lock:
                self.saturated += 1
        return PairScore(log_odds=value, retries=retries, cost=cost)


def _shares(cost: Cost, count: int) -> list[Cost]:
    """One request's cost among its pairs: the numbers add up to it, and every pair is one model call."""
    whole = [
        Cost(
            model_calls=1,
            tokens_in=cost.tokens_in // count,
            tokens_out=cost.tokens_out // count,
            images_encoded=cost.images_encoded // count,
            seconds=cost.seconds / count,
        )
        for _ in range(count)
    ]
    rest = Cost(
        tokens_in=cost.tokens_in % count,
        tokens_out=cost.tokens_out % count,
        images_encoded=cost.images_encoded % count,
    )
    return [whole[0] + rest, *whole[1:]]
