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
    type = "super_global"                # a stage over vectors, see mmrank.pipeline_vectors
    index = "{index}"
    depth = 50

    [[stage]]
    type = "rerank"                      # a recipe with a model
    judge = "first@{judge}"
    depth = 20
    options = { window = 10, stride = 5 }

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
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from mmrank.aggregate import Method, Normalise
from mmrank.bundled import bundled_pipeline
from mmrank.errors import UsageError
from mmrank.fusion import Fuse
from mmrank.fusion_rule import Absent
from mmrank.pipeline import Cutoff, Pipeline, Stage
from mmrank.pipeline_faults import Place, explain
from mmrank.pipeline_names import NAMES, Config, FormName, Loading, ObjectName, filled, find_object, names_of
from mmrank.pipeline_vectors import MovedBy, VectorStage
from mmrank.types import Kind

MACHINE = ("device", "precision", "threads")
"""Options of a rerank stage that say how its model is loaded."""


class RetrieverConfig(Config):
    """`index.retriever(...)` of a built index."""

    type: Literal["retriever"]
    index: str
    k: PositiveInt = 100
    embedder: str | None = None
    where: str | None = None
    mode: Literal["vector", "text", "hybrid"] = "vector"
    kinds: tuple[Kind, ...] | None = None
    compose: FormName | None = None

    def build(self, loading: Loading) -> Stage:
        index = loading.index(self.index, self.embedder)
        compose = loading.form(self.compose)
        stage: Stage = index.retriever(k=self.k, where=self.where, mode=self.mode, kinds=self.kinds, compose=compose)
        return stage


class RescorerConfig(Config):
    """`index.rescorer(...)` of a built index: its vectors score what another stage found."""

    type: Literal["rescorer"]
    index: str
    depth: PositiveInt | None = None
    embedder: str | None = None
    compose: FormName | None = None

    def build(self, loading: Loading) -> Stage:
        index = loading.index(self.index, self.embedder)
        stage: Stage = index.rescorer(depth=self.depth, compose=loading.form(self.compose))
        return stage


class CutoffConfig(Config):
    """``% k``: what lies below rank k is discarded."""

    type: Literal["cutoff"]
    k: PositiveInt

    def build(self, loading: Loading) -> Stage:
        return Cutoff(k=self.k)


class RerankConfig(Config):
    """`mmrank.load_reranker(...)`: a recipe with a model; the model is loaded when the file is. `options`: settings of
    the recipe, and any other option of `load_reranker` (``device = "cuda"``)."""

    type: Literal["rerank"]
    judge: Annotated[str, Field(pattern=r"^[^@]+@.+$")]
    depth: PositiveInt | None = None
    form: str | None = None
    seed: int = 0
    deadline: float | None = None
    deadline_ms: float | None = None
    options: dict[str, Any] | None = None

    def build(self, loading: Loading) -> Stage:
        options = dict(self.options or {})
        own = {"depth", "form", "seed", "deadline", "deadline_ms", "model"} & set(options)
        if own:
            raise UsageError(f"{', '.join(sorted(own))} of a rerank stage stand beside options, not in them.")
        load = import_module("mmrank.rerank.load").load_reranker
        recipe, model = (loading.path(part) for part in self.judge.split("@", 1))
        told = self.model_dump(include={"depth", "form", "seed", "deadline", "deadline_ms"})
        machine = {name: options[name] for name in MACHINE if name in options}
        held = loading.judge(model, machine)
        if held is not None:
            plain = {name: value for name, value in options.items() if name not in machine}
            again: Stage = load(recipe, model=held, **told, **plain)
            return again
        stage = load(f"{recipe}@{model}", **told, **options)
        if "transcript" not in options:  # what one stage records is not what another says
            loading.keep_judge(model, machine, stage.mllm)
        made: Stage = stage
        return made


class FuseConfig(Config):
    """Branches side by side, fused: the settings of `mmrank.Fuse`. `groups` are what `mmrank.kin_groups` gave once."""

    type: Literal["fuse"]
    branch: Annotated[tuple[BranchConfig, ...], Field(min_length=1)]
    method: Method | Literal["merge"] = "product"
    weights: tuple[float, ...] | None = None
    groups: tuple[tuple[NonNegativeInt, ...], ...] | None = None
    normalise: Normalise | None = None
    absent: Absent = "floor"
    epsilon: float | None = None

    @model_validator(mode="after")
    def _settings_fit(self) -> FuseConfig:
        """Checked on branches that stand in for the real ones: nothing is opened for a file that is wrong."""
        self._fuse(*(Cutoff(k=1) for _ in self.branch))
        return self

    def build(self, loading: Loading) -> Stage:
        return self._fuse(*(_chain(b.stage, loading) for b in self.branch))

    def _fuse(self, *branches: Stage) -> Fuse:
        return Fuse(
            *branches,
            method=self.method,
            weights=self.weights,
            groups=self.groups,
            normalise=self.normalise,
            absent=self.absent,
            epsilon=self.epsilon,
        )


class ObjectConfig(Config):
    """A Stage from the user's own installed code: ``package.module:object``."""

    type: Literal["object"]
    object: ObjectName
    options: dict[str, Any] | None = None

    def build(self, loading: Loading) -> Stage:
        made = find_object(self.object)
        if not isinstance(made, Stage):
            if not callable(made):
                raise UsageError(f"{self.object} is a {type(made).__name__}; it must be a Stage or make one.")
            made = made(**(self.options or {}))
        elif self.options:
            raise UsageError(f"{self.object} is a Stage already; options are for a class or function that makes one.")
        if not isinstance(made, Stage):
            raise UsageError(f"{self.object} made a {type(made).__name__}; a pipeline file needs a mmrank.Stage.")
        return made


_STAGES: TypeAlias = (
    RetrieverConfig | RescorerConfig | CutoffConfig | RerankConfig | FuseConfig | ObjectConfig | VectorStage
)

AnyStage: TypeAlias = Annotated[_STAGES, Field(discriminator="type")]


class BranchConfig(Config):
    """One branch of a fuse stage."""

    stage: Annotated[tuple[AnyStage, ...], Field(min_length=1)]


class PipelineConfig(Config):
    """A whole pipeline file, its names filled in."""

    stage: Annotated[tuple[AnyStage, ...], Field(min_length=1)]
    name: str | None = None


FuseConfig.model_rebuild()


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
    return _chain(config.stage, Loading(path.parent, judges))


def _all(stages: tuple[AnyStage, ...]) -> Iterator[AnyStage]:
    """Every stage, those of branches too."""
    for stage in stages:
        yield stage
        if isinstance(stage, FuseConfig):
            for branch in stage.branch:
                yield from _all(branch.stage)


def _chain(stages: tuple[AnyStage, ...], loading: Loading) -> Stage:
    built = [s.build(loading) for s in stages]
    return built[0] if len(built) == 1 else Pipeline(stages=tuple(built))


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
