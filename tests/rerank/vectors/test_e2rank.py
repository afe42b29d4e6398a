"""The listwise query and the stage that embeds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mmrank.errors import MediaError, UsageError
from mmrank.rerank.vectors.e2rank import e2rank, listwise_query, listwise_text
from mmrank.rerank.vectors.source import GivenVectors
from mmrank.types import Item, Query, Ranking

MakeRanking = Callable[..., Ranking]


@dataclass
class Listening:
    """A source that keeps the queries it was asked for."""

    inner: GivenVectors
    heard: list[Query] = field(default_factory=list)

    def known_vectors(self, ids: Sequence[str]) -> Any:
        return self.inner.known_vectors(ids)

    def query_vectors(self, queries: Sequence[Query], *, compose: str | None = None) -> Any:
        self.heard += queries
        return self.inner.query_vectors(queries, compose=compose)


def test_documents_are_numbered_and_cut() -> None:
    text = listwise_text("boats", ["one two three", "four"], task="Do it.", words=2)
    assert text.splitlines() == ["Do it.", "[1] one two", "[2] four", "Search query: boats"]


def test_the_query_keeps_what_it_is_and_pictures_come_only_when_asked() -> None:
    query = Query(text="at night", image="ref.jpg", turns=("a boat",), id="q", exclude=("x",))
    items = [Item(id="a", kind="image", uri="a.jpg", text="a red boat"), Item(id="b", kind="image", uri="b.jpg")]
    plain = listwise_query(query, items)
    assert (plain.id, plain.exclude, plain.images, plain.turns) == ("q", ("x",), ("ref.jpg",), ())
    assert plain.text is not None
    assert plain.text.splitlines()[1:] == ["[1] a red boat", "Search query: a boat at night"]
    assert listwise_query(query, items, pictures=True).images == ("ref.jpg", "a.jpg", "b.jpg")


def test_the_stage_embeds_the_first_hits_and_scores_all(source: GivenVectors, ranking: MakeRanking) -> None:
    ids = [f"i{n}" for n in range(20)]
    listening = Listening(source)
    (after,) = e2rank(listening, depth=10, feedback=3).process([ranking(ids)])
    (asked,) = listening.heard
    assert asked.text is not None
    assert asked.text.splitlines()[1:] == ["[1] i0", "[2] i1", "[3] i2", "Search query: q"]
    cosines = np.stack([source.items[i] for i in ids[:10]]) @ source.queries["q"]
    assert after.ids == (*(ids[n] for n in np.argsort(-cosines, kind="stable")), *ids[10:])


def test_a_form_of_ones_own_may_fail_on_one_query(source: GivenVectors, ranking: MakeRanking) -> None:
    def write(query: Query, items: Sequence[Item]) -> Query:
        if query.id == "bad":
            raise MediaError("cannot be read")
        return query

    bad = ranking(["i1", "i2"], query=Query(text="x", id="bad"))
    failed, fine = e2rank(source, write=write).process([bad, ranking(["i1", "i2"])])
    assert (failed.ids, failed.outcome, failed.records[0].error) == (("i1", "i2"), "fell_back", "cannot be read")
    assert fine.outcome == "ok"


def test_hits_without_text_are_noted(source: GivenVectors) -> None:
    from mmrank.types import Hit

    hits = [Hit(item=Item(id=f"i{n}", kind="image", text=None if n else "boat"), score=-n) for n in range(4)]
    (after,) = e2rank(source, feedback=3).process([Ranking(query=Query(text="q", id="q"), hits=hits)])
    assert after.records[0].note == "2 of the first 3 hits have no text for the listwise query."


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="feedback"):
        e2rank(GivenVectors(), feedback=0)
