"""What makes two evaluations the same work: a pipeline's settings, prompts, models and vectors, the code, the data.

A finished query is used again only when all of it is unchanged; what differs is named.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mmrank.evaluation.dataset import Task
from mmrank.index.index import Index
from mmrank.pipeline import Stage
from mmrank.run import Run
from mmrank.types import Query

SOURCES = (".py", ".toml", ".jinja")
"""Files of the package that decide what an evaluation gives: code, recipes, prompts."""

Identity = dict[str, Any]
"""JSON values; equal exactly when the work is the same."""


def identity(stage: Stage, task: Task) -> Identity:
    """Everything that a finished query depends on."""
    return {
        "code": code_digest(),
        "pipeline": describe(stage),
        "queries": _digest(_query_key(query) for query in task.queries),
        "gallery": _digest(item.id for item in task.gallery),
    }


def differences(old: Identity, new: Identity) -> list[str]:
    """The names of the parts that are not the same."""
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


@cache
def code_digest() -> str:
    """Over all code, recipes and prompts of the package."""
    root = Path(__file__).resolve().parent.parent
    paths = sorted(path for path in root.rglob("*") if path.suffix in SOURCES and path.is_file())
    return _digest(f"{path.relative_to(root)}:{path.read_text(encoding='utf-8')}" for path in paths)


def describe(value: Any) -> Any:
    """A stage, or a part of one, as JSON values: its settings all the way down; of models and indexes what tells them
    apart; of objects that are not data their type."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Index):
        return _index(value)
    if isinstance(value, Run):
        return _digest(f"{name} {' '.join(ids)} {scores.tobytes().hex()}" for name, ids, scores in value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        told = {field.name: describe(getattr(value, field.name)) for field in fields(value) if field.name != "progress"}
        return {"type": _type_name(value), **told}
    if isinstance(value, Mapping):
        return {str(name): describe(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [describe(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if hasattr(value, "choice_logprobs") and hasattr(value, "spec"):
        return {"model": value.spec, "files": _files(_folder(value))}
    if inspect.isfunction(value) or inspect.isclass(value):
        return _source(value)
    return _type_name(value)


def _index(index: Index) -> Identity:
    """The vectors and what was embedded, wherever they lie."""
    store = index._store  # the rows' content hashes have no public name: they are no one else's business
    store.refresh()
    rows = store.items.search().select(["id", "content"]).limit(None).to_arrow()
    keys = sorted(zip(rows["id"].to_pylist(), rows["content"].to_pylist(), strict=True))
    return {"embedder": describe(store.manifest.fingerprint), "rows": _digest(f"{i} {c}" for i, c in keys)}


def _folder(mllm: Any) -> Path | None:
    """Where the weights of a local model were read from (of a hub's, the snapshot's folder, named by its commit)."""
    config = getattr(getattr(mllm, "model", None), "config", None)
    folder = Path(getattr(config, "_name_or_path", "") or "")
    return folder if folder != Path() and folder.is_dir() else None


def _files(folder: Path | None) -> list[str]:
    """Names, sizes and times of a checkpoint's files: reading gigabytes would take long."""
    if folder is None:
        return []
    return sorted(
        f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in folder.iterdir() if path.is_file()
    )


def _source(value: Any) -> str:
    """A function or class of the caller's: its name, and a digest of the file it is in where there is one."""
    name = f"{value.__module__}:{value.__qualname__}"
    try:
        path = inspect.getsourcefile(value)
    except TypeError:  # written in C
        path = None
    if path is None or not Path(path).is_file():
        return name
    return f"{name} {_digest([Path(path).read_text(encoding='utf-8', errors='replace')])}"


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _query_key(query: Query) -> str:
    pictures = [image if isinstance(image, str | Path) else "picture" for image in query.images]
    words = (query.id, query.text, query.instruction, query.video, query.exclude, query.among, query.turns)
    return json.dumps([*words, *pictures], default=str)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()
