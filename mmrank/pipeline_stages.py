"""Stages of a pipeline file: the keys of each, checked before anything is opened, and how it is built.

Stages over vectors have a module of their own, `mmrank.pipeline_vectors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mmrank.aggregate import Method, Normalise
from mmrank.errors import UsageError
from mmrank.fusion import Fuse
from mmrank.fusion_rule import Absent
from mmrank.group import GroupBy
from mmrank.pipeline import Cutoff, Pipeline, Stage
from mmrank.pipeline_names import Config, FormName, Loading, ObjectName, find_object
from mmrank.pipeline_vectors import VectorStage
from mmrank.types import Kind

Cosine: TypeAlias = Annotated[float, Field(ge=-1, le=1)]


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
    group_by: str | None = None
    distinct: bool | Cosine | None = None
    parts: bool = False

    @model_validator(mode="after")
    def _parts_of_groups(self) -> RetrieverConfig:
        if self.parts and self.group_by is None:
            raise UsageError('parts = true leaves groups unfolded, and there are none; say group_by = "parent" too.')
        return self

    def build(self, loading: Loading) -> Stage:
        told = self.model_dump(include={"k", "where", "mode", "kinds", "group_by", "distinct", "parts"})
        index = loading.index(self.index, self.embedder)
        stage: Stage = index.retriever(**told, compose=loading.form(self.compose))
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


class GroupByConfig(Config):
    """`mmrank.group_by(...)`: one hit of each group."""

    type: Literal["group_by"]
    by: Annotated[str, Field(min_length=1)] = "parent"

    def build(self, loading: Loading) -> Stage:
        return GroupBy(by=self.by)


class DistinctConfig(Config):
    """`mmrank.distinct(...)`: near-identical hits are one; the index has the vectors and pictures they are told by."""

    type: Literal["distinct"]
    index: str
    threshold: Cosine | None = None
    embedder: str | None = None

    def build(self, loading: Loading) -> Stage:
        # By name, as the index: the pipeline itself brings in no numpy for it.
        made: Stage = import_module("mmrank.duplicates").distinct(
            loading.index(self.index, self.embedder), self.threshold
        )
        return made


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
        room = import_module("mmrank.rerank.load")
        load = room.load_reranker
        recipe, model = (loading.path(part) for part in self.judge.split("@", 1))
        told = self.model_dump(include={"depth", "form", "seed", "deadline", "deadline_ms"})
        machine = {name: options[name] for name in (*MACHINE, *room.MODEL_OPTIONS) if name in options}
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
        return self._fuse(*(chain(b.stage, loading) for b in self.branch))

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
    RetrieverConfig
    | RescorerConfig
    | GroupByConfig
    | DistinctConfig
    | CutoffConfig
    | RerankConfig
    | FuseConfig
    | ObjectConfig
    | VectorStage
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


def chain(stages: tuple[AnyStage, ...], loading: Loading) -> Stage:
    built = [s.build(loading) for s in stages]
    return built[0] if len(built) == 1 else Pipeline(stages=tuple(built))
