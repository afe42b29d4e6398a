"""Sentences of the collection that stand in for queries, and the gaps measured with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrank.embed.base import Embedder
from mmrank.index.calibrate import Mean, gaps
from mmrank.index.index import Index
from mmrank.index.sentences import FEWEST, PER_KIND, drawn, drawn_sentences, sentences, setting_key
from mmrank.index.snapshot import Channel
from mmrank.types import Item

TEXT, IMAGE, PAGE = Channel("text", "vector"), Channel("image", "vector"), Channel("page", "vector")


def mean(*numbers: float) -> Mean:
    return Mean(rows=9, vector=np.array(numbers, np.float32))


def test_sentences_are_lines_and_sentences_of_some_words() -> None:
    text = "# Title here\n\nOne sentence. Another one!  \n- a point\n7\n" + "long " * 90
    assert list(sentences(text)) == ["Title here", "One sentence.", "Another one!", "a point"]


def test_a_draw_is_bounded_and_the_same_every_time() -> None:
    texts = [f"sentence number {n}." for n in range(3 * PER_KIND)]
    assert len(drawn(texts)) == PER_KIND
    assert drawn(texts) == drawn(texts[::-1])
    assert drawn(texts[:3]) == sorted(texts[:3])


def test_the_gap_of_a_channel_is_measured_with_sentences_of_other_kinds() -> None:
    means = {TEXT: mean(1, 0), IMAGE: mean(0, 1), PAGE: mean(0.5, 0.5)}
    spoken = {"text": mean(0.2, 0.4), "page": mean(0.6, 0.8)}
    found = gaps(means, mean(9, 9), spoken)["text"]  # type: ignore[arg-type]
    assert found[TEXT] == pytest.approx(0.6)
    assert found[IMAGE] == pytest.approx((0.4 + 0.8) / 2)
    assert found[PAGE] == pytest.approx(0.5 * 0.2 + 0.5 * 0.4)


def test_where_no_other_kind_speaks_half_its_own_and_half_everyday_sentences_stand_in() -> None:
    found = gaps({TEXT: mean(1, 0), IMAGE: mean(0, 1)}, mean(0.1, 0.3), {"text": mean(0.7, 0.4)})["text"]
    assert found[TEXT] == pytest.approx((0.7 + 0.1) / 2)
    assert found[IMAGE] == pytest.approx(0.4)


def test_a_build_keeps_them_and_draws_again_when_a_kind_has_doubled(
    tmp_path: Path, embedder: Embedder, write_images: object
) -> None:
    index = Index.create(str(tmp_path / "index"), embedder)
    folder = write_images(tmp_path / "photos", 2)  # type: ignore[operator]
    photos = [Item(id=p.stem, kind="image", uri=str(p)) for p in sorted(folder.iterdir())]

    def notes(first: int, last: int) -> list[Item]:
        return [Item(id=f"n{n}", kind="text", text=f"note number {n} of all.") for n in range(first, last)]

    index.add([*photos, *notes(0, FEWEST - 1)])
    assert index._store.setting(setting_key("text")) is None
    index.add(notes(FEWEST - 1, 2 * FEWEST))
    kept = index._store.setting(setting_key("text"))
    assert (kept["rows"], kept["of_rows"]) == (2 * FEWEST, 2 * FEWEST)
    index.add(notes(2 * FEWEST, 3 * FEWEST))
    assert index._store.setting(setting_key("text"))["of_rows"] == 2 * FEWEST
    index.add(notes(3 * FEWEST, 4 * FEWEST))
    assert index._store.setting(setting_key("text"))["rows"] == 4 * FEWEST
    assert len(drawn_sentences(index._store.items, "text")) == 4 * FEWEST
    assert index._store.setting(setting_key("image")) is None
