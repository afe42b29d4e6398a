from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from mmrank.embed.late import LateEmbedder
from mmrank.embed.late_source import PageTokens
from mmrank.embed.registry import load_embedder
from mmrank.errors import UsageError
from mmrank.rerank.vectors.late import late_interaction
from mmrank.types import Hit, Item, Query, Ranking


@pytest.fixture(scope="module")
def late(tiny_vl: ModuleType, tiny_late: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> LateEmbedder:
    folder = tiny_late.write_colqwen2(tiny_vl, tmp_path_factory.mktemp("colqwen2"))
    return load_embedder(str(folder), device="cpu")  # type: ignore[return-value]


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    made = []
    for seed in range(4):
        pixels = np.random.default_rng(seed).integers(0, 256, (84, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{seed}.png")
        made.append(Item(id=f"p{seed}", kind="image", uri=str(tmp_path / f"{seed}.png")))
    return made


def test_late_interaction_over_it(late: LateEmbedder, items: list[Item]) -> None:
    pages = PageTokens(late)
    broken = Item(id="gone", kind="image", uri="/nowhere/gone.png")
    failed = pages.add([*items, broken, Item(id="t", kind="text", text="a")])
    assert set(failed) == {"gone", "t"}
    assert len(pages) == 4
    query = Query(text="a red boat", turns=("a picture",))
    hits = [Hit(item=item, score=1.0 - i / 10) for i, item in enumerate(items)]
    ranking = late_interaction(pages).process([Ranking(query=query, hits=hits)])[0]
    (asked,) = pages.query_tokens([query])
    assert isinstance(asked, tuple)
    (told,) = late.query_tokens(["a picture\na red boat"])
    np.testing.assert_array_equal(asked[0], told)
    held = pages.token_vectors([item.id for item in items])
    expected = {name: float((np.float32(own) @ told.T).max(axis=0).sum()) for name, own in held.items()}
    assert list(ranking.ids) == sorted(expected, key=lambda name: -expected[name])
    assert [hit.score for hit in ranking] == pytest.approx([expected[name] for name in ranking.ids], rel=1e-5)


def test_a_query_without_words_fails_alone(late: LateEmbedder) -> None:
    wordless, fine = PageTokens(late).query_tokens([Query(image=Image.new("RGB", (8, 8))), Query(text="a boat")])
    assert isinstance(wordless, UsageError)
    assert isinstance(fine, tuple)


def test_the_budget_is_kept(late: LateEmbedder, items: list[Item]) -> None:
    one = PageTokens(late)
    one.add(items[:1])
    size = one.token_vectors(["p0"])["p0"].nbytes
    small = PageTokens(late, budget=2 * size)
    with pytest.raises(UsageError, match="2 pages"):
        small.add(items)
    assert len(small) == 2
    small.add(items[:1])  # again, in its own place
    assert len(small) == 2
