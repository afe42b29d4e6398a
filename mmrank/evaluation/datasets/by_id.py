"""Finding the videos and images of a data set by their ids, wherever below the root and with whatever suffix."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

from mmrank.evaluation.dataset import Media
from mmrank.evaluation.datasets.files import MediaFiles
from mmrank.media.kinds import VIDEO_SUFFIXES

PREFERRED = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".jpg", ".png")
"""Of several files with one stem the first of these suffixes is taken; other suffixes come after, by name."""


class MediaById:
    """Media files by id: a file of exactly that name, else one of the right kind whose name without suffix it is.

    Those of `roots` that are there are walked once, when the first file is asked for (links followed, no folder
    twice); what lies under an earlier root wins. `policy` is the reader's `media` argument; with "none" the path
    where a file would be stands for one that is not there. `usual` is the suffix in the names of those.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        policy: Media,
        *,
        suffixes: Collection[str] = VIDEO_SUFFIXES,
        usual: str = ".mp4",
    ) -> None:
        there = [root for root in dict.fromkeys(roots) if root.is_dir()]
        self._files = MediaFiles(roots=there or roots[-1:], policy=policy)
        self._suffixes = suffixes
        self._usual = usual

    def find(self, media_id: str, *others: str) -> str | None:
        """The path of the file of `media_id`, or of its `others` names; None when there is none, which is counted."""
        expected = media_id if _suffix(media_id) in self._suffixes else media_id + self._usual
        by_name, by_stem = self._index
        for name in (media_id, *others):
            paths = [by_name[name]] if name in by_name else by_stem.get(name, ())
            for path in sorted(paths, key=_preference):
                if os.path.isfile(path):  # noqa: PTH113 - a dangling link is no file
                    return path
        if self._files.policy == "none":
            return str(self._files.roots[0] / expected)
        self._files.missing.append(expected)
        return None

    def check(self, title: str) -> tuple[str, ...]:
        """The files that were not there. Raises `DatasetError` when there are any and all are required."""
        return self._files.check(title)

    @cached_property
    def _index(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        by_name: dict[str, str] = {}
        by_stem: dict[str, list[str]] = {}
        seen: set[str] = set()
        for root in self._files.roots:
            for folder, folders, names in os.walk(root, followlinks=True):
                real = os.path.realpath(folder)
                if real in seen:
                    folders.clear()
                    continue
                seen.add(real)
                folders.sort()
                here: dict[str, list[str]] = {}
                for name in sorted(names):
                    path = os.path.join(folder, name)  # noqa: PTH118 - a Path each would cost more than the walk
                    by_name.setdefault(name, path)
                    if _suffix(name) in self._suffixes:
                        here.setdefault(_stem(name), []).append(path)
                for stem, paths in here.items():
                    by_stem.setdefault(stem, paths)
        return by_name, by_stem


def without_suffix(media_id: str, suffixes: Collection[str] = VIDEO_SUFFIXES) -> str:
    """An id without its file suffix, where it has one.

    >>> without_suffix("1234@N00_56.mov"), without_suffix("0001_Film_00.05.16.065-00.05.21.941")
    ('1234@N00_56', '0001_Film_00.05.16.065-00.05.21.941')
    """
    return _stem(media_id) if _suffix(media_id) in suffixes else media_id


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def _preference(path: str) -> tuple[int, str]:
    suffix = _suffix(path)
    return (PREFERRED.index(suffix) if suffix in PREFERRED else len(PREFERRED), path)
