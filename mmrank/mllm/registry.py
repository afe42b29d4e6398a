"""From a spec to an MLLM: hub ids, folders, servers, and the models that have a short name."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any, cast

from mmrank.bundled import bundled_folder
from mmrank.errors import MllmError, UsageError
from mmrank.mllm.base import MLLM

FOLDER_STARTS = ("/", ".", "~")
SERVER = "openai:"
_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMllm:
    """One row of `models.toml`: a model that has a short name. The fields are explained there."""

    alias: str
    spec: str
    download_mb: int
    licence: str
    good_for: str
    recipes: tuple[str, ...] = ()
    sees: bool = True
    warning: str | None = None
    assets: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MllmSpec:
    """A parsed spec: exactly one of `folder`, `repo` (with an optional `revision`) and `server` is set.

    `text` is the canonical form, which loads the same model from any working directory; the alias of a bundled model
    stays an alias. `server` is what follows ``openai:``.
    """

    text: str
    folder: Path | None = None
    repo: str | None = None
    revision: str | None = None
    server: str | None = None
    known: KnownMllm | None = None


@cache
def list_mllms() -> tuple[KnownMllm, ...]:
    """Every known model, the default first.

    >>> list_mllms()[0].spec
    'Qwen/Qwen3-VL-Reranker-2B'
    """
    table = tomllib.loads(resources.files("mmrank.mllm").joinpath("models.toml").read_text("utf-8"))
    rows = [KnownMllm(**{**row, "recipes": tuple(row.get("recipes", ()))}) for row in table["models"]]
    return tuple(sorted(rows, key=lambda row: not row.default))


def default_mllm() -> KnownMllm:
    """The real checkpoint to propose where none is named; callers say its `download_mb`."""
    return list_mllms()[0]


def parse_mllm_spec(text: str) -> MllmSpec:
    """Read a spec without loading anything: an alias, ``ORG/NAME``, ``ORG/NAME@REVISION``, a folder (it begins with
    ``/``, ``.`` or ``~``) or ``openai:BASE_URL#MODEL``.

    Raises `UsageError`, with what may have been meant, for anything else, `MllmError` for a bundled model that is not
    part of this installation.

    >>> parse_mllm_spec("qwen3-vl-8b").repo, parse_mllm_spec("Qwen/Qwen3-VL-8B-Instruct@main").revision
    ('Qwen/Qwen3-VL-8B-Instruct', 'main')
    """
    text = text.strip()
    if text.startswith(SERVER):
        return MllmSpec(text=text, server=text.removeprefix(SERVER))
    if text.startswith(FOLDER_STARTS):
        folder = Path(text).expanduser().absolute()
        return MllmSpec(text=str(folder), folder=folder)
    name, _, revision = text.partition("@")
    known = _known(name)
    if known is not None and known.assets is not None:
        folder = bundled_folder(known.assets, known.alias, MllmError)
        return MllmSpec(text=known.alias, folder=folder, known=known)
    repo = known.spec if known is not None else name
    if not _REPO.fullmatch(repo):
        raise UsageError(_unknown(text))
    canonical = f"{repo}@{revision}" if revision else repo
    return MllmSpec(text=canonical, repo=repo, revision=revision or None, known=known)


def load_mllm(
    spec: str, *, device: str | None = None, precision: str | None = None, threads: int | None = None, **options: Any
) -> MLLM:
    """Load a chat model by spec or alias (see `parse_mllm_spec`; `list_mllms` has the aliases).

    `device`: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; the best there is when None. `precision`: ``float32``,
    ``bfloat16`` or ``float16``; bfloat16 on a GPU and float32 elsewhere when None. `threads`: CPU threads of the whole
    process. `options` of a local model: `adapter` (a LoRA folder or hub id, merged into the weights; needs peft),
    `batch_tokens`, `chat_template` (words or a file, in place of the checkpoint's own), `template_options` (variables
    for it, such as ``{"enable_thinking": False}``), `attn_implementation`, what is kept between calls
    (`feature_memory`, `feature_cache`, `feature_precision`, `prefix_memory`; see docs/speed.md), and
    `trust_remote_code=True` for a checkpoint that runs code of its own. Options of a server are those of
    `mmrank.mllm.remote.load_remote`.

    Only safetensors weights are loaded. Weights that are not in the hub's local cache are downloaded; cached ones are
    used without asking the hub. Raises `UsageError` for a spec, device or option that does not exist, `MllmError` when
    the weights cannot be had or do not fit, and says there how to get them.

        judge = load_mllm("Qwen/Qwen3-VL-Reranker-2B", device="cuda")
    """
    parsed = parse_mllm_spec(spec)
    if parsed.server is not None:
        if device is not None or precision is not None:
            raise UsageError(f"{parsed.text} runs on a server; device and precision are for models that run here.")
        return cast("MLLM", import_module("mmrank.mllm.remote").load_remote(parsed.text, **options))
    from mmrank.devices import set_threads

    set_threads(threads)
    loaded = import_module("mmrank.mllm.local.load").load(parsed, device=device, precision=precision, **options)
    return cast("MLLM", loaded)


def _known(name: str) -> KnownMllm | None:
    wanted = name.lower()
    return next((row for row in list_mllms() if wanted in (row.alias.lower(), row.spec.lower())), None)


def _unknown(text: str) -> str:
    names = {n.lower(): n for row in list_mllms() for n in (row.alias, row.spec)}
    near = [names[n] for n in difflib.get_close_matches(text.lower(), names, n=3, cutoff=0.5)]
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"There is no chat model called {text!r}.{meant} A spec is a hub id (ORG/NAME, such as {default_mllm().spec}; "
        "@REVISION pins it), a folder that begins with /, . or ~, openai:BASE_URL#MODEL for a server, or an alias: "
        f"{', '.join(row.alias for row in list_mllms() if row.assets is None)}."
    )
