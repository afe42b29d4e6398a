"""PageRank against networkx."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from mmrank.errors import UsageError
from mmrank.rerank.aggregators.pagerank import pagerank
from mmrank.rerank.aggregators.wins import win_table
from mmrank.rerank.parts import Answer, Block
from mmrank.rerank.schedules import Blocks, play


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("damping", [0.5, 0.85])
def test_it_is_networkx_pagerank_from_loser_to_winner(seed: int, damping: float) -> None:
    nx = pytest.importorskip("networkx")
    random = Random(seed)

    def noisy(block: Block) -> Answer:
        size = len(block.slots)
        return Answer(order=tuple(random.sample(range(size), size)), named=random.randint(0, size))

    played = play(Blocks(size=5, repeats=2).plan(23, seed), noisy)
    got = pagerank(played.blocks, played.answers, 23, damping=damping)
    wins = win_table(played.blocks, played.answers, 23)
    graph = nx.DiGraph()
    graph.add_nodes_from(int(i) for i in np.flatnonzero((wins + wins.T).sum(axis=1)))
    graph.add_weighted_edges_from((int(j), int(i), wins[i, j]) for i, j in np.argwhere(wins > 0))
    want = nx.pagerank(graph, alpha=damping, tol=1e-13, max_iter=1000)
    assert {s: v for s, v in enumerate(got.scores) if v is not None} == pytest.approx(want, abs=1e-9)


def test_beating_a_winner_counts_for_more() -> None:
    """0 and 1 both have one win over one comparison; 0's is over a slot that beat others."""
    blocks = [Block(slots=(2, 3, 4)), Block(slots=(1, 5)), Block(slots=(0, 2))]
    answers = [Answer(order=(0, 1, 2), named=3), Answer(order=(0, 1), named=2), Answer(order=(0, 1), named=2)]
    scores = pagerank(blocks, answers, 6).scores
    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0] > scores[1]
    assert sum(s or 0 for s in scores) == pytest.approx(1)


def test_damping_is_checked() -> None:
    with pytest.raises(UsageError, match="damping is 1.0; give a number from"):
        pagerank([], [], 0, damping=1.0)
