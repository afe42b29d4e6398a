from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import Embedded, Embedder
from mmrank.index.embedding import embed_batch
from mmrank.index.work import Content, Work, prepare_work
from mmrank.types import Item


def _batch(embedder: Embedder, count: int) -> list[Work]:
    rng = np.random.default_rng(0)
    works = []
    for number in range(count):
        picture = Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
        item = Item(id=str(number), kind="image", image=picture)
        work = Work(item=item, content=Content(digest=f"d{number}"), leads=True)
        works.append(prepare_work(work, embedder, thumbnails=True))
    return works


def test_every_content_gets_the_vectors_the_embedder_gives(embedder: Embedder) -> None:
    works = _batch(embedder, 5)
    expected = embedder.embed([work.prepared for work in works])
    embed_batch(embedder, works)
    for work, one in zip(works, expected, strict=True):
        assert work.content.error is None
        assert work.content.embedded is not None
        np.testing.assert_array_equal(work.content.embedded.vector, one.vector)
        assert work.prepared is None  # no pixels wait for the writer
        assert work.item.image is None
        assert work.content.thumbnail is not None


@pytest.mark.parametrize(
    ("poison", "why"),
    [
        ("nan", "NaN or infinity"),
        ("zero", "has length 0; it must be a unit vector"),
        ("long", "has length 3"),
        ("crash", "RuntimeError: CUDA error"),
        ("missing", "item '2' was lost"),
    ],
)
def test_one_bad_item_does_not_take_the_others_along(watched: Any, poison: str, why: str) -> None:
    works = _batch(watched, 6)
    watched.poison = {"2": poison}
    embed_batch(watched, works)
    for work in works:
        if work.item.id == "2":
            assert why in (work.content.error or "")
        else:
            assert work.content.error is None
            assert work.content.embedded is not None
    # Halving finds the one that crashes; nothing else is embedded twice.
    assert sorted(name for name in watched.embedded if name != "2") == ["0", "1", "3", "4", "5"]


def test_items_that_could_not_be_prepared_are_not_embedded(watched: Any) -> None:
    works = _batch(watched, 2)
    works[0].content.error = "truncated"
    embed_batch(watched, works)
    assert watched.embedded == ["1"]
    assert works[0].content.error == "truncated"


@pytest.mark.parametrize("given", [[], [Embedded(vector=np.ones(3, np.float32))] * 2])
def test_an_embedder_that_breaks_the_contract_is_named(embedder: Embedder, given: list[Embedded]) -> None:
    class Broken:
        spec = "my embedder"
        dimension = embedder.dimension

        def embed(self, prepared: Any) -> list[Embedded]:
            return given

    works = _batch(embedder, 2)
    embed_batch(Broken(), works)  # type: ignore[arg-type]
    for work in works:
        assert "gave 0 results" in (work.content.error or "") or "not 32 numbers" in (work.content.error or "")
