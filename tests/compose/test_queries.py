from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.compose import (
    Caption,
    Composed,
    GivenCaptions,
    Intersection,
    Sqaf,
    Sum,
    compose_queries,
    query_vectors,
)
from mmrank.embed.base import OpenedQuery, Vectors
from mmrank.embed.open_clip import OpenClipEmbedder
from mmrank.embed.registry import load_embedder
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.types import Query

BAD = {"broken": MediaError, "gone": MediaError, "empty": UsageError, "uncaptioned": UsageError, "wordless": UsageError}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        paths.append(folder / f"{seed}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds: two black, two white."""
    import av

    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for position in range(40):
            grey = np.full((48, 64, 3), 0 if position < 20 else 255, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def _open(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def test_each_form(embedder: OpenClipEmbedder, pictures: list[Path]) -> None:
    query = Query(image=pictures[0], text="at night")
    (image,) = embedder.embed_images([_open(pictures[0])])
    (text,) = embedder.embed_texts(["at night"])
    for form, expected in (("image", image), ("text", text), ("sum", image + text), (None, image + text)):
        (vector,) = query_vectors(embedder, [query], form)
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-5)
    (heavy,) = query_vectors(embedder, [query], Sum(alpha=0.8))
    expected = 0.2 * image + 0.8 * text
    np.testing.assert_allclose(heavy, expected / np.linalg.norm(expected), atol=1e-5)


def test_several_images_are_averaged(embedder: OpenClipEmbedder, pictures: list[Path]) -> None:
    images = [_open(path) for path in pictures]
    mean = embedder.embed_images(images).mean(0)
    for given in (pictures, images, [path.read_bytes() for path in pictures], [str(path) for path in pictures]):
        (vector,) = query_vectors(embedder, [Query(image=list(given))])
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_video_is_the_mean_of_its_frames_and_a_span_of_its_span(embedder: OpenClipEmbedder, clip: Path) -> None:
    black, white = embedder.embed_images([Image.new("RGB", (64, 48), tone) for tone in ("black", "white")])
    whole, start, end = query_vectors(embedder, [Query(video=f"{clip}{span}") for span in ("", "#t=0,1.9", "#t=2.1,4")])
    assert float(start @ black) > 0.999
    assert float(end @ white) > 0.999
    mean = (black + white) / np.linalg.norm(black + white)
    assert float(whole @ mean) > 0.999


def test_a_batch_equals_single_queries(embedder: OpenClipEmbedder, pictures: list[Path], clip: Path) -> None:
    queries = [
        Query(text="a boat"),
        Query(image=pictures[0]),
        Query(image=pictures[0], text="at night"),
        Query(video=clip, text="at night"),
        Query(text="by day", turns=("a beach", "with palms")),
        Query(image=pictures[1:], video=clip),
    ]
    together = query_vectors(embedder, queries)
    assert together.shape == (6, 32)
    assert together.dtype == np.float32
    alone = np.concatenate([query_vectors(embedder, [query]) for query in queries])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_order_of_a_batch_larger_than_a_block(embedder: OpenClipEmbedder) -> None:
    tones = [Image.new("RGB", (32, 32), (3 * i, 255 - 3 * i, i)) for i in range(80)]
    vectors = query_vectors(embedder, [Query(image=tone, id=str(i)) for i, tone in enumerate(tones)])
    np.testing.assert_allclose(vectors, embedder.embed_images(tones), atol=1e-5)


class _Counting(OpenClipEmbedder):
    """The real embedder, which also says how often it was called with how much."""

    def __init__(self, real: OpenClipEmbedder) -> None:
        self.__dict__.update(real.__dict__)
        self.calls: list[int] = []

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(len(texts))
        return super().embed_texts(texts)

    def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
        self.calls.append(len(images))
        return super().embed_images(images)


def test_one_call_for_all_texts_one_for_all_pictures_each_once(
    embedder: OpenClipEmbedder, pictures: list[Path]
) -> None:
    counting = _Counting(embedder)
    queries = [Query(image=path, text=text) for path in pictures for text in ("at night", "by day")]
    query_vectors(counting, queries)
    assert counting.calls == [2, 3]


def test_a_side_that_is_not_used_is_not_opened(embedder: OpenClipEmbedder, tmp_path: Path) -> None:
    (vector,) = query_vectors(embedder, [Query(image=tmp_path / "none.jpg", text="a boat")], "text")
    np.testing.assert_allclose(vector, embedder.embed_texts(["a boat"])[0], atol=1e-6)


def test_no_queries(embedder: OpenClipEmbedder) -> None:
    assert query_vectors(embedder, []).shape == (0, 32)


def test_what_is_refused(embedder: OpenClipEmbedder, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    with pytest.raises(UsageError, match="is empty"):
        query_vectors(embedder, [Query(text="a"), Query(text="")])
    with pytest.raises(MediaError, match=r"Query 'q7': .*broken\.jpg"):
        query_vectors(embedder, [Query(id="q7", image=tmp_path / "broken.jpg")])
    with pytest.raises(MediaError, match=r"Query 'q8': .*broken\.mp4"):
        query_vectors(embedder, [Query(id="q8", video=tmp_path / "broken.mp4")])
    with pytest.raises(UsageError, match="'intersection' ranks by 2 vectors, and one is wanted"):
        query_vectors(embedder, [Query(image=Image.new("RGB", (8, 8)), text="a")], "intersection")


def test_a_broken_model_is_named(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "nan", change=lambda state: state["visual.proj"].fill_(float("nan")))
    broken = load_embedder(str(folder), device="cpu")
    with pytest.raises(EmbedderError, match=r"Query 'q9': Image 1 of 1: .*not finite"):
        query_vectors(broken, [Query(id="q9", image=Image.new("RGB", (8, 8)))])


@pytest.mark.parametrize("compose", [None, "sum", "sqaf", "caption", "intersection"])
def test_bad_queries_fail_alone_and_each_by_name(
    embedder: OpenClipEmbedder, pictures: list[Path], tmp_path: Path, compose: str | None
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    queries = [
        Query(id="one", image=pictures[0], text="at night"),
        Query(id="broken", image=tmp_path / "broken.jpg", text="at night"),
        Query(id="gone", image=[pictures[0], tmp_path / "gone.jpg"], text="by day"),
        Query(id="empty"),
        Query(id="uncaptioned", image=pictures[1], text="at night"),
        Query(id="wordless", image=pictures[1]),
        Query(id="two", image=pictures[2], text="by day"),
    ]
    given = GivenCaptions(captions={q.id: f"a caption {i}" for i, q in enumerate(queries) if q.id != "uncaptioned"})
    forms = {"sqaf": Sqaf(captioner=given), "caption": Caption(captioner=given)}
    form = forms.get(compose, compose) if compose else None
    found = compose_queries(embedder, queries, form)
    good = {"uncaptioned"} - ({"uncaptioned"} if compose in forms else set())
    good |= {"wordless"} if compose in (None, "caption") else set()
    good |= {"broken", "gone"} if compose == "caption" else set()
    for query, one in zip(queries, found, strict=True):
        if query.id in {"one", "two", *good}:
            assert isinstance(one, Composed)
            (alone,) = compose_queries(embedder, [query], form)
            assert isinstance(alone, Composed)
            np.testing.assert_allclose(one.vectors, alone.vectors, atol=1e-5)
        else:
            assert isinstance(one, BAD[query.id])
            assert repr(query.id) in str(one)


def test_a_picture_the_model_fails_on_costs_its_own_queries_only(embedder: OpenClipEmbedder) -> None:
    class Fussy(_Counting):
        def embed_images(self, images: Sequence[Image.Image]) -> Vectors:
            if any(image.size == (9, 9) for image in images):
                raise EmbedderError("nine is too many")
            return super().embed_images(images)

    sizes = (8, 9, 10, 9)
    queries = [Query(id=str(i), image=Image.new("RGB", (side, side), "red")) for i, side in enumerate(sizes)]
    found = compose_queries(Fussy(embedder), queries)
    assert [isinstance(one, Composed) for one in found] == [True, False, True, False]
    assert "Query '3': nine is too many" in str(found[3])


def test_what_a_query_costs_and_its_caption_is_told(embedder: OpenClipEmbedder, pictures: list[Path]) -> None:
    query = Query(id="q", image=pictures[:2], text="at night")
    given = GivenCaptions(captions={"q": "a dog at night"})
    sqaf, caption, both = (
        compose_queries(embedder, [query], form)[0]
        for form in (Sqaf(captioner=given), Caption(captioner=given), Intersection())
    )
    assert isinstance(sqaf, Composed)
    assert isinstance(caption, Composed)
    assert isinstance(both, Composed)
    assert (sqaf.cost.model_calls, sqaf.cost.images_encoded, caption.cost.images_encoded) == (1, 2, 0)
    assert sqaf.note == caption.note == "target caption: a dog at night"
    assert (both.vectors.shape, both.note) == ((2, 32), None)
    np.testing.assert_allclose(caption.vector, embedder.embed_texts(["a dog at night"])[0], atol=1e-6)


def test_weighted_text_by_a_literal_loop_and_only_when_asked_for(
    embedder: OpenClipEmbedder, pictures: list[Path]
) -> None:
    text = "a t-shirt -dog red^2"
    plain, dog, red, as_is = embedder.embed_texts(["a t-shirt", "dog", "red", text])
    wanted = plain - 0.5 * dog + 2 * red
    wanted /= np.linalg.norm(wanted)
    (weighted,) = query_vectors(embedder, [Query(text=text)], "weighted")
    np.testing.assert_allclose(weighted, wanted, atol=1e-5)
    for form in (None, "text"):
        np.testing.assert_allclose(query_vectors(embedder, [Query(text=text)], form)[0], as_is, atol=1e-5)
    (image,) = embedder.embed_images([_open(pictures[0])])
    (composed,) = query_vectors(embedder, [Query(image=pictures[0], text=text)], Sum(alpha=0.3, syntax=True))
    wanted = 0.7 * image + 0.3 * wanted
    np.testing.assert_allclose(composed, wanted / np.linalg.norm(wanted), atol=1e-5)
    good, bad = compose_queries(embedder, [Query(text="a"), Query(id="q", text="-a")], "weighted")
    assert isinstance(good, Composed)
    assert "Query 'q': The weighted text '-a' seeks nothing" in str(bad)


def test_the_bundled_models_text_weight_is_its_rows(embedder: OpenClipEmbedder) -> None:
    from mmrank.compose.weights import text_weight_of
    from mmrank.embed.registry import list_models

    rows = {row.alias: row.text_weight for row in list_models()}
    assert rows["toybox"] is not None
    assert text_weight_of("toybox") == rows["toybox"]
    assert text_weight_of(embedder.spec) == 0.5


def test_an_embedder_that_takes_queries_whole_is_given_them_whole(
    embedder: OpenClipEmbedder, pictures: list[Path], clip: Path, tmp_path: Path
) -> None:
    class Together(_Counting):
        """Adds up all it is given, with the same real model."""

        def embed_queries(self, queries: Sequence[OpenedQuery]) -> list[Any]:
            self.calls.append(len(queries))
            self.seen = list(queries)
            return [EmbedderError("too odd") if q.text == "odd" else self._one(q) for q in queries]

        def _one(self, query: OpenedQuery) -> Vectors:
            shown = [*query.images, *query.frames]
            rows = [*(super().embed_images(shown) if shown else ())]
            rows += [*(super().embed_texts([query.text]) if query.text else ())]
            return np.sum(rows, axis=0, dtype=np.float32)

    together = Together(embedder)
    queries = [
        Query(id="a", image=pictures[:2], text="at night", turns=("with palms",), instruction="find"),
        Query(id="b", text="odd"),
        Query(id="c", video=clip),
        Query(id="d", image=tmp_path / "gone.jpg"),
    ]
    first, odd, video, gone = compose_queries(together, queries)
    assert isinstance(first, Composed)
    assert isinstance(video, Composed)
    assert first.form.name == "whole"
    assert "Query 'b': too odd" in str(odd)
    assert isinstance(gone, MediaError)
    seen = together.seen[0]
    assert (seen.text, len(seen.images), seen.instruction) == ("at night\nwith palms", 2, "find")
    assert len(together.seen[2].frames) == len(together.seen[2].times) > 1
    np.testing.assert_allclose(np.linalg.norm(first.vector), 1, atol=1e-5)
    (summed,) = compose_queries(together, queries[:1], "sum")
    assert isinstance(summed, Composed)
    assert summed.form.name == "sum"
