"""The plots: what they draw is what was measured."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mmrank.evaluation.report.plots import BINS, COLOURS, HEIGHT, WIDTH, Drawn, curve, drawn, histogram, legend
from mmrank.evaluation.report.sides import sides
from mmrank.evaluation.results import Evaluation


def line(name: str, ranks: list[float], *, depth: int = 100) -> Drawn:
    return Drawn(name=name, colour=COLOURS[0], dashed=False, ranks=np.array(ranks), depth=depth)


def told(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("title")]


def test_the_curve_tells_the_share_of_queries_within_each_k() -> None:
    said = told(curve([line("one", [1, 1, 2, 7, np.inf], depth=50)]))
    assert "one: 40.00 % within the first 1" in said
    assert "one: 60.00 % within the first 2" in said
    assert "one: 80.00 % within the first 10" in said
    assert said[-1] == "one: 80.00 % within the first 50"


def test_a_curve_ends_where_its_lists_end() -> None:
    said = told(curve([line("short", [1, np.inf], depth=5), line("long", [1, 40], depth=100)]))
    assert [text for text in said if text.startswith("short")][-1].endswith("first 5")
    assert [text for text in said if text.startswith("long")][-1].endswith("first 100")


def test_the_bars_add_up_to_all_queries() -> None:
    ranks = [1, 1.5, 2, 4, 9, 15, 30, 70, 100, 101, 5000, np.inf]
    said = told(histogram([line("one", ranks, depth=5000)]))
    assert len(said) == len(BINS) + 1
    shares = [float(re.search(r"([\d.]+) %", text).group(1)) for text in said]  # type: ignore[union-attr]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert said[-1] == f"one: {100 / 12:.2f} % at rank not listed"
    assert said[1] == f"one: {200 / 12:.2f} % at rank 2"  # half a rank behind the first is no first place


def test_everything_stays_inside_and_is_well_formed(reranking: Evaluation, evil: Evaluation) -> None:
    for evaluation in (reranking, evil):
        (task,) = evaluation.dataset.tasks
        lines = drawn(sides(task, evaluation.systems))
        for svg in (curve(lines), histogram(lines)):
            for element in ElementTree.fromstring(svg).iter():
                for key, limit in (("x", WIDTH), ("y", HEIGHT), ("cx", WIDTH), ("cy", HEIGHT)):
                    if key in element.attrib:
                        assert 0 <= float(element.attrib[key]) <= limit
        ElementTree.fromstring(legend(lines))
        assert [each.dashed for each in lines][:2] == [True, False]


def test_queries_without_known_answers_are_not_drawn(reranking: Evaluation) -> None:
    (task,) = reranking.dataset.tasks
    found = sides(task, reranking.systems)
    found[0].ranks[:] = np.nan
    assert [each.name for each in drawn(found)] == ["yes_no", "square"]


@pytest.mark.parametrize("ranks", [[1.0], [np.inf], [np.inf, np.inf, 1000.0], [1.0] * 50])
def test_extremes_can_be_drawn(ranks: list[float]) -> None:
    depth = int(max([1, *(rank for rank in ranks if np.isfinite(rank))]))
    for svg in (curve([line("x", ranks, depth=depth)]), histogram([line("x", ranks, depth=depth)])):
        assert "nan" not in svg
        assert "inf" not in svg
        ElementTree.fromstring(svg)
