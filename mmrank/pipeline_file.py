"""Pipeline files: a pipeline written down as TOML, validated before anything is loaded.

.. code-block:: toml

    name = "photos, two ways"            # optional

    [names]                              # optional: what a caller may change; {index} stands for it below
    index = "indexes/photos"
    judge = "Qwen/Qwen3-VL-8B-Instruct"
    embedder = "vit-b-32"                # the one name that may go unused: what the index is to be built with

    [[stage]]                            # stages run in the order they stand in
    type = "fuse"
    method = "rrf"                       # product (default), combsum, combmnz, weighted_sum, rrf, borda, merge
    weights = [1.0, 0.5]                 # optional, one per branch
    groups = [[0], [1]]                  # optional, kin branches as mmrank.kin_groups or mmrank fuse --kin gave them

    [[stage.branch]]                     # a branch is a list of stages of its own
    stage = [{ type = "retriever", index = "{index}", k = 200 }]

    [[stage.branch]]
    stage = [{ type = "retriever", index = "{index}", k = 200, mode = "text" }]

    [[stage]]
    type = "cutoff"
    k = 100

    [[stage]]
    type = "distinct"                    # near-identical hits are one
    index = "{index}"

    [[stage]]
    type = "super_global"                # a stage over vectors, see mmrank.pipeline_vectors
    index = "{index}"
    depth = 50

    [[stage]]
    type = "rerank"                      # a recipe with a model
    judge = "first@{judge}"
    depth = 20
    options = { window = 10, stride = 5 }

    [[stage]]
    type = "group_by"                    # one hit for each video or PDF, or for each value of a metadata column
    by = "parent"

    [[stage]]
    type = "object"                      # a Stage of your own, or a function that makes one
    object = "mypackage.stages:MyStage"
    options = { depth = 10 }

Relative index paths, and models and recipe files that begin with ``./`` or ``../``, are read from the file's own
folder. A key that is not in the schema, a missing one, or a value of the wrong type is an error that names the place in
the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from mmrank.bundled import bundled_pipeline
from mmrank.errors import UsageError
from mmrank.pipeline import Stage
from mmrank.pipeline_faults import Place, explain
from mmrank.pipeline_names import NAMES, Config, Loading, filled, names_of
from mmrank.pipeline_stages import _STAGES, AnyStage, BranchConfig, FuseConfig, PipelineConfig, RerankConfig, chain
from mmrank.pipeline_vectors import MovedBy


def named_values(path: str | Path) -> dict[str, Any]:
    """The `[names]` of a pipeline file: what `load_pipeline` can be given, and what it takes when it is not.

    Raises `UsageError` for a file that is not there or is no TOML.
    """
    path, raw = _tables(path)
    try:
        return names_of(raw)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def pipeline_path(path: str | Path) -> Path:
    """Where a pipeline file lies: at `path`, else among those that come with mmrank (``indexes/NAME.toml``)."""
    path = Path(path).expanduser()
    return path if path.exists() else bundled_pipeline(path) or path


def _tables(path: str | Path) -> tuple[Path, dict[str, Any]]:
    path = pipeline_path(path)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no pipeline file {str(path)!r}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from None


def read_pipeline(path: str | Path, **names: Any) -> PipelineConfig:
    """A pipeline file, read and checked; nothing is opened or loaded. Arguments and errors are `load_pipeline`'s."""
    path, raw = _tables(path)
    try:
        return PipelineConfig.model_validate(filled(raw, names))
    except ValidationError as error:
        raise UsageError(f"{path} does not fit the pipeline schema:\n{explain(error, _keys_at)}") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def load_pipeline(path: str | Path, **names: Any) -> Stage:
    """Read a pipeline file and build its stages (indexes are opened, models load when they are first needed).

    `names`: values for the file's `[names]`, in place of those it has. A path in a text counts from the file's folder,
    as if it stood there; a `pathlib.Path` counts from the working directory.

    Raises `UsageError` for a file that is not there, is no TOML, or does not fit the schema in this module's text, and
    for a name that the file does not have.

        load_pipeline("indexes/square.toml", index=Path("my.index"), judge="openai:http://localhost:8000/v1#Qwen3-VL-8B")
    """
    path = pipeline_path(path)
    config = read_pipeline(path, **names)
    judges = frozenset(stage.judge.partition("@")[2] for stage in _all(config.stage) if isinstance(stage, RerankConfig))
    return chain(config.stage, Loading(path.parent, judges))


def _all(stages: tuple[AnyStage, ...]) -> Iterator[AnyStage]:
    """Every stage, those of branches too."""
    for stage in stages:
        yield stage
        if isinstance(stage, FuseConfig):
            for branch in stage.branch:
                yield from _all(branch.stage)


def _keys_at(place: Place) -> tuple[str, ...]:
    """The keys of a table: of the file, of a branch, of a stage by its type."""
    if not place:
        return (*PipelineConfig.model_fields, NAMES)
    if isinstance(place[-1], int):
        return tuple(BranchConfig.model_fields)
    of_type = {
        get_args(c.model_fields["type"].annotation): c for c in get_args(MovedBy if "moved_by" in place else _STAGES)
    }
    config: type[Config] | None = of_type.get((place[-1],))
    return () if config is None else tuple(config.model_fields)
