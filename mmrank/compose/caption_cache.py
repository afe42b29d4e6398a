"""Captions kept on disk, one small JSON file each, under a key made of everything they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mmrank.errors import UsageError
from mmrank.media import digest, split_uri
from mmrank.types import ImageSource, Item, Query

FORMAT = 1
"""Part of every key: raised when what a caption is made of changes in the code."""


def default_folder() -> Path:
    """Where captions are kept when a caller names no folder: the user's cache, ``$XDG_CACHE_HOME/mmrank/captions``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mmrank" / "captions"


def caption_key(query: Query, asked: Any) -> str:
    """The key of a query's caption: 40 hex digits over its content and `asked`, what else the caption depends on.

    Content is the text, the turns, the instruction and the bytes of pictures and video, not their names; the query's
    id, `exclude` and `among` do not matter. `asked` must be JSON. Raises `MediaError` for a file that cannot be read.

    >>> caption_key(Query(text="at night", id="1"), "model") == caption_key(Query(text="at night", id="2"), "model")
    True
    """
    media = [digest(_as_item(source)) for source in query.images]
    if query.video is not None:
        media.append(digest(Item(id="query", kind="video", uri=str(query.video), text="")))
    words = [FORMAT, query.text, list(query.turns), query.instruction, media, asked]
    return hashlib.blake2b(json.dumps(words, sort_keys=True).encode(), digest_size=20).hexdigest()


def _as_item(source: ImageSource) -> Item:
    is_page = isinstance(source, str | Path) and split_uri(source).page is not None
    return Item(id="query", kind="page" if is_page else "image", image=source, text="")


class CaptionCache:
    """Captions by key in `folder`. Several processes may share it: files appear whole, and equal keys say the same.

    >>> cache = CaptionCache(Path(tempfile.mkdtemp()))
    >>> cache.put("0af3", "a dog on a beach", model="m")
    >>> cache.get("0af3"), cache.get("ffff")
    ('a dog on a beach', None)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"CaptionCache({str(self.folder)!r})"

    def prepare(self) -> None:
        """Make the folder. Raises `UsageError` when it cannot be written: better known before a model is asked."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise UsageError(
                f"Captions cannot be kept in {self.folder}: {error}. Give TargetCaptions(cache=...) a folder that can "
                "be written, or cache=None to keep none."
            ) from error

    def get(self, key: str) -> str | None:
        """The caption under a key; None when there is none, or its file is damaged (it is then written anew)."""
        try:
            row = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        caption = row.get("caption") if isinstance(row, dict) else None
        return caption if isinstance(caption, str) and caption.strip() else None

    def put(self, key: str, caption: str, **about: str) -> None:
        """Keep a caption; `about` is for people who look into the file."""
        target = self._file(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"caption": caption, **about}, file, ensure_ascii=False)
        Path(name).replace(target)

    def _file(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
