"""Many prompts through a model that takes so many tokens at a time: buckets by length, smaller after a failure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mmrank.errors import MmrankError
from mmrank.hub import first_line
from mmrank.mllm.base import Failure

R = TypeVar("R")


@dataclass(slots=True)
class Budget:
    """How many tokens (padding included) one batch may hold; it shrinks when a batch did not fit into memory."""

    tokens: int

    def shrink(self, tried: int) -> None:
        """Remember that a batch of `tried` tokens was too large."""
        self.tokens = max(1, min(self.tokens, tried // 2))


def pack(lengths: Sequence[int], budget: int, groups: Sequence[Hashable | None] | None = None) -> list[list[int]]:
    """Positions in batches of like length, longest first: so little is padding, and what does not fit fails at once.

    A prompt longer than the budget is a batch of its own. `groups`: prompts of one group lie next to each other, in as
    few batches as can be; prompts of no group (None) come last and share no batch with the others.

    >>> pack([10, 40, 12, 11], budget=40)
    [[1], [2, 3, 0]]
    >>> pack([10, 40, 12, 11], budget=60, groups=["a", None, "b", "a"])
    [[2, 3, 0], [1]]
    """
    own = list(groups) if groups is not None else [None] * len(lengths)
    longest: dict[Hashable, tuple[int, int]] = {}
    for i, group in enumerate(own):
        size, first = longest.get(group, (0, i))
        longest[group] = max(size, lengths[i]), first

    def place(i: int) -> tuple[bool, int, int, int, int]:
        size, first = longest[own[i]]
        return own[i] is None, -size, first, -lengths[i], i

    batches: list[list[int]] = []
    widest = 0
    for i in sorted(range(len(lengths)), key=place):
        alike = batches and (own[i] is None) == (own[batches[-1][0]] is None)
        if alike and max(widest, lengths[i]) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
            widest = max(widest, lengths[i])
        else:
            batches.append([i])
            widest = lengths[i]
    return batches


def run_batches(
    lengths: Sequence[int],
    budget: Budget,
    run: Callable[[Sequence[int]], Sequence[R | Failure]],
    *,
    groups: Sequence[Hashable | None] | None = None,
    ahead: Callable[[Sequence[int]], None] | None = None,
) -> list[R | Failure]:
    """`run` on batches of positions; one result for each position, in order. `groups`: as in `pack`.

    `ahead` is told the batch that comes next, before the present one is run, so that it can be got ready meanwhile.
    A batch that does not fit into memory is halved and the smaller budget kept; a batch that fails otherwise is halved
    too, until the prompt at fault stands alone: it becomes a `Failure`, the others are answered. Errors that mmrank
    raises on purpose are not caught.
    """
    results: dict[int, R | Failure] = {}
    waiting = pack(lengths, budget.tokens, groups)[::-1]
    while waiting:
        batch = waiting.pop()
        size = max(lengths[i] for i in batch) * len(batch)
        if len(batch) > 1 and size > budget.tokens:  # the budget shrank since this batch was packed
            waiting += [[batch[i] for i in part] for part in pack([lengths[i] for i in batch], budget.tokens)][::-1]
            continue
        if ahead is not None and waiting:
            ahead(waiting[-1])
        fault = _try(batch, run, results)
        if fault is None:
            continue
        out_of_memory = _is_out_of_memory(fault)
        if out_of_memory:
            _free_memory()
        if len(batch) == 1:
            results[batch[0]] = Failure(error=_why(fault, lengths[batch[0]], out_of_memory=out_of_memory))
            continue
        if out_of_memory:
            budget.shrink(size)
        half = (len(batch) + 1) // 2
        waiting += [batch[half:], batch[:half]]
    return [results[i] for i in range(len(lengths))]


def _try(
    batch: Sequence[int], run: Callable[[Sequence[int]], Sequence[R | Failure]], results: dict[int, R | Failure]
) -> Exception | None:
    """Run a batch into `results`; the error it failed with, without the traceback that would hold on to its tensors."""
    try:
        results.update(zip(batch, run(batch), strict=True))
    except MmrankError:
        raise
    # torch and the model's own code: whatever they raise (out of memory, a shape, a kernel) is this batch's failure,
    # named in the Failure of the prompt it comes down to.
    except Exception as error:  # noqa: BLE001
        return error.with_traceback(None)
    return None


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error)
    return "out of memory" in words or "can't allocate memory" in words


def _free_memory() -> None:
    """Give a GPU's cached blocks back. A CPU's tensors are gone already: they are counted, and their batch is over."""
    import gc

    import torch

    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def _why(error: Exception, tokens: int, *, out_of_memory: bool) -> str:
    if out_of_memory:
        return (
            f"The prompt takes {tokens} tokens and does not fit into memory, even alone. Show fewer or smaller "
            "pictures, or fewer candidates at a time."
        )
    return f"The model failed on a prompt of {tokens} tokens: {type(error).__name__}: {first_line(error)}"
