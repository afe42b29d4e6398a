"""One call over many prompts: drafted, cut into batches, encoded while the batch before runs, and paid for."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from mmrank.errors import MediaError, MllmError
from mmrank.mllm.base import Failure
from mmrank.mllm.local.batching import Budget, run_batches
from mmrank.mllm.local.cuts import Cut
from mmrank.mllm.local.drafts import Draft, Drafter
from mmrank.mllm.local.encode import Encoded, Encoder, Prepared
from mmrank.mllm.prompt import Prompt
from mmrank.types import Cost

R = TypeVar("R")

Step: TypeAlias = Callable[[Sequence[Encoded], Sequence[int]], Sequence[R | Failure]]
"""Runs the model on a batch; given the batch and the places of its prompts in the call."""

Cutter: TypeAlias = Callable[[Sequence[Draft]], "list[Cut | None]"]
"""Says which drafts share a prefix; a batch then has prompts with a cut only, or without one only."""


class Calls:
    """Runs steps over prompts. `context`: the model's limit in tokens. `overlap`: whether batches may be prepared in a
    thread beside the model, which the encoder must be able to do."""

    def __init__(self, drafter: Drafter, encoder: Encoder, *, context: int | None, overlap: bool) -> None:
        self._drafter, self._encoder, self._context = drafter, encoder, context
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="mmrank-prepare") if overlap else None

    def run(
        self,
        prompts: Sequence[Prompt],
        step: Step[R],
        *,
        budget: Budget,
        check: Callable[[Draft, int], object] | None = None,
        room: int = 0,
        cutter: Cutter | None = None,
    ) -> list[R | Failure]:
        """Draft all prompts, run `step` on batches of them, and put Failures where a prompt could not be asked.

        `check` may refuse a draft by raising; `room`: tokens kept free behind each prompt.
        """
        results: dict[int, R | Failure] = {}
        drafts: dict[int, Draft] = {}
        for i, prompt in enumerate(prompts):
            try:
                drafts[i] = self._fitting(self._drafter.draft(prompt))
            except (MllmError, MediaError) as error:
                results[i] = Failure(error=str(error))
                continue
            if check is not None:
                check(drafts[i], i)
        places = list(drafts)
        cuts = cutter([drafts[i] for i in places]) if cutter is not None else [None] * len(places)
        ahead = _Ahead(self._encoder, self._beside, [drafts[i] for i in places])

        def run(batch: Sequence[int]) -> list[R | Failure]:
            return self._step(step, ahead, batch, [places[j] for j in batch], [cuts[j] for j in batch])

        groups: list[Hashable | None] = [None if cut is None else cut.spelling for cut in cuts]
        lengths = [drafts[i].tokens + room for i in places]
        try:
            done = run_batches(lengths, budget, run, groups=groups, ahead=ahead.begin)
        finally:
            ahead.drop()
        results.update(zip(places, done, strict=True))
        return [results[i] for i in range(len(prompts))]

    def _fitting(self, draft: Draft) -> Draft:
        if self._context is not None and draft.tokens > self._context:
            raise MllmError(
                f"The prompt takes {draft.tokens} tokens and the model's context is {self._context}. "
                "Show fewer or smaller pictures, or fewer candidates at a time."
            )
        return draft

    def _step(
        self, step: Step[R], ahead: _Ahead, batch: Sequence[int], places: Sequence[int], cuts: Sequence[Cut | None]
    ) -> list[R | Failure]:
        """One batch: encode, run, and share the seconds among its prompts by their tokens."""
        start = time.perf_counter()
        encoded = self._encoder.finish(ahead.take(batch))
        good = [j for j, e in enumerate(encoded) if isinstance(e, Encoded)]
        asked = [replace(e, cut=cut) for e, cut in zip(encoded, cuts, strict=True) if isinstance(e, Encoded)]
        answers = step(asked, [places[j] for j in good]) if asked else []
        seconds = time.perf_counter() - start
        total = sum(e.tokens for e in asked)
        out: list[R | Failure] = [Failure(error="" if isinstance(e, Encoded) else str(e)) for e in encoded]
        for j, e, answer in zip(good, asked, answers, strict=True):
            out[j] = _with_cost(answer, e, seconds * e.tokens / total)
        return out


class _Ahead:
    """The batches of one call: the next one is prepared beside the present one, and never more than these two."""

    def __init__(self, encoder: Encoder, beside: ThreadPoolExecutor | None, drafts: Sequence[Draft]) -> None:
        self._encoder, self._beside, self._drafts = encoder, beside, drafts
        self._next: tuple[int, ...] = ()
        self._begun: tuple[tuple[int, ...], Future[Prepared]] | None = None

    def begin(self, batch: Sequence[int]) -> None:
        """Note which batch is to be prepared as soon as the present one has been taken."""
        self._next = tuple(batch)

    def take(self, batch: Sequence[int]) -> Prepared:
        """The batch prepared, now or before; the next one is begun, less the pictures this one will bring."""
        begun, self._begun = self._begun, None
        ready = begun is not None and begun[0] == tuple(batch)  # not so for the first, and for half of one that failed
        present = begun[1].result() if begun is not None and ready else self._prepared(batch, ())
        if self._beside is not None and self._next:
            self._begun = self._next, self._beside.submit(self._prepared, self._next, frozenset(present.patches))
        self._next = ()
        return present

    def _prepared(self, batch: Sequence[int], awaited: Container[str]) -> Prepared:
        return self._encoder.prepare([self._drafts[i] for i in batch], awaited)

    def drop(self) -> None:
        """Let go of what was begun and not taken."""
        if self._begun is not None:
            self._begun[1].cancel()
            self._begun = None


def _with_cost(answer: R | Failure, encoded: Encoded, seconds: float) -> R | Failure:
    cost = Cost(
        model_calls=1,
        tokens_in=encoded.tokens,
        images_encoded=encoded.towers,
        cache_hits=encoded.hits,
        seconds=seconds,
    )
    known: dict[str, Any] = {"cost": answer.cost + cost}  # type: ignore[union-attr]
    if not isinstance(answer, Failure):
        known["shortened"] = encoded.draft.shortened
    made: R | Failure = replace(answer, **known)  # type: ignore[type-var]
    return made
