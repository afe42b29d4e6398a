from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrank.embed.tokens import ChunkTokenizer
from mmrank.errors import EmbedderError, MediaError


@pytest.fixture(scope="module")
def simple() -> ChunkTokenizer:
    from open_clip.tokenizer import SimpleTokenizer

    return ChunkTokenizer(SimpleTokenizer(context_length=16))


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word-level tokenizer of the Hugging Face kind, with begin and end tokens, made here."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{i}" for i in range(100))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    folder = tmp_path_factory.mktemp("hf-tokenizer")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def test_a_short_text_is_the_tokenizers_own_row(simple: ChunkTokenizer) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    expected = SimpleTokenizer(context_length=16)(["A red boat."]).numpy()
    np.testing.assert_array_equal(simple.encode("A red boat."), expected)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["boat", "harbour.", "of", "antidisestablishmentarianism", "Ünïcode!"]), min_size=1))
def test_no_token_is_lost(words: list[str]) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    plain = SimpleTokenizer(context_length=16)
    rows = ChunkTokenizer(plain).encode(" ".join(words))
    kept = [token for row in rows for token in row if token not in (0, plain.sot_token_id, plain.eot_token_id)]
    assert kept == plain.encode(" ".join(words))
    assert all(row[0] == plain.sot_token_id and plain.eot_token_id in row for row in rows)


def test_one_token_too_many_makes_two_rows(simple: ChunkTokenizer) -> None:
    assert simple.encode(" ".join(["boat"] * 14)).shape == (1, 16)
    assert simple.encode(" ".join(["boat"] * 15)).shape == (2, 16)


@pytest.mark.parametrize("text", ["&nbsp;", "&#32;"])
def test_a_text_without_tokens_is_an_error(simple: ChunkTokenizer, text: str) -> None:
    with pytest.raises(MediaError, match="no token"):
        simple.encode(text)


@pytest.mark.parametrize("mode", [None, "clips"])
def test_hugging_face_tokenizers_are_counted_too(hugging_face: Path, mode: str | None) -> None:
    from open_clip.tokenizer import HFTokenizer

    plain = HFTokenizer(str(hugging_face), context_length=8, tokenizer_mode=mode)
    plain.tokenizer.cls_token = "</s>"
    rows = ChunkTokenizer(plain).encode(" ".join(f"w{i}" for i in range(30)))
    kept = [token for row in rows for token in row if token > 3]
    assert kept == list(range(4, 34))
    assert rows.shape == ((6, 8) if mode == "clips" else (5, 8))


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(EmbedderError, match="dict"):
        ChunkTokenizer({})
