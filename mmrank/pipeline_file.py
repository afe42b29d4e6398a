"""Pipeline files: a pipeline written down as TOML, validated before anything is loaded.

.. code-block:: toml

    name = "photos, two ways"            # optional

    [[stage]]                            # stages run in the order they stand in
    type = "fuse"
    method = "rrf"                       # product (default), combsum, combmnz, weighted_sum, rrf, borda, merge
    weights = [1.0, 0.5]                 # optional, one per branch
    groups = [[0], [1]]                  # optional, kin branches as mmrank.kin_groups or mmrank fuse --kin gave them

    [[stage.branch]]                     # a branch is a list of stages of its own
    stage = [{ type = "retriever", index = "indexes/photos", k = 200 }]

    [[stage.branch]]
    stage = [{ type = "retriever", index = "indexes/photos", k = 200, mode = "text" }]

    [[stage]]
    type = "cutoff"
    k = 100

    [[stage]]
    type = "rerank"                      # a recipe with a model
    judge = "first@Qwen/Qwen3-VL-8B-Instruct"
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
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from mmrank.aggregate import Method, Normalise
from mmrank.errors import UsageError
from mmrank.fusion import Fuse
from mmrank.fusion_rule import Absent
from mmrank.pipeline import Cutoff, Pipeline, Stage
from mmrank.types import Kind


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetrieverConfig(_Config):
    """`index.retriever(...)` of a built index."""

    type: Literal["retriever"]
    index: str
    k: PositiveInt = 100
    embedder: str | None = None
    where: str | None = None
    mode: Literal["vector", "text", "hybrid"] = "vector"
    kinds: tuple[Kind, ...] | None = None
    compose: str | None = None

    def build(self, folder: Path) -> Stage:
        index = _open_index(folder, self.index, self.embedder)
        stage: Stage = index.retriever(
            k=self.k, where=self.where, mode=self.mode, kinds=self.kinds, compose=self.compose
        )
        return stage


class RescorerConfig(_Config):
    """`index.rescorer(...)` of a built index: its vectors score what another stage found."""

    type: Literal["rescorer"]
    index: str
    depth: PositiveInt | None = None
    embedder: str | None = None
    compose: str | None = None

    def build(self, folder: Path) -> Stage:
        stage: Stage = _open_index(folder, self.index, self.embedder).rescorer(depth=self.depth, compose=self.compose)
        return stage


class CutoffConfig(_Config):
    """``% k``: what lies below rank k is discarded."""

    type: Literal["cutoff"]
    k: PositiveInt

    def build(self, folder: Path) -> Stage:
        return Cutoff(k=self.k)


class RerankConfig(_Config):
    """`mmrank.load_reranker(...)`: a recipe with a model; the model is loaded when the file is. `options`: settings of
    the recipe, and any other option of `load_reranker` (``device = "cuda"``)."""

    type: Literal["rerank"]
    judge: Annotated[str, Field(pattern=r"^[^@]+@.+$")]
    depth: PositiveInt | None = None
    form: str | None = None
    seed: int = 0
    deadline: float | None = None
    options: dict[str, Any] | None = None

    def build(self, folder: Path) -> Stage:
        own = {"depth", "form", "seed", "deadline"} & set(self.options or {})
        if own:
            raise UsageError(f"{', '.join(sorted(own))} of a rerank stage stand beside options, not in them.")
        load = import_module("mmrank.rerank.load").load_reranker
        stage: Stage = load(
            "@".join(_from(folder, part) for part in self.judge.split("@", 1)),
            depth=self.depth,
            form=self.form,
            seed=self.seed,
            deadline=self.deadline,
            **(self.options or {}),
        )
        return stage


class FuseConfig(_Config):
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

    def build(self, folder: Path) -> Stage:
        return self._fuse(*(_chain(b.stage, folder) for b in self.branch))

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


class ObjectConfig(_Config):
    """A Stage from the user's own installed code: ``package.module:object``."""

    type: Literal["object"]
    object: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
    options: dict[str, Any] | None = None

    def build(self, folder: Path) -> Stage:
        made = _find_object(self.object)
        if not isinstance(made, Stage):
            if not callable(made):
                raise UsageError(f"{self.object} is a {type(made).__name__}; it must be a Stage or make one.")
            made = made(**(self.options or {}))
        elif self.options:
            raise UsageError(f"{self.object} is a Stage already; options are for a class or function that makes one.")
        if not isinstance(made, Stage):
            raise UsageError(f"{self.object} made a {type(made).__name__}; a pipeline file needs a mmrank.Stage.")
        return made


AnyStage = Annotated[
    RetrieverConfig | RescorerConfig | CutoffConfig | RerankConfig | FuseConfig | ObjectConfig,
    Field(discriminator="type"),
]


class BranchConfig(_Config):
    """One branch of a fuse stage."""

    stage: Annotated[tuple[AnyStage, ...], Field(min_length=1)]


class PipelineConfig(_Config):
    """A whole pipeline file."""

    stage: Annotated[tuple[AnyStage, ...], Field(min_length=1)]
    name: str | None = None


FuseConfig.model_rebuild()


def load_pipeline(path: str | Path) -> Stage:
    """Read a pipeline file and build its stages (indexes are opened, models load when they are first needed).

    Raises `UsageError` for a file that is not there, is no TOML, or does not fit the schema in this module's text.
    """
    path = Path(path).expanduser()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"There is no pipeline file {str(path)!r}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from None
    try:
        config = PipelineConfig.model_validate(raw)
    except ValidationError as error:
        raise UsageError(f"{path} does not fit the pipeline schema:\n{_explain(error)}") from None
    return _chain(config.stage, path.parent)


def _chain(stages: tuple[AnyStage, ...], folder: Path) -> Stage:
    built = [s.build(folder) for s in stages]
    return built[0] if len(built) == 1 else Pipeline(stages=tuple(built))


def _explain(error: ValidationError) -> str:
    """One line per fault: where in the file, what came, what is allowed."""
    lines = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"]) or "the file"
        came = "" if fault["type"] in {"missing", "extra_forbidden"} else f" (it is {fault['input']!r})"
        lines.append(f"  {place}: {fault['msg']}{came}")
    return "\n".join(lines)


def _from(folder: Path, name: str) -> str:
    """A path that begins with a dot, from the file's folder; any other name as it is."""
    return str((folder / name).absolute()) if name.startswith(("./", "../")) else name


def _open_index(folder: Path, uri: str, embedder: str | None) -> Any:
    # Rooms above are reached by name, when a file asks for them: the pipeline itself knows no index.
    index = import_module("mmrank.index.index").Index
    place = uri if "://" in uri else str(folder / Path(uri).expanduser())
    return index.open(place, embedder)


def _find_object(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"The object {path!r} cannot be found: {error}. Write package.module:object, and install the package "
            "in the environment mmrank runs in."
        ) from None
    return found
