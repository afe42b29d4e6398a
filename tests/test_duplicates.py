"""Near-identical hits: equal content, pictures that show the same, vectors within a cosine."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest
from PIL import Image

from mmrank.duplicates import WITHOUT_LOOK, distinct
from mmrank.errors import UsageError
from mmrank.rerank.vectors.source import GivenVectors
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import edit, possible_changes
from mmrank.toybox.grammar import sample_scenes
from mmrank.types import Hit, Item, Kind, Query, Ranking

Vectors = Mapping[str, np.ndarray]


@dataclass
class Shelf:
    """What an index says of its Items."""

    vectors: Vectors
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def known_vectors(self, ids: Sequence[str]) -> Vectors:
        return {i: self.vectors[i] for i in ids if i in self.vectors}

    def contents(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {i: self.hashes[i] for i in ids if i in self.hashes}

    def thumbnails(self, ids: Sequence[str]) -> Mapping[str, bytes]:
        self.asked += ids
        return {i: self.pictures[i] for i in ids if i in self.pictures}


def at(cosine: float) -> np.ndarray:
    return np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)


def ranking(ids: str, kind: Kind = "image") -> Ranking:
    return Ranking(query=Query(text="q"), hits=[Hit(item=Item(id=i, kind=kind), score=0.0) for i in ids])


def leading(after: Ranking) -> dict[str, str]:
    return {hit.id: "".join(f.hit.id for f in hit.folded) for hit in after}


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def test_equal_content_is_one_whatever_the_kind() -> None:
    shelf = Shelf({i: at(0.0) for i in "abc"}, hashes={"a": "x", "b": "y", "c": "x"})
    (after,) = distinct(shelf).process([ranking("abc", "text")])
    assert leading(after) == {"a": "c", "b": ""}
    assert after.hits[0].folded[0].by == "distinct"
    assert after.records[-1].note == "1 hit folded behind 1 other; 3 looked at."
    assert shelf.asked == []


def test_pictures_fold_when_they_show_the_same_and_not_when_one_object_changed() -> None:
    rng, pictures, truth = Random(3), {}, {}
    for number, scene in enumerate(sample_scenes(6, seed=11)):
        base = draw(scene, 160)
        changes = possible_changes(scene)
        other = draw(edit(scene, changes[number % len(changes)], rng).target, 160)
        letters = "abcd"
        shown = (base, base.resize((80, 80)), base.crop((3, 3, 160, 160)), other)
        for letter, image in zip(letters, shown, strict=True):
            pictures[f"{letter}{number}"] = jpeg(image)
        truth |= {f"a{number}": [f"b{number}", f"c{number}"], f"d{number}": []}
    hits = [Hit(item=Item(id=i, kind="image"), score=0.0) for i in pictures]
    before = Ranking(query=Query(text="q"), hits=hits)
    # all vectors alike: the pictures alone must tell them apart
    shelf = Shelf(dict.fromkeys(pictures, at(1.0)), pictures)
    (after,) = distinct(shelf).process([before])
    assert {hit.id: [f.hit.id for f in hit.folded] for hit in after} == truth
    assert sorted(shelf.asked) == sorted(set(shelf.asked))


def test_pictures_with_far_vectors_are_not_looked_at() -> None:
    same = jpeg(Image.new("RGB", (40, 40), "red"))
    shelf = Shelf({"a": at(1.0), "b": at(0.89)}, {"a": same, "b": same})
    (after,) = distinct(shelf).process([ranking("ab")])
    assert (leading(after), shelf.asked) == ({"a": "", "b": ""}, [])


@pytest.mark.parametrize(("pictures", "unlike"), [({}, "c"), ({"a": b"no picture"}, "c")])
def test_without_thumbnails_only_the_nearest_vectors_count(pictures: dict[str, bytes], unlike: str) -> None:
    shelf = Shelf({"a": at(1.0), "b": at(WITHOUT_LOOK + 0.0005), "c": at(WITHOUT_LOOK - 0.001)}, pictures)
    (after,) = distinct(shelf).process([ranking("abc")])
    assert leading(after) == {"a": "b", unlike: ""}


def test_pages_that_look_alike_stay_apart_unless_a_cosine_is_given() -> None:
    same = jpeg(Image.new("RGB", (40, 40), "white"))
    shelf = Shelf({i: at(1.0) for i in "ab"}, dict.fromkeys("ab", same))
    assert leading(distinct(shelf).process([ranking("ab", "page")])[0]) == {"a": "", "b": ""}
    assert leading(distinct(shelf, 0.99).process([ranking("ab", "page")])[0]) == {"a": "b"}


def test_a_cosine_decides_alone_in_rank_order_and_within_a_kind() -> None:
    given = GivenVectors(items={"a": at(1.0), "b": at(0.97), "c": at(0.9), "d": at(0.99)})
    # c is near b, but b is folded: groups do not chain
    assert leading(distinct(given, 0.95).process([ranking("abcd")])[0]) == {"a": "bd", "c": ""}
    hits = [Hit(item=Item(id=i, kind=kind), score=0.0) for i, kind in (("a", "image"), ("b", "video"))]
    (mixed,) = distinct(given, 0.95).process([Ranking(query=Query(text="q"), hits=hits)])
    assert mixed.ids == ("a", "b")


@pytest.mark.parametrize("seed", range(3))
def test_many_hits_are_those_of_the_loop(seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((60, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    heads: list[int] = []
    for i, row in enumerate(rows):
        if not any(float(rows[j] @ row) >= 0.9 for j in heads):
            heads.append(i)
    hits = [Hit(item=Item(id=f"i{i}", kind="image"), score=0.0) for i in range(60)]
    given = GivenVectors(items={f"i{i}": row for i, row in enumerate(rows)})
    stage, before = distinct(given, 0.9), Ranking(query=Query(text="q"), hits=hits)
    assert stage.process([before])[0].ids == tuple(f"i{i}" for i in heads)
    assert stage.folded(before, 5).ids == tuple(f"i{i}" for i in heads[:5])


def test_a_hit_without_a_vector_stands_for_itself_and_is_counted() -> None:
    (after,) = distinct(GivenVectors(items={"a": at(1.0)}), 0.5).process([ranking("ab")])
    assert (after.ids, after.outcome) == (("a", "b"), "repaired")
    assert after.records[-1].error == "1 of 2 hits have no vector here and stand for themselves."


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: distinct(GivenVectors()), "without contents and thumbnails"),
        (lambda: distinct(GivenVectors(), 95), "cosine from -1 to 1"),
        (lambda: distinct(GivenVectors(), True), "cosine from -1 to 1"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()
