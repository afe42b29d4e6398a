"""mmrank: multimodal retrieval and reranking.

Search a collection of images, document pages, videos and texts by meaning, and let a multimodal model put
the best few in the right order. The public names are the ones below and nothing else; each is imported from
its room when it is first used, so that ``import mmrank`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmrank.embed.base import Embedder as Embedder
    from mmrank.embed.registry import load_embedder as load_embedder
    from mmrank.errors import EmbedderError as EmbedderError
    from mmrank.errors import IndexStoreError as IndexStoreError
    from mmrank.errors import MediaError as MediaError
    from mmrank.errors import MmrankError as MmrankError
    from mmrank.errors import UsageError as UsageError
    from mmrank.fusion import Fuse as Fuse
    from mmrank.fusion import fuse as fuse
    from mmrank.fusion import merge as merge
    from mmrank.index.index import Index as Index
    from mmrank.media.scan import scan as scan
    from mmrank.pipeline import Cutoff as Cutoff
    from mmrank.pipeline import Pipeline as Pipeline
    from mmrank.pipeline import Stage as Stage
    from mmrank.pipeline_file import load_pipeline as load_pipeline
    from mmrank.rerank.base import reranker as reranker
    from mmrank.run import Run as Run
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
    "Embedder": "embed.base",
    "EmbedderError": "errors",
    "Fuse": "fusion",
    "Hit": "types",
    "Index": "index.index",
    "IndexStoreError": "errors",
    "Item": "types",
    "MediaError": "errors",
    "MmrankError": "errors",
    "Pipeline": "pipeline",
    "Query": "types",
    "Ranking": "types",
    "Record": "types",
    "Run": "run",
    "Stage": "pipeline",
    "UsageError": "errors",
    "fuse": "fusion",
    "load_embedder": "embed.registry",
    "load_pipeline": "pipeline_file",
    "merge": "fusion",
    "reranker": "rerank.base",
    "scan": "media.scan",
}

__all__ = [  # noqa: PLE0604 - the names are given by __getattr__
    "__version__",
    *sorted(_HOME),
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'mmrank' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    value: object = getattr(import_module(f"mmrank.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
