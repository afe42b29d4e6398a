from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.base import BatchError, Embedded, Embedder
from mmrank.embed.registry import load_embedder
from mmrank.embed.sentence_transformers import SentenceTransformerEmbedder
from mmrank.errors import EmbedderError, MediaError, MissingDependencyError, UsageError
from mmrank.media.load import Loaded
from mmrank.types import Item

pytest.importorskip("sentence_transformers")

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "red",
    "boat",
    "dog",
    "cat",
    "at",
    "night",
    "in",
    "the",
    "harbour",
    "is",
]
WORDS += [".", ",", "!", "query", ":", "passage"]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "bos": "[CLS]", "eos": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=16, **{f"{name}_token": word for name, word in names.items()}
    )


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with mean pooling and a prompt for each side."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    plain = tmp_path_factory.mktemp("bert")
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **TOWER)).save_pretrained(plain)
    _tokenizer().save_pretrained(plain)
    model = SentenceTransformer(str(plain), device="cpu", prompts={"query": "query: ", "document": "passage: "})
    folder = tmp_path_factory.mktemp("bert-st")
    model.save(str(folder))
    return folder


@pytest.fixture(scope="module")
def texts_alone(text_folder: Path) -> SentenceTransformerEmbedder:
    return load_embedder(str(text_folder), device="cpu", threads=1)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformerEmbedder:
    """A CLIP through sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    torch.manual_seed(0)
    text = {"vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 3, **TOWER}
    vision = {"image_size": 32, "patch_size": 8, **TOWER}
    plain = tmp_path_factory.mktemp("clip")
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(plain)
    images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(images, _tokenizer()).save_pretrained(plain)
    folder = tmp_path_factory.mktemp("clip-st")
    SentenceTransformer(str(plain), device="cpu").save(str(folder))
    return load_embedder(f"sbert:{folder}", device="cpu")  # type: ignore[return-value]


def _picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def _text(text: str) -> Loaded:
    return Loaded(item=Item(id="t", kind="text", text=text), text=text)


def _embed(embedder: SentenceTransformerEmbedder, *loaded: Loaded) -> list[Embedded]:
    return embedder.embed([embedder.prepare(one) for one in loaded])


def test_it_is_an_embedder(texts_alone: SentenceTransformerEmbedder, text_folder: Path) -> None:
    assert isinstance(texts_alone, Embedder)
    assert texts_alone.spec == f"sbert:{text_folder}"
    assert texts_alone.dimension == texts_alone.fingerprint.dimension == 32
    assert texts_alone.kinds == {"text"}


def test_vectors_are_the_librarys_own(texts_alone: SentenceTransformerEmbedder, text_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(text_folder), device="cpu")
    texts = ["a red boat", "the dog is in the harbour at night .", "cat"]
    documents = np.stack([one.vector for one in _embed(texts_alone, *map(_text, texts))])
    np.testing.assert_allclose(documents, model.encode_document(texts, normalize_embeddings=True), atol=1e-5)
    queries = texts_alone.embed_texts(texts)
    np.testing.assert_allclose(queries, model.encode_query(texts, normalize_embeddings=True), atol=1e-5)
    assert np.abs(queries - documents).max() > 1e-3  # each side has its prompt


def test_batched_equals_single(texts_alone: SentenceTransformerEmbedder) -> None:
    texts = ["a", "a red boat at night in the harbour", "dog ."]
    alone = np.concatenate([texts_alone.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(texts_alone.embed_texts(texts), alone, atol=1e-5)


def test_a_long_text_is_chunked_and_nothing_is_lost(texts_alone: SentenceTransformerEmbedder) -> None:
    text = "a red boat is in the harbour . the dog is at night . a cat ! a dog in the red boat , a cat in the harbour ."
    prepared = texts_alone.prepare(_text(text))
    assert len(prepared.chunks) > 1
    assert " ".join(prepared.chunks).split() == text.split()
    mean = np.mean([_embed(texts_alone, _text(chunk))[0].vector for chunk in prepared.chunks], axis=0)
    np.testing.assert_allclose(texts_alone.embed([prepared])[0].vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_shorter_vector(text_folder: Path, texts_alone: SentenceTransformerEmbedder) -> None:
    short = load_embedder(str(text_folder), device="cpu", dimension=8)
    cut = texts_alone.embed_texts(["a red boat"])[:, :8]
    np.testing.assert_allclose(short.embed_texts(["a red boat"]), cut / np.linalg.norm(cut), atol=1e-5)
    assert short.fingerprint.weights == texts_alone.fingerprint.weights
    with pytest.raises(UsageError, match="from 1 to 32"):
        load_embedder(str(text_folder), device="cpu", dimension=33)


def test_a_model_of_texts_takes_no_pictures(texts_alone: SentenceTransformerEmbedder) -> None:
    with pytest.raises(MediaError, match="texts alone"):
        texts_alone.prepare(Loaded(item=Item(id="i", kind="image"), image=_picture(0)))
    with pytest.raises(UsageError, match="texts alone"):
        texts_alone.embed_images([_picture(0)])
    with pytest.raises(MediaError, match="empty"):
        texts_alone.prepare(_text(" "))
    with pytest.raises(UsageError, match="Text 1 of 1"):
        texts_alone.embed_texts([""])


def test_a_model_that_sees_takes_all_kinds(seeing: SentenceTransformerEmbedder) -> None:
    assert seeing.kinds == {"text", "image", "page", "video"}
    frames = tuple(_picture(i) for i in range(3))
    image, page, video, text = _embed(
        seeing,
        Loaded(item=Item(id="i", kind="image"), image=_picture(0), text="a caption"),
        Loaded(item=Item(id="p", kind="page"), image=_picture(1), text="the dog"),
        Loaded(item=Item(id="v", kind="video"), frames=frames, times=(0.0, 1.0, 2.0)),
        _text("the dog"),
    )
    theirs = seeing.embed_images(frames)
    np.testing.assert_allclose(image.vector, theirs[0], atol=1e-5)
    np.testing.assert_allclose(page.vector, theirs[1], atol=1e-5)
    np.testing.assert_allclose(page.text_vector, text.vector, atol=1e-5)
    np.testing.assert_allclose(video.frame_vectors, theirs, atol=1e-5)
    mean = theirs.mean(axis=0)
    np.testing.assert_allclose(video.vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_vector_that_is_not_finite_fails_alone(
    seeing: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = seeing._encode

    def poisoned(inputs: Any, side: Any) -> Any:
        pictures = bool(inputs) and isinstance(inputs[0], Image.Image)
        return encode(inputs, side) * (np.nan if pictures else 1)

    monkeypatch.setattr(seeing, "_encode", poisoned)
    image = Loaded(item=Item(id="i", kind="image"), image=_picture(0))
    with pytest.raises(BatchError) as caught:
        _embed(seeing, image, _text("a dog"))
    assert set(caught.value.failures) == {0}
    assert caught.value.embedded[1] is not None


def test_without_the_library_the_extra_is_named(text_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependencyError, match=r"mmrank\[sbert\]"):
        load_embedder(str(text_folder), device="cpu")


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"no modules\.json"):
        load_embedder(f"sbert:{tmp_path}", device="cpu")
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(EmbedderError):
        load_embedder(f"sbert:{tmp_path}", device="cpu")
    with pytest.raises(EmbedderError, match="hf download nobody/nothing"):
        load_embedder("sbert:nobody/nothing", device="cpu")
