"""Stages of a pipeline file that rescore on vectors: the keys of each, checked before any index is opened.

A table has the stage's own settings, under their own names; what a file leaves out is the stage's default. They are
made by `mmrank.rerank.vectors`, which says what each one does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PositiveInt, model_validator

from mmrank.errors import UsageError
from mmrank.pipeline import Stage
from mmrank.pipeline_names import Config, FormName, Loading, ObjectName, find_object
from mmrank.types import Kind

PLACES = frozenset({"type", "index", "embedder", "source", "source_options", "moved_by"})
"""Keys that are no settings of the stage."""

OBJECTS = frozenset({"write", "caption", "attributes", "score"})
"""Settings that are functions: in a file ``package.module:name``."""


def _room() -> Any:
    # The room above is reached by name, when a file asks for it: the pipeline itself knows no reranking.
    return import_module("mmrank.rerank.vectors")


class Settings(Config):
    """The settings of a vector stage."""

    type: str
    depth: PositiveInt | None = None

    @model_validator(mode="after")
    def _settings_fit(self) -> Settings:
        """Checked on a source that stands in for the real one: nothing is opened for a file that is wrong."""
        self.make(_room().GivenVectors())
        compose = getattr(self, "compose", None)
        if compose is not None and compose.startswith("intersection"):
            raise UsageError(
                f"compose is {compose!r}, which ranks by two vectors, and {self.type} wants one; "
                "choose another form here, and an intersection in the retriever."
            )
        return self

    def make(self, source: Any) -> Stage:
        """The stage over `source`, with what the file sets."""
        given = {name: getattr(self, name) for name in self.model_fields_set - PLACES}
        options = {name: find_object(value) if name in OBJECTS else value for name, value in given.items()}
        made: Stage = getattr(_room(), self.type)(source, **options)
        return made


class OverIndex(Settings):
    """A stage over the vectors of a built index."""

    index: str
    embedder: str | None = None

    def build(self, loading: Loading) -> Stage:
        settings = self
        if (compose := getattr(self, "compose", None)) is not None:
            settings = self.model_copy(update={"compose": loading.form(compose)})
        return settings.make(loading.index(self.index, self.embedder))


class SuperGlobalConfig(OverIndex):
    type: Literal["super_global"]
    neighbours: int | None = None
    beta: float | None = None
    expand: bool | None = None
    compose: FormName | None = None


class ClipRerankConfig(OverIndex):
    type: Literal["clip_rerank"]
    alpha: float | None = None
    normalise: str | None = None
    compose: FormName | None = None


class RocchioSettings(Settings):
    type: Literal["rocchio"]
    feedback: int | None = None
    negatives: int | None = None
    weights: tuple[float, float, float] | None = None
    compose: FormName | None = None


class QueryExpansionSettings(Settings):
    type: Literal["query_expansion"]
    feedback: int | None = None
    power: float | None = None
    compose: FormName | None = None


class RocchioConfig(RocchioSettings, OverIndex):
    pass


class QueryExpansionConfig(QueryExpansionSettings, OverIndex):
    pass


class E2RankConfig(OverIndex):
    type: Literal["e2rank"]
    feedback: int | None = None
    write: ObjectName | None = None
    compose: FormName | None = None


class MmrConfig(OverIndex):
    type: Literal["mmr"]
    trade: float | None = None
    relevance: str | None = None
    compose: FormName | None = None


class NearDuplicatesConfig(OverIndex):
    type: Literal["near_duplicates"]
    threshold: float | None = None


class F4ItsConfig(OverIndex):
    type: Literal["f4its"]
    caption: ObjectName | None = None
    text_weight: float | None = None
    gallery_image: float | None = None


class F4ItsListConfig(OverIndex):
    type: Literal["f4its_list"]
    attributes: ObjectName
    weight: float | None = None
    take: int | None = None
    threshold: float | None = None


MovedBy: TypeAlias = RocchioSettings | QueryExpansionSettings


class SearchAgainConfig(Config):
    """The index is searched with the query that feedback has moved; `moved_by` is a rocchio or query_expansion."""

    type: Literal["search_again"]
    index: str
    embedder: str | None = None
    moved_by: Annotated[MovedBy, Field(discriminator="type")]
    k: PositiveInt = 100
    where: str | None = None
    kinds: tuple[Kind, ...] | None = None

    def build(self, loading: Loading) -> Stage:
        index = loading.index(self.index, self.embedder)
        moved_by = self.moved_by.model_copy(update={"compose": loading.form(self.moved_by.compose)})
        stage: Stage = _room().search_again(index, moved_by.make(index), k=self.k, where=self.where, kinds=self.kinds)
        return stage


class TextConditionedConfig(Settings):
    """Local tokens read with the query in mind, from an index of token vectors or a source of one's own."""

    type: Literal["text_conditioned"]
    index: str | None = None
    embedder: str | None = None
    source: ObjectName | None = None
    source_options: dict[str, Any] | None = None
    score: ObjectName | None = None
    compose: FormName | None = None

    @model_validator(mode="after")
    def _one_source(self) -> TextConditionedConfig:
        if (self.index is None) == (self.source is None):
            raise UsageError(
                "text_conditioned needs either an index that keeps token vectors, or source = 'package.module:name', "
                "an object that gives them (mmrank.rerank.vectors.source.LocalSource)."
            )
        return self

    def build(self, loading: Loading) -> Stage:
        settings = self.model_copy(update={"compose": loading.form(self.compose)})
        if self.index is not None:
            return settings.make(loading.index(self.index, self.embedder))
        assert self.source is not None
        source = find_object(self.source)
        if callable(source):
            source = source(**(self.source_options or {}))
        elif self.source_options:
            raise UsageError(f"{self.source} is made already; source_options are for a class or function.")
        if missing := [name for name in ("token_vectors", "query_vectors") if not hasattr(source, name)]:
            raise UsageError(
                f"{self.source} is a {type(source).__name__} without {' and '.join(missing)}; text_conditioned needs "
                "both (see mmrank.rerank.vectors.source.LocalSource)."
            )
        return settings.make(source)


class LateInteractionConfig(OverIndex):
    """Exact MaxSim over the token vectors of an index that a late-interaction embedder built."""

    type: Literal["late_interaction"]
    k: int | None = None
    alpha: float | None = None
    patience: int | None = None
    batch: int | None = None


VectorStage: TypeAlias = (
    SuperGlobalConfig
    | ClipRerankConfig
    | RocchioConfig
    | QueryExpansionConfig
    | E2RankConfig
    | MmrConfig
    | NearDuplicatesConfig
    | F4ItsConfig
    | F4ItsListConfig
    | SearchAgainConfig
    | TextConditionedConfig
    | LateInteractionConfig
)
"""Every stage over vectors that a pipeline file can name."""
