from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrank.compose import query_vectors
from mmrank.embed.base import Vectors
from mmrank.embed.open_clip import OpenClipEmbedder
from mmrank.embed.registry import load_embedder
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.types import Query


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
    (heavy,) = query_vectors(embedder, [query], text_weight=0.8)
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
    with pytest.raises(UsageError, match=r"text_weight is 1\.5"):
        query_vectors(embedder, [Query(text="a")], text_weight=1.5)


def test_a_broken_model_is_named(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "nan", change=lambda state: state["visual.proj"].fill_(float("nan")))
    broken = load_embedder(str(folder), device="cpu")
    with pytest.raises(EmbedderError, match=r"Query 'q9': Image 1 of 1: .*not finite"):
        query_vectors(broken, [Query(id="q9", image=Image.new("RGB", (8, 8)))])
