"""From hits to the slots a judge is shown, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmrank.types import Hit

if TYPE_CHECKING:
    from mmrank.rerank.recipe import Recipe


def expanded(hits: Sequence[Hit], recipe: Recipe) -> list[int]:
    """The slots of a recipe: for each the position of the hit it shows."""
    expand = source_slots if recipe.slots == "sources" else candidate_slots
    return expand(hits, recipe.max_slots)


def candidate_slots(hits: Sequence[Hit], max_slots: int | None = None) -> list[int]:
    """Each hit once, in order: slot i shows hit i.

    >>> candidate_slots(["a", "b", "c"], 2)
    [0, 1]
    """
    return list(range(len(hits)))[:max_slots]


def source_slots(hits: Sequence[Hit], max_slots: int | None = None) -> list[int]:
    """Each hit once for every list it came from, round robin: rank 1 of each list, then rank 2 of each, ...

    How often and where a candidate comes up carries its retrievers' votes (ViC's `duplicate` mode, arXiv 2511.01617).
    Lists stand in the order in which the hits name them. A hit without sources counts as its own rank in one more list.
    Returns the hit's position for each slot.
    """
    lists: dict[str, int] = {}
    for hit in hits:
        for source in hit.sources:
            lists.setdefault(source.name, len(lists))
    placed = [
        (source.rank, lists[source.name], position) for position, hit in enumerate(hits) for source in hit.sources
    ]
    placed += [(position + 1, len(lists), position) for position, hit in enumerate(hits) if not hit.sources]
    return [position for _, _, position in sorted(placed)][:max_slots]


def collapse(order: Sequence[int], slots: Sequence[int]) -> list[int]:
    """An order of slots as an order of hits: a hit stands where its best slot stands.

    >>> collapse([2, 0, 1], [7, 8, 7])
    [7, 8]
    """
    return list(dict.fromkeys(slots[slot] for slot in order))
