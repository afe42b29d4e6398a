"""mmrank: multimodal retrieval and reranking.

Search a collection of images, document pages, videos and texts by meaning, and let a multimodal model put
the best few in the right order. The public names are the ones below and nothing else; each is imported from
its room when it is first used, so that ``import mmrank`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmrank.duplicates import distinct as distinct
    from mmrank.embed.base import Embedder as Embedder
    from mmrank.embed.registry import load_embedder as load_embedder
    from mmrank.errors import EmbedderError as EmbedderError
    from mmrank.errors import IndexStoreError as IndexStoreError
    from mmrank.errors import MediaError as MediaError
    from mmrank.errors import MllmError as MllmError
    from mmrank.errors import MmrankError as MmrankError
    from mmrank.errors import RecipeError as RecipeError
    from mmrank.errors import UsageError as UsageError
    from mmrank.evaluation.dataset import DatasetError as DatasetError
    from mmrank.evaluation.datasets.registry import load_dataset as load_dataset
    from mmrank.evaluation.evaluate import evaluate as evaluate
    from mmrank.fusion import Fuse as Fuse
    from mmrank.fusion import fuse as fuse
    from mmrank.fusion import merge as merge
    from mmrank.group import group_by as group_by
    from mmrank.index.index import Index as Index
    from mmrank.index.ray_workers import RayWorkers as RayWorkers
    from mmrank.kinship import kin_groups as kin_groups
    from mmrank.media.remote import allow_remote as allow_remote
    from mmrank.media.scan import scan as scan
    from mmrank.mllm.registry import load_mllm as load_mllm
    from mmrank.pipeline import Cutoff as Cutoff
    from mmrank.pipeline import Pipeline as Pipeline
    from mmrank.pipeline import Stage as Stage
    from mmrank.pipeline_file import load_pipeline as load_pipeline
    from mmrank.rerank.base import reranker as reranker
    from mmrank.rerank.load import load_reranker as load_reranker
    from mmrank.rerank.vectors import GivenVectors as GivenVectors
    from mmrank.rerank.vectors import clip_rerank as clip_rerank
    from mmrank.rerank.vectors import e2rank as e2rank
    from mmrank.rerank.vectors import f4its as f4its
    from mmrank.rerank.vectors import f4its_list as f4its_list
    from mmrank.rerank.vectors import late_interaction as late_interaction
    from mmrank.rerank.vectors import mmr as mmr
    from mmrank.rerank.vectors import near_duplicates as near_duplicates
    from mmrank.rerank.vectors import query_expansion as query_expansion
    from mmrank.rerank.vectors import rocchio as rocchio
    from mmrank.rerank.vectors import search_again as search_again
    from mmrank.rerank.vectors import super_global as super_global
    from mmrank.rerank.vectors import text_conditioned as text_conditioned
    from mmrank.run import Run as Run
    from mmrank.run_fusion import fuse_runs as fuse_runs
    from mmrank.types import Cost as Cost
    from mmrank.types import Hit as Hit
    from mmrank.types import Item as Item
    from mmrank.types import Query as Query
    from mmrank.types import Ranking as Ranking
    from mmrank.types import Record as Record

__version__ = "0.1.0"

_HOME = {
    "Cost": "types",
    "Cutoff": "pipeline",
    "DatasetError": "evaluation.dataset",
    "Embedder": "embed.base",
    "EmbedderError": "errors",
    "Fuse": "fusion",
    "GivenVectors": "rerank.vectors",
    "Hit": "types",
    "Index": "index.index",
    "IndexStoreError": "errors",
    "Item": "types",
    "MediaError": "errors",
    "MllmError": "errors",
    "MmrankError": "errors",
    "Pipeline": "pipeline",
    "Query": "types",
    "Ranking": "types",
    "RayWorkers": "index.ray_workers",
    "RecipeError": "errors",
    "Record": "types",
    "Run": "run",
    "Stage": "pipeline",
    "UsageError": "errors",
    "allow_remote": "media.remote",
    "clip_rerank": "rerank.vectors",
    "distinct": "duplicates",
    "e2rank": "rerank.vectors",
    "evaluate": "evaluation.evaluate",
    "f4its": "rerank.vectors",
    "f4its_list": "rerank.vectors",
    "fuse": "fusion",
    "fuse_runs": "run_fusion",
    "group_by": "group",
    "kin_groups": "kinship",
    "late_interaction": "rerank.vectors",
    "load_dataset": "evaluation.datasets.registry",
    "load_embedder": "embed.registry",
    "load_mllm": "mllm.registry",
    "load_pipeline": "pipeline_file",
    "load_reranker": "rerank.load",
    "merge": "fusion",
    "mmr": "rerank.vectors",
    "near_duplicates": "rerank.vectors",
    "query_expansion": "rerank.vectors",
    "reranker": "rerank.base",
    "rocchio": "rerank.vectors",
    "scan": "media.scan",
    "search_again": "rerank.vectors",
    "super_global": "rerank.vectors",
    "text_conditioned": "rerank.vectors",
}

__all__ = [  # noqa: PLE0604 - the names are given by __getattr__
    "__version__",
    *sorted(_HOME),
]


def __getattr__(name: str) -> object:
    if name == "compose":  # a room of its own: mmrank.compose.Sqaf(...) and its siblings
        return import_module("mmrank.compose")
    if name not in _HOME:
        raise AttributeError(f"module 'mmrank' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value: object = getattr(import_module(f"mmrank.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
