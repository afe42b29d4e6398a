"""The index of a task's gallery: built when it is not there, used again when it is, checked either way."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmrank.embed.base import Embedder
from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Task
from mmrank.index.index import Index
from mmrank.index.report import Progress
from mmrank.types import Item

BUILT = "gallery.json"
"""Beside an index that holds a whole gallery: which, and what of it could not be embedded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """The index of a task's items. `failed`: (uri, why) of those that could not be embedded and are never found."""

    index: Index
    failed: tuple[tuple[str, str], ...] = ()


def gallery_index(
    task: Task,
    folder: Path,
    embedder: str | Embedder,
    *,
    name: str = "",
    watch: Callable[[Progress], None] | None = None,
) -> Gallery:
    """The index of `task`'s gallery for `embedder` under `folder`, built unless it is there and nothing has changed.

    The folder's name says whose gallery it is: `name`, a digest of the ids and the embedder; tasks with the same
    gallery share one. Files are looked at by size and time; what has changed is embedded again. Safe to kill.

    Raises `UsageError` when no item of the gallery could be embedded.
    """
    spec = embedder if isinstance(embedder, str) else embedder.spec
    ids = hashlib.blake2b("\n".join(item.id for item in task.gallery).encode("utf-8", "surrogatepass"), digest_size=4)
    place = folder / "-".join(filter(None, (name, ids.hexdigest(), re.sub(r"[^\w.]+", "-", spec).strip("-")[-60:])))
    index = Index.create(place, embedder)
    state = _state(task.gallery)
    kept = place / BUILT
    if kept.exists():
        built = json.loads(kept.read_text(encoding="utf-8"))
        if built["state"] == state:
            return Gallery(index=index, failed=tuple((uri, why) for uri, why in built["failed"]))
    report = index.add(task.gallery, progress=watch)
    if not len(index):
        why = f" The first: {report.failed[0][0]}: {report.failed[0][1]}" if report.failed else ""
        raise UsageError(f"None of the {len(task.gallery):,} items of the gallery could be embedded.{why}")
    kept.write_text(json.dumps({"state": state, "failed": report.failed}), encoding="utf-8")
    return Gallery(index=index, failed=tuple((uri, why) for uri, why in report.failed))


def _state(gallery: Sequence[Item]) -> str:
    """A digest over what every item is and, for files, their size and time."""
    digest = hashlib.blake2b(digest_size=16)
    for item in gallery:
        told = repr((item.id, item.kind, item.uri, item.text, _stamp(item.uri)))
        digest.update(told.encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _stamp(uri: str | None) -> tuple[int, int] | None:
    if uri is None:
        return None
    try:
        told = Path(uri.partition("#")[0]).stat()
    except OSError:  # a URL, a packed path, or gone: the build itself says what is wrong
        return None
    return told.st_size, told.st_mtime_ns
