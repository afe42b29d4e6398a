"""What the names in a pipeline file stand for: values that a caller may change, indexes, models, one's own objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mmrank.errors import UsageError

NAMES = "names"
"""The table of a pipeline file that says which values a caller may change, and what they are when he does not."""

EMBEDDER = "embedder"
"""The one name that may stand for nothing: the model that a pipeline's index is to be built with, for who builds it."""

_NAME = re.compile(r"\{(\w+)\}")


class Config(BaseModel):
    """A table of a pipeline file: its keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_form(compose: str) -> str:
    import_module("mmrank.compose").named_form(compose)
    return compose


ObjectName = Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
"""``package.module:name``."""

FormName = Annotated[str, AfterValidator(_known_form)]
"""How a composed Query becomes one vector: one of `mmrank.compose.FORMS`."""


class Loading:
    """What the stages of one file share while they are built: the file's folder, its indexes and its models.

    An index, and the model behind it, that several stages name is opened once. A judge that several stages name is
    loaded once; a form of composition that names it as the writer of its captions takes the same one.

    `judges`: the models (``MODEL`` of ``RECIPE@MODEL``) that rerank stages of the file name.
    """

    def __init__(self, folder: Path, judges: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self._judges = judges
        self._indexes: dict[tuple[str, str | None], Any] = {}
        self._loaded: dict[tuple[str, tuple[tuple[str, Any], ...]], Any] = {}

    def index(self, uri: str, embedder: str | None = None) -> Any:
        """The index at `uri`; with the embedder named in its manifest when `embedder` is None."""
        place = uri if "://" in uri else str(self.folder / Path(uri).expanduser())
        key = (place, None if embedder is None else self.path(embedder))
        if key not in self._indexes:
            # Rooms above are reached by name, when a file asks for them: the pipeline itself knows no index.
            self._indexes[key] = import_module("mmrank.index.index").Index.open(*key)
        return self._indexes[key]

    def judge(self, spec: str, machine: Mapping[str, Any] | None = None) -> Any:
        """The chat model that a stage of this file loaded for `spec`, or None; `machine`: on which device and so on."""
        if machine is None:
            return next((model for (name, _), model in self._loaded.items() if name == spec), None)
        return self._loaded.get((spec, tuple(sorted(machine.items()))))

    def keep_judge(self, spec: str, machine: Mapping[str, Any], model: Any) -> None:
        """Have `judge` know a model."""
        self._loaded[spec, tuple(sorted(machine.items()))] = model

    def form(self, compose: str | None) -> Any:
        """A form of composition by its name; where it names a model that judges too, the form with that very model."""
        head, at, model = (compose or "").partition("@")
        if not at:
            return compose
        if model in self._judges:
            return import_module("mmrank.compose.forms").CAPTION_FORMS[head](captioner=JudgeWrites(self, model))
        return f"{head}@{self.path(model)}"

    def path(self, name: str) -> str:
        """A path that begins with a dot, from the file's folder; any other name as it is."""
        return str((self.folder / name).absolute()) if name.startswith(("./", "../")) else name


class JudgeWrites:
    """A captioner (`mmrank.compose.captions.Captioner`) by the model of a rerank stage, which is there by then."""

    def __init__(self, loading: Loading, spec: str) -> None:
        self._loading = loading
        self._spec = loading.path(spec)
        self._captions: Any = None

    def __repr__(self) -> str:
        return f"TargetCaptions({self._spec!r})"

    def write(self, queries: Sequence[Any]) -> Any:
        """One caption per Query, in order, or why there is none."""
        if self._captions is None:
            made = import_module("mmrank.compose.captions").TargetCaptions
            self._captions = made(self._loading.judge(self._spec) or self._spec)
        return self._captions.write(queries)


def filled(raw: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a file with ``{name}`` replaced by what its `[names]` say, and `given` says instead.

    A text that is nothing but ``{name}`` becomes the value, whatever its type; within a longer text it is written out.
    A `pathlib.Path` counts from the working directory. Raises `UsageError` for a name that the file does not have, and
    for one (but ``embedder``) that it never uses.

    >>> filled({"names": {"n": 5, "model": "b"}, "k": "{n}", "judge": "a@{model}"}, {"n": 3})
    {'k': 3, 'judge': 'a@b'}
    """
    if NAMES not in raw and not given:
        return dict(raw)
    known = names_of(raw)
    if unknown := sorted(set(given) - set(known)):
        there = f"; it has {', '.join(known)}" if known else ": it has no table [names]"
        raise UsageError(f"The file has no name {unknown[0]!r}{there}.")
    values = {name: str(v.absolute()) if isinstance(v, Path) else v for name, v in {**known, **given}.items()}
    used: set[str] = set()
    replaced = {key: _replaced(value, values, used) for key, value in raw.items() if key != NAMES}
    if unused := sorted(set(known) - used - {EMBEDDER}):
        raise UsageError(f"names.{unused[0]} is used nowhere; write {{{unused[0]}}} where it belongs, or leave it out.")
    return replaced


def names_of(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The `[names]` of a file. Raises `UsageError` when they are no table.

    >>> names_of({"names": {"k": 5}}), names_of({})
    ({'k': 5}, {})
    """
    known = raw.get(NAMES, {})
    if not isinstance(known, Mapping):
        raise UsageError(f"names is {known!r}; it must be a table: [names], then NAME = VALUE, one a line.")
    return dict(known)


def _replaced(value: Any, names: Mapping[str, Any], used: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(inner, names, used) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, names, used) for inner in value]
    if not isinstance(value, str):
        return value
    whole = _NAME.fullmatch(value)
    if whole is not None:
        return _value(whole, names, used)
    return _NAME.sub(lambda found: str(_value(found, names, used)), value)


def _value(found: re.Match[str], names: Mapping[str, Any], used: set[str]) -> Any:
    name = found[1]
    if name not in names:
        raise UsageError(f"{found[0]} stands for nothing; the names of the file are {', '.join(names) or 'none'}.")
    used.add(name)
    return names[name]


def find_object(path: str) -> Any:
    """What ``package.module:name`` names. Raises `UsageError` when it cannot be found."""
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
