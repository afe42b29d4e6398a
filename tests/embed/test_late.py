from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import BatchError, Embedder
from mmrank.embed.late import LateEmbedder, load
from mmrank.embed.late_base import TokenEmbedder, TokensEmbedded
from mmrank.embed.late_pooling import ward_pooled
from mmrank.embed.registry import load_embedder, parse_spec
from mmrank.errors import EmbedderError, MediaError, UsageError
from mmrank.media.load import Loaded
from mmrank.types import Item


@pytest.fixture(scope="module", params=["colqwen2", "colpali"])
def folder(
    request: pytest.FixtureRequest,
    tiny_vl: ModuleType,
    tiny_late: ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    write = tiny_late.write_colqwen2 if request.param == "colqwen2" else tiny_late.write_colpali
    made: Path = write(tiny_vl, tmp_path_factory.mktemp(request.param))
    return made


@pytest.fixture(scope="module")
def late(folder: Path) -> LateEmbedder:
    return load_embedder(str(folder), device="cpu", threads=1)  # type: ignore[return-value]


def _picture(seed: int, width: int = 56, height: int = 84) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def _page(seed: int, **size: int) -> Loaded:
    return Loaded(item=Item(id=f"p{seed}", kind="page"), image=_picture(seed, **size), text="words")


def test_it_is_an_embedder(late: LateEmbedder, folder: Path) -> None:
    assert isinstance(late, Embedder)
    assert isinstance(late, TokenEmbedder)
    assert late.spec == f"late:{folder}"
    assert late.dimension == late.fingerprint.dimension == 16
    assert late.kinds == {"page", "image"}


def _forward(folder: Path, late: LateEmbedder, batch: Any) -> Any:
    """Literally: the language model's last states, projected, scaled to length 1; attended tokens only."""
    import torch

    model = late._model
    batch = dict(batch)
    batch.pop("labels", None)
    if "image_grid_thw" in batch:  # what Qwen2-VL itself is given, so that it finds rows and columns
        batch["mm_token_type_ids"] = (batch["input_ids"] == late._processor.image_token_id).int()
        batch["pixel_values"] = batch["pixel_values"].flatten(0, 1)
    with torch.no_grad():
        hidden = model.vlm(**batch)[0]
        projected = model.embedding_proj_layer(hidden)[0]
    return torch.nn.functional.normalize(projected, dim=-1)[batch["attention_mask"][0].bool()].numpy()


def test_token_vectors_are_the_models(late: LateEmbedder, folder: Path) -> None:
    pages = [_page(1), _page(2, width=112, height=56)]
    found = late.embed_tokens([late.prepare(page) for page in pages])
    for page, tokens in zip(pages, found, strict=True):
        assert isinstance(tokens, np.ndarray)
        assert tokens.dtype == np.float16
        theirs = _forward(folder, late, late._processor.process_images(images=[page.image], return_tensors="pt"))
        np.testing.assert_allclose(tokens, theirs, atol=2e-3)
    (query,) = late.query_tokens(["a red boat"])
    assert query.dtype == np.float32
    theirs = _forward(folder, late, late._processor.process_queries(text=["a red boat"], return_tensors="pt"))
    np.testing.assert_allclose(query, theirs, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1, atol=1e-5)


def test_no_padding_comes_out(late: LateEmbedder) -> None:
    short, long = late.query_tokens(["boat", "a red boat at night in the picture of a dog"])
    assert len(short) < len(long)
    np.testing.assert_array_equal(late.query_tokens(["boat"])[0], short)


def test_max_sim_runs_on_them(late: LateEmbedder) -> None:
    from mmrank.rerank.vectors.late import max_sim

    pages = [late.prepare(_page(seed)) for seed in range(3)]
    tokens = late.embed_tokens(pages)
    (query,) = late.query_tokens(["a red boat"])
    scores = max_sim(query, [one for one in tokens if isinstance(one, np.ndarray)])
    loop = [sum(max(float(d @ q) for d in np.float32(one)) for q in query) for one in tokens]
    np.testing.assert_allclose(scores, loop, rtol=1e-5)


def test_pooled_vectors_are_the_mean_of_unit_tokens(late: LateEmbedder) -> None:
    prepared = [late.prepare(_page(seed)) for seed in (1, 2)]
    embedded = late.embed(prepared)
    for one, tokens in zip(embedded, late.embed_tokens(prepared), strict=True):
        assert isinstance(one, TokensEmbedded)
        np.testing.assert_array_equal(one.token_vectors, tokens)
        mean = np.float32(tokens).mean(axis=0)
        np.testing.assert_allclose(one.vector, mean / np.linalg.norm(mean), atol=2e-3)
    np.testing.assert_allclose(late.embed_images([_picture(1)])[0], embedded[0].vector, atol=1e-6)
    mean = late.query_tokens(["a boat"])[0].mean(axis=0)
    np.testing.assert_allclose(late.embed_texts(["a boat"])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_fewer_tokens_when_asked(late: LateEmbedder, folder: Path) -> None:
    spec = replace(parse_spec(str(folder)), options=(("pool_tokens", "4"),))
    few = load(spec, device="cpu")
    page = late.prepare(_page(1, width=112, height=112))
    (kept,), (all_tokens,) = few.embed_tokens([page]), late.embed_tokens([page])
    assert isinstance(kept, np.ndarray)
    assert isinstance(all_tokens, np.ndarray)
    assert len(all_tokens) > 4
    np.testing.assert_allclose(kept, ward_pooled(np.float32(all_tokens), 4), atol=5e-3)
    np.testing.assert_array_equal(few.embed([page])[0].vector, late.embed([page])[0].vector)
    assert few.fingerprint != late.fingerprint
    with pytest.raises(UsageError, match="pool_tokens is '0'"):
        load(replace(spec, options=(("pool_tokens", "0"),)), device="cpu")


def test_a_page_that_fails_is_named_and_the_others_go_on(late: LateEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    good = late.prepare(_page(1))
    bad = late.prepare(_page(2))
    run = late._processor.process_images

    def picky(images: Any, **options: Any) -> Any:
        if images[0] is bad.picture:
            raise ValueError("absolute aspect ratio must be smaller than 200")
        return run(images=images, **options)

    monkeypatch.setattr(late._processor, "process_images", picky)
    fine, failed = late.embed_tokens([good, bad])
    assert isinstance(fine, np.ndarray)
    assert isinstance(failed, EmbedderError)
    assert "'p2'" in str(failed)
    with pytest.raises(BatchError, match="aspect ratio") as caught:
        late.embed([good, bad])
    assert set(caught.value.failures) == {1}


def test_what_it_does_not_embed(late: LateEmbedder) -> None:
    with pytest.raises(MediaError, match="pages and images"):
        late.prepare(Loaded(item=Item(id="t", kind="text", text="a"), text="a"))
    with pytest.raises(MediaError, match="without a picture"):
        late.prepare(Loaded(item=Item(id="p", kind="page")))
    with pytest.raises(UsageError, match="Text 1 of 1 is empty"):
        late.embed_texts([" "])


def test_words_cannot_stand_for_a_picture(late: LateEmbedder) -> None:
    token = late._processor.image_token
    (hostile,), (spelt,) = late.query_tokens([f"a {token}"]), late.query_tokens([f"a {token[0]} {token[1:]}"])
    np.testing.assert_array_equal(hostile, spelt)


def test_another_architecture_is_refused(tiny_qwen: Path) -> None:
    with pytest.raises(EmbedderError, match="'qwen3_vl'"):
        load_embedder(f"late:{tiny_qwen}", device="cpu")
