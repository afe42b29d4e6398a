"""Queries to vectors, each failing alone; loading the model is nobody's cost."""

from __future__ import annotations

import runpy
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.errors import EmbedderError, MediaError, MmrankError, UsageError
from mmrank.index.asked import check_unicode, embed_queries, vectors_or_errors
from mmrank.types import Query

WordHashEmbedder = runpy.run_path(str(Path(__file__).with_name("given.py")))["WordHashEmbedder"]


class Fussy:
    """The word-hash embedder, which refuses a batch with the word "bad" in it."""

    def __init__(self) -> None:
        self._inner = WordHashEmbedder()
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def embed_texts(self, texts: list[str]) -> Any:
        self.batches.append(len(texts))
        if "bad" in texts:
            raise EmbedderError("a bad text")
        return self._inner.embed_texts(texts)


def test_a_good_batch_goes_through_once_and_a_bad_one_falls_apart() -> None:
    embedder: Any = Fussy()
    good = vectors_or_errors(embedder, [Query(text="a"), Query(text="b")], None)
    assert embedder.batches == [2]
    assert np.allclose(np.stack(good), WordHashEmbedder().embed_texts(["a", "b"]))  # type: ignore[arg-type]
    first, failed, last = vectors_or_errors(embedder, [Query(text="a"), Query(text="bad"), Query(text="b")], None)
    assert isinstance(failed, EmbedderError)
    assert np.allclose(first, good[0])  # type: ignore[arg-type]
    assert np.allclose(last, good[1])  # type: ignore[arg-type]


def test_what_a_query_costs_and_what_it_does_not(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")

    def slow() -> Any:
        time.sleep(0.3)
        return WordHashEmbedder()

    picture = Query(image=str(tmp_path / "red.png"), text="a red one")
    both, gone = embed_queries(slow, [picture, Query(image=str(tmp_path / "gone.png"))], None)
    assert isinstance(gone, MediaError)
    assert not isinstance(both, MmrankError)
    assert (both[1].model_calls, both[1].images_encoded) == (1, 1)
    assert both[1].seconds < 0.3
    (text_side,) = embed_queries(slow, [picture], "text")
    assert not isinstance(text_side, MmrankError)
    assert text_side[1].images_encoded == 0


def test_no_model_is_loaded_when_there_is_nothing_to_embed() -> None:
    def never() -> Any:
        raise AssertionError("loaded")

    assert embed_queries(never, [], None) == []
    (broken,) = embed_queries(never, [Query(text="half \ud83d pair")], None)
    assert isinstance(broken, UsageError)


def test_half_a_surrogate_pair_is_named_with_its_place() -> None:
    check_unicode(Query(text="whole 🍕"))
    with pytest.raises(UsageError, match="position 5"):
        check_unicode(Query(text="half \ud83d"))
    with pytest.raises(UsageError, match="not valid Unicode"):
        check_unicode(Query(turns=("\udc00",)))
