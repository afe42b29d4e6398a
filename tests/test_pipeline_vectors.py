"""Vector stages in pipeline files: every stage and every setting has its key, checked before an index is opened."""

from __future__ import annotations

import sys
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import get_args

import numpy as np
import pytest

import mmrank.rerank.vectors as room
from mmrank.errors import IndexStoreError, UsageError
from mmrank.pipeline_file import load_pipeline, read_pipeline
from mmrank.pipeline_names import Loading
from mmrank.pipeline_vectors import PLACES, VectorStage
from mmrank.rerank.vectors import GivenVectors, vector_stage

STAGES = {get_args(config.model_fields["type"].annotation)[0]: config for config in get_args(VectorStage)}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    return path


def test_every_stage_of_the_room_has_a_type() -> None:
    made = {name for name in room.__all__ if name[0].islower() and name != "vector_stage"}
    assert set(STAGES) == made
    assert set(room.STAGES) <= set(STAGES)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_every_setting_of_a_stage_has_a_key(name: str) -> None:
    taken = set(signature(getattr(room, name)).parameters) - {"source", "index", "moved_by"}
    assert set(STAGES[name].model_fields) - PLACES == taken


@pytest.mark.parametrize(
    ("table", "options"),
    [
        ('type = "super_global"\ndepth = 50\nbeta = 0.3\nexpand = false', {"depth": 50, "beta": 0.3, "expand": False}),
        ('type = "clip_rerank"\nalpha = 0.5\nnormalise = "raw"', {"alpha": 0.5, "normalise": "raw"}),
        ('type = "rocchio"\nweights = [1, 0.5, 0]\nnegatives = 2', {"weights": (1.0, 0.5, 0.0), "negatives": 2}),
        ('type = "query_expansion"\npower = 0', {"power": 0.0}),
        ('type = "e2rank"\nfeedback = 5\ncompose = "text"', {"feedback": 5, "compose": "text"}),
        ('type = "mmr"\ntrade = 0.5\nrelevance = "cosine"', {"trade": 0.5, "relevance": "cosine"}),
        ('type = "near_duplicates"\nthreshold = 0.9', {"threshold": 0.9}),
        ('type = "f4its"\ntext_weight = 0.4', {"text_weight": 0.4}),
    ],
)
def test_a_table_makes_the_stage_it_names(tmp_path: Path, table: str, options: dict) -> None:
    (config,) = read_pipeline(written(tmp_path, f'[[stage]]\nindex = "photos"\n{table}')).stage
    source = GivenVectors()
    assert config.make(source) == vector_stage(config.type, source, **options)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('type = "super_global"', "super_global.index: this key is missing"),
        ('type = "super_global"\nindex = "x"\nbetta = 1', "betta: there is no such key here; .*Did you mean beta?"),
        ('type = "super_global"\nindex = "x"\nbeta = -1', "beta is -1.0; give a number of 0 or more"),
        ('type = "super_global"\nindex = "x"\nbeta = "a"', "super_global.beta: .*'a'"),
        ('type = "super_global"\nindex = "x"\ndepth = 0', "super_global.depth: .*greater than 0"),
        ('type = "clip_rerank"\nindex = "x"\nnormalise = "max"', "it must be one of min_max, raw"),
        ('type = "rocchio"\nindex = "x"\nweights = [1, 2]', "weights.2: this key is missing"),
        ('type = "mmr"\nindex = "x"\ncompose = "sume"', "Did you mean sum?"),
        ('type = "mmr"\nindex = "x"\ncompose = "intersection"', "ranks by two vectors, and mmr wants one"),
        ('type = "superglobal"\nindex = "x"', "'super_global'"),
        ('type = "search_again"\nindex = "x"', "search_again.moved_by: this key is missing"),
        ('type = "search_again"\nindex = "x"\nmoved_by = { type = "mmr" }', "'rocchio', 'query_expansion'"),
        (
            'type = "search_again"\nindex = "x"\nmoved_by = { type = "rocchio", index = "x" }',
            "moved_by.rocchio.index: there is no such key here; there are type, depth, feedback",
        ),
        ('type = "late_interaction"\nindex = "x"\npatience = 0', "patience is 0"),
        ('type = "text_conditioned"', "needs either an index that keeps token vectors, or source"),
        ('type = "text_conditioned"\nindex = "x"\nsource = "a:b"', "needs either an index"),
        ('type = "f4its_list"\nindex = "x"\nattributes = "nowhere:x"', "cannot be found"),
        ('type = "text_conditioned"\nsource = "x"', "text_conditioned.source"),
    ],
)
def test_a_fault_is_named_with_what_is_allowed(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_pipeline(written(tmp_path, f"[[stage]]\n{table}"))


def test_a_fault_is_said_before_an_index_that_is_not_there(tmp_path: Path) -> None:
    head = '[[stage]]\ntype = "retriever"\nindex = "gone"\n[[stage]]\ntype = "mmr"\nindex = "gone"\n'
    with pytest.raises(UsageError, match="trade is 3"):
        load_pipeline(written(tmp_path, head + "trade = 3"))
    with pytest.raises(IndexStoreError, match="gone"):
        load_pipeline(written(tmp_path, head))


def test_search_again_takes_a_moved_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = GivenVectors()
    monkeypatch.setattr(Loading, "index", lambda *_: source)
    path = written(
        tmp_path,
        '[[stage]]\ntype = "search_again"\nindex = "x"\nk = 7\nkinds = ["image"]\n'
        'moved_by = { type = "query_expansion", power = 1, feedback = 4 }',
    )
    moved_by = room.query_expansion(source, power=1.0, feedback=4)
    assert load_pipeline(path) == room.search_again(source, moved_by, k=7, kinds=["image"])  # type: ignore[arg-type]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the user's own, with a source, a scorer and a namer of attributes."""
    module = ModuleType("own_vectors")
    module.source = GivenVectors(  # type: ignore[attr-defined]
        queries={"q": np.array([1, 0], np.float32)}, tokens={"a": np.eye(2, dtype=np.float32)}
    )
    module.make = lambda items: GivenVectors(items=items)  # type: ignore[attr-defined]
    module.score = lambda query, tokens: float((tokens @ query).sum())  # type: ignore[attr-defined]
    module.attributes = lambda query: ["tomato"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own_vectors", module)
    return module


def test_functions_and_sources_of_ones_own_are_named(tmp_path: Path, own: ModuleType) -> None:
    table = '[[stage]]\ntype = "text_conditioned"\nsource = "own_vectors:source"\n'
    path = written(tmp_path, table + 'score = "own_vectors:score"\ndepth = 9')
    assert load_pipeline(path) == room.text_conditioned(own.source, own.score, depth=9)
    made = '[[stage]]\ntype = "text_conditioned"\nsource = "own_vectors:make"\nsource_options = { items = {} }'
    assert isinstance(load_pipeline(written(tmp_path, made)).source, GivenVectors)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="is made already"):
        load_pipeline(written(tmp_path, table + "source_options = { a = 1 }"))
    with pytest.raises(UsageError, match="without token_vectors and query_vectors"):
        load_pipeline(written(tmp_path, table.replace("own_vectors:source", "own_vectors:attributes.__doc__")))
    listed = '[[stage]]\ntype = "f4its_list"\nindex = "x"\nattributes = "own_vectors:attributes"\ntake = 3'
    (config,) = read_pipeline(written(tmp_path, listed)).stage
    assert config.make(own.source).attributes is own.attributes  # type: ignore[union-attr]
