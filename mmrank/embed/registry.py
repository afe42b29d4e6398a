"""From a spec to an Embedder: the schemes, the known models, and the folders that say what they hold."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import parse_qsl, quote, urlencode

from mmrank.bundled import bundled_folder
from mmrank.embed.base import Embedder
from mmrank.errors import EmbedderError, UsageError
from mmrank.types import KINDS, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One row of `models.toml`: a model that has a short name. The fields are explained there."""

    alias: str
    spec: str
    dimension: int
    download_mb: int
    licence: str
    good_for: str
    scheme: str = ""
    kinds: tuple[Kind, ...] = KINDS
    requires: tuple[str, ...] = ()
    warning: str | None = None
    assets: str | None = None
    text_weight: float | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A parsed spec: which backend, and what it is to load.

    `name`: ``MODEL/PRETRAINED``, ``hf-hub:ORG/NAME`` or, when `folder` is set, the folder as written.
    `text` is the canonical form: it loads the same model from any working directory, and an alias
    of a bundled model stays an alias, because where it lies differs between machines. `options` are the
    backend's own settings, names and values as written behind the ``?``.
    """

    scheme: str
    name: str
    text: str
    folder: Path | None = None
    revision: str | None = None
    known: KnownModel | None = None
    options: tuple[tuple[str, str], ...] = ()


class LoadBackend(Protocol):
    """What a backend's module offers."""

    def __call__(self, spec: Spec, *, device: str | None, precision: str | None) -> Embedder: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where a scheme's `load` function lies, and how a folder for it is known.

    `load` has the signature of `LoadBackend`. The module is imported when a model is loaded, not before. A folder is
    known by the file `marker`; if `model_types` are named, that file is a ``config.json`` with one of them as its
    ``model_type``. `options` may follow a spec of this scheme: ``SPEC?dimension=512``.
    """

    module: str
    marker: str
    example: str
    model_types: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


BACKENDS: dict[str, Backend] = {
    "open_clip": Backend(
        module="mmrank.embed.open_clip",
        marker="open_clip_config.json",
        example="open_clip:ViT-B-32/laion2b_s34b_b79k",
    ),
    "qwen3_vl": Backend(
        module="mmrank.embed.qwen_vl",
        marker="config.json",
        example="qwen3_vl:Qwen/Qwen3-VL-Embedding-2B",
        model_types=("qwen3_vl",),
        options=("dimension", "instruction"),
    ),
    "late": Backend(
        module="mmrank.embed.late",
        marker="config.json",
        example="late:vidore/colqwen2-v1.0-hf",
        model_types=("colqwen2", "colpali"),
        options=("pool_tokens",),
    ),
    "sbert": Backend(
        module="mmrank.embed.sentence_transformers",
        marker="modules.json",
        example="sbert:sentence-transformers/all-MiniLM-L6-v2",
        options=("dimension",),
    ),
}
"""Scheme -> backend. A new kind of embedder is one row here and one module. Folders are asked in this order: a
Qwen3-VL-Embedding checkpoint also has the files of a sentence-transformers model."""

_FOLDER_STARTS = ("/", ".", "~")
_OPTIONS = re.compile(r"\?(\w+=[^?&]*(?:&\w+=[^?&]*)*)$")


@cache
def list_models() -> tuple[KnownModel, ...]:
    """Every known model, the default first.

    >>> list_models()[0].spec
    'open_clip:ViT-B-32/laion2b_s34b_b79k'
    """
    table = tomllib.loads(resources.files("mmrank.embed").joinpath("models.toml").read_text("utf-8"))
    rows = [KnownModel(**{**row, **_as_tuples(row)}) for row in table["models"]]
    return tuple(sorted(rows, key=lambda row: not row.default))


def default_model() -> KnownModel:
    """The real checkpoint that is used when none is named; callers say its `download_mb`."""
    return list_models()[0]


def parse_spec(text: str) -> Spec:
    """Read a spec without loading anything.

    ``open_clip:MODEL/PRETRAINED``, ``open_clip:hf-hub:ORG/NAME``, ``open_clip:FOLDER``, an alias, or a folder alone
    (its files tell the backend). A folder begins with ``/``, ``.`` or ``~``. ``@REVISION`` after a hub model pins a
    commit, tag or branch. ``?NAME=VALUE&NAME=VALUE`` at the end sets options of the backend, percent-encoded where
    they hold ``?`` or ``&``. Raises `UsageError`, with what it may have meant, for anything else.

    >>> parse_spec("open_clip:hf-hub:laion/CLIP-ViT-B-32@main").revision
    'main'
    >>> parse_spec("qwen3_vl:Qwen/Qwen3-VL-Embedding-2B?dimension=512").options
    (('dimension', '512'),)
    """
    text = text.strip()
    written = _OPTIONS.search(text)
    if written is None:
        return _parse_model(text)
    spec = _parse_model(text[: written.start()])
    options = dict(parse_qsl(written.group(1), keep_blank_values=True))
    allowed = BACKENDS[spec.scheme].options
    if unknown := sorted(set(options) - set(allowed)):
        there = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise UsageError(f"{', '.join(unknown)}: no option of {spec.scheme}; {there}.")
    return replace(spec, options=tuple(sorted(options.items())), text=with_options(spec.text, options))


def with_options(spec: str, options: Mapping[str, object]) -> str:
    """A spec with options behind those it has; a later one of the same name wins.

    >>> with_options("qwen3_vl:Qwen/Qwen3-VL-Embedding-2B", {"dimension": 512})
    'qwen3_vl:Qwen/Qwen3-VL-Embedding-2B?dimension=512'
    """
    written = _OPTIONS.search(spec)
    base = spec if written is None else spec[: written.start()]
    own = {} if written is None else dict(parse_qsl(written.group(1), keep_blank_values=True))
    own.update((name, str(value)) for name, value in options.items())
    return f"{base}?{urlencode(sorted(own.items()), quote_via=quote)}" if own else base


def _parse_model(text: str) -> Spec:
    """A spec without options."""
    known = _known(text)
    if known is not None and known.assets is not None:
        return Spec(
            scheme=known.scheme,
            name=known.alias,
            text=known.alias,
            folder=bundled_folder(known.assets, known.alias, EmbedderError),
            known=known,
        )
    if known is not None:
        text = known.spec
    if text.startswith(_FOLDER_STARTS):
        return _folder_spec(_scheme_of_folder(text), text)
    scheme, colon, name = text.partition(":")
    if scheme not in BACKENDS or not colon or not name:
        raise UsageError(_unknown(text))
    if name.startswith(_FOLDER_STARTS):
        return _folder_spec(scheme, name)
    name, _, revision = name.partition("@")
    return Spec(scheme=scheme, name=name, text=text, revision=revision or None, known=_known(f"{scheme}:{name}"))


def load_embedder(
    spec: str,
    *,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    **options: str | int,
) -> Embedder:
    """Load an embedder by spec or alias (see `parse_spec`; `list_models` has the aliases).

    `device`: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; the best there is when None. `precision`: ``float32``,
    ``bfloat16`` or ``float16``; what suits the device when None. `threads`: CPU threads of the whole process.
    `options`: the backend's own, such as ``dimension=512``; they become part of the embedder's spec.

    Weights that are not in the local cache are downloaded; cached ones are used without asking the hub.
    Raises `UsageError` for a spec, device or precision that does not exist, `EmbedderError` when the weights
    cannot be had or do not fit, and says there how to get them.

        embedder = load_embedder("open_clip:ViT-B-32/laion2b_s34b_b79k")
        embedder.embed_texts(["a dog on a skateboard"]).shape      # (1, 512)
    """
    from mmrank.devices import set_threads

    parsed = parse_spec(with_options(spec, options) if options else spec)
    set_threads(threads)
    load = cast("LoadBackend", import_module(BACKENDS[parsed.scheme].module).load)
    return load(parsed, device=device, precision=precision)


def _as_tuples(row: dict[str, object]) -> dict[str, tuple[object, ...]]:
    return {key: tuple(value) for key, value in row.items() if isinstance(value, list)}


def _known(text: str) -> KnownModel | None:
    return next((row for row in list_models() if text in (row.alias, row.spec)), None)


def _folder_spec(scheme: str, folder: str) -> Spec:
    path = Path(folder).expanduser().absolute()
    return Spec(scheme=scheme, name=folder, text=f"{scheme}:{path}", folder=path)


def _scheme_of_folder(folder: str) -> str:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise EmbedderError(f"There is no folder {folder} to load an embedder from.")
    for scheme, backend in BACKENDS.items():
        if _is_for(backend, path):
            return scheme
    markers = ", ".join(f"{_files(backend)} ({scheme})" for scheme, backend in BACKENDS.items())
    raise EmbedderError(
        f"The folder {folder} holds no model that is known by its files; one of them must be: {markers}."
    )


def _files(backend: Backend) -> str:
    return f"{backend.marker} of a {' or '.join(backend.model_types)}" if backend.model_types else backend.marker


def _is_for(backend: Backend, folder: Path) -> bool:
    marker = folder / backend.marker
    if not marker.is_file() or not backend.model_types:
        return marker.is_file()
    try:
        settings = json.loads(marker.read_text("utf-8"))
    except ValueError as error:
        raise EmbedderError(f"{marker} is not JSON ({error}); the checkpoint is incomplete or damaged.") from error
    return isinstance(settings, dict) and settings.get("model_type") in backend.model_types


def _unknown(text: str) -> str:
    names: Sequence[str] = [
        *(row.alias for row in list_models()),
        *(row.spec for row in list_models() if row.spec != row.alias),
    ]
    scheme, colon, name = text.partition(":")
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    if scheme in BACKENDS:
        problem = f"The embedder spec {text!r} names no model"
    elif colon and name:
        problem = f"The embedder spec {text!r} has the unknown scheme {scheme!r}"
    else:
        problem = f"There is no embedder called {text!r}"
    examples = ", ".join(backend.example for backend in BACKENDS.values())
    return (
        f"{problem}.{meant} A spec is SCHEME:MODEL (such as {examples}), a folder that begins with "
        f"/, . or ~, or an alias listed by `mmrank models`. Schemes: {', '.join(BACKENDS)}."
    )
