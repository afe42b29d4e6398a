"""Token vectors for late interaction, made from a seed: pages of topics, as a contextual encoder would see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WORDS, TOPICS, WORDS_OF_A_TOPIC = 4_000, 150, 250
"""A vocabulary, and topics that use a part of it each, by Zipf's law."""

OTHER_TOPIC = 0.2
"""Share of a page's tokens that come from a second topic."""

CONTEXT, PAGE, NOISE = 0.6, 0.35, 0.4
"""What a token vector is made of beside its word (1): the topic's direction, the page's own, and noise. Contextual
encoders put much of the document into every token; without that, a pooled vector could not retrieve at all."""

BLUR = 1.2
"""Noise on a query's tokens that repeat the page's: other words for the same things."""

FROM_PAGE = 0.5
"""Share of a query's tokens that repeat tokens of its page; the others are words of the page's topic."""


class Tokens(NamedTuple):
    """`pages`: float16 (tokens, d) each; `queries`: float32 (tokens, d) each; `targets`: the page each query is of."""

    pages: list[npt.NDArray[np.float16]]
    queries: list[Floats]
    targets: npt.NDArray[np.int64]


def tokens(pages: int, queries: int, *, dimension: int = 128, per_page: int = 60, seed: int = 0) -> Tokens:
    """Pages with half to one and a half times `per_page` tokens, and queries of 8 to 24 tokens about single pages."""
    rng = np.random.default_rng(seed)
    words, topics = _directions(rng, WORDS, dimension), _directions(rng, TOPICS, dimension)
    use = [rng.choice(WORDS, WORDS_OF_A_TOPIC, replace=False) for _ in range(TOPICS)]
    zipf = 1 / np.arange(1, WORDS_OF_A_TOPIC + 1)
    zipf /= zipf.sum()
    own_topics = rng.integers(0, TOPICS, (pages, 2))
    own_way = _directions(rng, pages, dimension)

    def spoken(page: int, topic: int, count: int) -> Floats:
        said = words[rng.choice(use[topic], count, p=zipf)]
        noise = rng.standard_normal((count, dimension), dtype=np.float32) * (NOISE / dimension**0.5)
        return _unit(said + CONTEXT * topics[topic] + PAGE * own_way[page] + noise)

    made: list[npt.NDArray[np.float16]] = []
    for page, (topic, other) in enumerate(own_topics):
        count = int(rng.integers(per_page // 2, per_page * 3 // 2))
        aside = int(count * OTHER_TOPIC)
        both = np.concatenate([spoken(page, topic, count - aside), spoken(page, other, aside)])
        made.append(both.astype(np.float16))
    targets = rng.choice(pages, queries, replace=False)
    asked = []
    for page in targets:
        count = int(rng.integers(8, 25))
        repeated = max(1, int(count * FROM_PAGE))
        some = made[page][rng.integers(0, len(made[page]), repeated)].astype(np.float32)
        blurred = some + rng.standard_normal(some.shape, dtype=np.float32) * (BLUR / dimension**0.5)
        asked.append(np.concatenate([_unit(blurred), spoken(page, own_topics[page, 0], count - repeated)]))
    return Tokens(made, asked, targets)


def pooled(tokens_of: list[npt.NDArray[np.float16]] | list[Floats]) -> Floats:
    """One unit vector each: the mean of the tokens, float32 (n, d)."""
    return _unit(np.stack([one.astype(np.float32).mean(axis=0) for one in tokens_of]))


def _directions(rng: np.random.Generator, count: int, dimension: int) -> Floats:
    return _unit(rng.standard_normal((count, dimension), dtype=np.float32))


def _unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
