"""Which files of a folder say something about which others: captions, metadata and subtitles beside media files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from mmrank.media.kinds import PDF_SUFFIXES, kind_of
from mmrank.media.subtitles import SUBTITLE_SUFFIXES
from mmrank.types import Kind

_CAPTION, _DATA = ".txt", ".json"
SIDECAR_SUFFIXES = (_CAPTION, _DATA, *SUBTITLE_SUFFIXES)

_TAKEOUT = ".supplemental-metadata"
"""What Google's export puts between the name of a photo and ``.json``, cut short where the name gets long."""

_LANGUAGE = re.compile(r"\.([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*)")
_COPY_NUMBER = re.compile(r"\(\d+\)$")


class Sidecars(NamedTuple):
    """The files beside one media file, by name; None where there is none."""

    caption: str | None = None
    data: str | None = None
    subtitles: str | None = None


NOTHING = Sidecars()


class Beside:
    """The sidecars of one folder.

    =========================  =====================================================================
    beside ``a.jpg``           is
    =========================  =====================================================================
    ``a.txt``, ``a.jpg.txt``   its caption; the longer name goes first. Beside ``a.pdf`` only
                               ``a.pdf.txt``: ``a.txt`` is a document of its own, or the text of ``a.pdf``
    ``a.json``,                its metadata; ``a.jpg.supplemental-metadata.json`` and other forms of
    ``a.jpg.json``             Google's export too
    ``a.srt``, ``a.vtt``       of a video, its subtitles; of several the one without language, SubRip
    ``a.en.srt``               first, else the first by name
    =========================  =====================================================================

    `names`: all names in the folder. `kinds`: media of other kinds have no sidecars.

    >>> beside = Beside(["a.jpg", "a.txt", "b.mp4", "b.en.srt", "notes.txt"], {"image", "video"})
    >>> beside.of("a.jpg").caption, beside.of("b.mp4").subtitles, beside.is_sidecar("notes.txt")
    ('a.txt', 'b.en.srt', False)
    """

    def __init__(self, names: Iterable[str], kinds: Collection[Kind]) -> None:
        listed = list(names)
        self._of: dict[str, Sidecars] = {}
        self._used: set[str] = set()
        sides = [name for name in listed if name.lower().endswith(SIDECAR_SUFFIXES) and not name.startswith(".")]
        if sides:
            self._pair(sorted(sides), _media(listed, kinds))

    def of(self, name: str) -> Sidecars:
        """The sidecars of a media file."""
        return self._of.get(name, NOTHING)

    def is_sidecar(self, name: str) -> bool:
        """True for a file that belongs to another, and so is nothing of its own."""
        return name in self._used

    def _pair(self, sides: list[str], media: Mapping[str, Kind]) -> None:
        by_stem: dict[str, list[str]] = defaultdict(list)
        for name in media:
            by_stem[os.path.splitext(name)[0]].append(name)  # noqa: PTH122 - no Path for each name of a large folder
        ranks: dict[tuple[str, str], tuple[int, str]] = {}
        for side in sides:
            base, suffix = os.path.splitext(side)  # noqa: PTH122
            suffix = suffix.lower()
            role = {_CAPTION: "caption", _DATA: "data"}.get(suffix, "subtitles")
            for rank, owner in _owners(base, role, media, by_stem):
                self._used.add(side)
                here = (rank + (suffix == ".vtt"), side)
                ranks[owner, role] = min(ranks.get((owner, role), here), here)
        for (owner, role), (_, side) in ranks.items():
            self._of[owner] = self.of(owner)._replace(**{role: side})


def _media(names: Iterable[str], kinds: Collection[Kind]) -> dict[str, Kind]:
    found = ((name, kind_of(name)) for name in names if not name.startswith("."))
    return {name: kind for name, kind in found if kind is not None and kind != "text" and kind in kinds}


def _owners(
    base: str, role: str, media: Mapping[str, Kind], by_stem: Mapping[str, list[str]]
) -> Iterable[tuple[int, str]]:
    """(rank, name) of the media files that a sidecar is of; of several sidecars of one file the lowest rank counts."""
    if role == "subtitles":
        return _shown_with(base, media, by_stem)
    whole = [base, *(_photo_of(base) if role == "data" else ())]
    exact = [(i, name) for i, name in enumerate(whole) if name in media]
    if exact:
        return exact[:1]
    stems = by_stem.get(base, ())
    return [(9, name) for name in stems if role == "data" or os.path.splitext(name)[1].lower() not in PDF_SUFFIXES]  # noqa: PTH122


def _shown_with(base: str, media: Mapping[str, Kind], by_stem: Mapping[str, list[str]]) -> list[tuple[int, str]]:
    stem, tag = os.path.splitext(base)  # noqa: PTH122
    for rank, name in ((0, base), (10, stem if _LANGUAGE.fullmatch(tag) else "")):
        found = [name] if name in media else by_stem.get(name, ())
        videos = [(rank, owner) for owner in found if media[owner] == "video"]
        if videos:
            return videos
    return []


def _photo_of(base: str) -> list[str]:
    """The photo that Google's ``BASE.json`` may be of: ``a.jpg.supplemental-meta``, ``a.jpg(1)`` (of ``a(1).jpg``)."""
    number = _COPY_NUMBER.search(base)
    bare = base[: number.start()] if number else base
    stem, tail = os.path.splitext(bare)  # noqa: PTH122
    photo = stem if len(tail) > 1 and _TAKEOUT.startswith(tail) else bare
    if number:
        name, suffix = os.path.splitext(photo)  # noqa: PTH122
        return [f"{name}{number[0]}{suffix}"]
    return [photo]
