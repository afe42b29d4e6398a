from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import BatchError, Embedded, Embedder
from mmrank.embed.open_clip import OpenClipEmbedder
from mmrank.embed.registry import load_embedder
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.media.load import Loaded
from mmrank.types import Item

LONG = " ".join(f"Sentence {i} tells of a red boat in the harbour number {i}." for i in range(30))


def _picture(seed: int, width: int = 50, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _text(text: str, item_id: str = "t") -> Loaded:
    return Loaded(item=Item(id=item_id, kind="text", text=text), text=text)


def _image(seed: int) -> Loaded:
    return Loaded(item=Item(id=f"i{seed}", kind="image", text="a caption"), image=_picture(seed), text="a caption")


def _page(seed: int, text: str | None) -> Loaded:
    return Loaded(item=Item(id=f"p{seed}", kind="page"), image=_picture(seed, 30, 45), text=text)


def _video(seed: int, frames: int) -> Loaded:
    pictures = tuple(_picture(seed * 100 + i) for i in range(frames))
    return Loaded(item=Item(id=f"v{seed}", kind="video"), frames=pictures, times=tuple(map(float, range(frames))))


MIXED = [
    _image(1),
    _text("a red boat"),
    _video(1, 5),
    _page(1, LONG),
    _page(2, None),
    _text(LONG, "long"),
    _video(2, 1),
]


def _embed(embedder: Embedder, *loaded: Loaded) -> list[Embedded]:
    return embedder.embed([embedder.prepare(one) for one in loaded])


def test_it_is_an_embedder(embedder: OpenClipEmbedder, tiny_clip: Path) -> None:
    assert isinstance(embedder, Embedder)
    assert embedder.spec == f"open_clip:{tiny_clip}"
    assert embedder.dimension == embedder.fingerprint.dimension == 32
    assert embedder.needs.size == 32
    assert embedder.warning is None


def test_vectors_are_open_clips_own(embedder: OpenClipEmbedder, tiny_clip: Path) -> None:
    import open_clip
    import torch

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny_clip}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{tiny_clip}")
    texts = ["a dog", "a much longer caption about a dog on a skateboard in the park", "!"]
    pictures = [_picture(i, 40 + 7 * i, 61) for i in range(3)]
    with torch.inference_mode():
        theirs_text = model.eval().encode_text(tokenizer(texts), normalize=True).numpy()
        theirs_image = model.encode_image(torch.stack([transform(p) for p in pictures]), normalize=True).numpy()
    np.testing.assert_allclose(embedder.embed_texts(texts), theirs_text, atol=1e-5)
    np.testing.assert_allclose(embedder.embed_images(pictures), theirs_image, atol=1e-5)


def test_a_mixed_batch_equals_single_items(embedder: OpenClipEmbedder) -> None:
    together = _embed(embedder, *MIXED)
    for one, loaded in zip(together, MIXED, strict=True):
        (alone,) = _embed(embedder, loaded)
        for name in ("vector", "text_vector", "frame_vectors"):
            ours, theirs = getattr(one, name), getattr(alone, name)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.dtype == np.float32
                np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_what_each_kind_gets(embedder: OpenClipEmbedder) -> None:
    image, text, video, page, bare_page, *_ = _embed(embedder, *MIXED)
    for one in (image, text, video, page, bare_page):
        assert one.vector.shape == (32,)
        assert np.linalg.norm(one.vector) == pytest.approx(1, abs=1e-6)
    assert image.text_vector is None
    assert image.frame_vectors is None
    assert bare_page.text_vector is None
    np.testing.assert_allclose(page.text_vector, embedder.embed_texts([LONG])[0], atol=1e-5)
    assert video.frame_vectors is not None
    np.testing.assert_allclose(np.linalg.norm(video.frame_vectors, axis=1), 1, atol=1e-6)
    mean = video.frame_vectors.mean(0)
    np.testing.assert_allclose(video.vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_more_pictures_than_one_model_batch(embedder: OpenClipEmbedder) -> None:
    """40 frames cross the towers' own batch size; order and values must survive."""
    (video,) = _embed(embedder, _video(3, 40))
    assert video.frame_vectors is not None
    single = np.concatenate([embedder.embed_images([frame]) for frame in _video(3, 40).frames])
    np.testing.assert_allclose(video.frame_vectors, single, atol=1e-5)


def test_many_texts_of_different_length_keep_their_order(embedder: OpenClipEmbedder) -> None:
    texts = [("word " * (1 + 37 * i % 23)).strip() + f" {i}" for i in range(40)]
    single = np.concatenate([embedder.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(embedder.embed_texts(texts), single, atol=1e-5)


def test_item_side_and_query_side_agree(embedder: OpenClipEmbedder) -> None:
    image, text = _embed(embedder, _image(7), _text("two cats"))
    np.testing.assert_allclose(image.vector, embedder.embed_images([_picture(7)])[0], atol=1e-5)
    np.testing.assert_allclose(text.vector, embedder.embed_texts(["two cats"])[0], atol=1e-5)


def test_a_long_text_is_not_its_truncation(embedder: OpenClipEmbedder) -> None:
    changed_at_the_end = LONG.replace("number 29", "number twelve thousand")
    whole, changed, head = embedder.embed_texts([LONG, changed_at_the_end, LONG[:250]])
    assert float(whole @ changed) < 1 - 1e-5
    assert float(whole @ head) < 0.999


def test_nothing_to_embed(embedder: OpenClipEmbedder) -> None:
    assert embedder.embed([]) == []
    assert embedder.embed_texts([]).shape == (0, 32)
    assert embedder.embed_images([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (_text("  \n"), "text of item 't' is empty"),
        (_text("&nbsp;"), "no token"),
        (Loaded(item=Item(id="x", kind="image")), "image 'x' was loaded without a picture"),
        (Loaded(item=Item(id="x", kind="video")), "video 'x' was loaded without a frame"),
    ],
)
def test_items_without_content(embedder: OpenClipEmbedder, loaded: Loaded, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        embedder.prepare(loaded)


def test_an_empty_query_text_is_named(embedder: OpenClipEmbedder) -> None:
    with pytest.raises(UsageError, match="Text 2 of 2 is empty"):
        embedder.embed_texts(["a", " "])


def test_prepare_in_threads_equals_prepare_alone(embedder: OpenClipEmbedder) -> None:
    gate = threading.Barrier(4)

    def prepare(loaded: Loaded) -> Any:
        gate.wait(timeout=30)
        return embedder.prepare(loaded)

    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(prepare, MIXED[:4]))
    for ours, theirs in zip(embedder.embed(prepared), _embed(embedder, *MIXED[:4]), strict=True):
        np.testing.assert_array_equal(ours.vector, theirs.vector)


def _nan_for_dog(state: dict[str, Any]) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    state["token_embedding.weight"][SimpleTokenizer().encode("dog")] = float("nan")


def test_one_nan_vector_fails_its_item_only(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    broken = load_embedder(str(write_tiny_clip(tmp_path / "nan", change=_nan_for_dog)), device="cpu")
    batch = [_text("a cat", "cat"), _text("a dog", "dog"), _image(1), _text(f"{LONG} And a dog.", "late")]
    with pytest.raises(BatchError, match=r"2 of 4 items.*text 'dog'.*not finite.*text 'late'") as caught:
        _embed(broken, *batch)
    assert set(caught.value.failures) == {1, 3}
    assert [one is None for one in caught.value.embedded] == [False, True, False, True]
    cat = caught.value.embedded[0]
    assert cat is not None
    np.testing.assert_allclose(cat.vector, broken.embed_texts(["a cat"])[0], atol=1e-5)
    with pytest.raises(EmbedderError, match=r"Text 2 of 2 \('a dog'\)"):
        broken.embed_texts(["a cat", "a dog"])


def test_broken_image_tower_names_the_picture(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_tiny_clip(tmp_path / "nan", change=lambda state: state["visual.proj"].fill_(float("nan")))
    broken = load_embedder(str(folder), device="cpu")
    with pytest.raises(EmbedderError, match="Image 1 of 1"):
        broken.embed_images([_picture(0)])
    with pytest.raises(BatchError, match="video 'v1'"):
        _embed(broken, _video(1, 3))


def test_fingerprint_is_of_the_weights_not_of_the_file(
    embedder: OpenClipEmbedder, write_tiny_clip: Callable[..., Path], tiny_clip: Path, tmp_path: Path
) -> None:
    again = load_embedder(str(tiny_clip), device="cpu")
    copy = load_embedder(str(write_tiny_clip(tmp_path / "copy")), device="cpu")
    other = load_embedder(str(write_tiny_clip(tmp_path / "other", seed=1)), device="cpu")
    heads = load_embedder(str(write_tiny_clip(tmp_path / "heads", heads=4)), device="cpu")
    assert again.fingerprint == copy.fingerprint == embedder.fingerprint
    assert other.fingerprint.weights != embedder.fingerprint.weights
    assert other.fingerprint.preprocessing == embedder.fingerprint.preprocessing
    assert heads.fingerprint.weights != embedder.fingerprint.weights  # same tensors, other heads: other vectors


def test_float16_checkpoint_runs_in_float32(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    half = write_tiny_clip(tmp_path / "half", dtype="float16")

    def widened(state: dict[str, Any]) -> None:
        state.update({name: tensor.half().float() for name, tensor in state.items()})

    full = write_tiny_clip(tmp_path / "full", change=widened)
    stored_half, stored_full = (load_embedder(str(folder), device="cpu") for folder in (half, full))
    assert stored_half.fingerprint == stored_full.fingerprint
    np.testing.assert_array_equal(stored_half.embed_texts(["a boat"]), stored_full.embed_texts(["a boat"]))


def test_precision_changes_neither_fingerprint_nor_much_else(embedder: OpenClipEmbedder, tiny_clip: Path) -> None:
    rough = load_embedder(str(tiny_clip), device="cpu", precision="bf16")
    assert rough.fingerprint == embedder.fingerprint
    for ours, theirs in zip(_embed(rough, *MIXED), _embed(embedder, *MIXED), strict=True):
        assert ours.vector.dtype == np.float32
        assert float(ours.vector @ theirs.vector) > 0.999


def test_a_tower_that_sees_its_padding_still_works(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    """SigLIP-like: no causal mask, so rows must stay padded to the full context."""
    import open_clip
    import torch

    folder = write_tiny_clip(tmp_path / "siglip", no_causal_mask=True, pool_type="last")
    ours = load_embedder(str(folder), device="cpu").embed_texts(["a dog", "a dog and a cat"])
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.inference_mode():
        theirs = model.encode_text(open_clip.tokenize(["a dog", "a dog and a cat"]), normalize=True).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_loading_leaves_the_programs_logging_alone(tiny_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip logs through the root logger, whose first use would install a handler for the whole program."""
    handlers: list[logging.Handler] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", handlers)
    load_embedder(str(tiny_clip), device="cpu")
    assert handlers == []
