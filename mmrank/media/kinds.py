"""Which files are taken for what, by suffix. What is in them is looked at when they are opened."""

from __future__ import annotations

import os
from pathlib import Path

from mmrank.types import Kind


def _suffixes(names: str) -> frozenset[str]:
    return frozenset("." + name for name in names.split())


IMAGE_SUFFIXES = _suffixes(
    "jpg jpeg jpe jfif mpo png apng gif webp avif heic heif hif bmp dib tif tiff jp2 j2k jpx "
    "ppm pgm pbm pnm pfm tga ico icns qoi dds pcx sgi psd"
)
VIDEO_SUFFIXES = _suffixes("mp4 m4v mov mkv webm avi mpg mpeg m2v mts m2ts wmv asf flv 3gp 3g2 ogv mxf")
"""Without ``.ts``: a folder of TypeScript would be a folder of broken videos."""
TEXT_SUFFIXES = _suffixes("txt md markdown")
PDF_SUFFIXES = _suffixes("pdf")

_KINDS: tuple[tuple[frozenset[str], Kind], ...] = (
    (IMAGE_SUFFIXES, "image"),
    (VIDEO_SUFFIXES, "video"),
    (TEXT_SUFFIXES, "text"),
    (PDF_SUFFIXES, "page"),
)


def kind_of(path: str | Path) -> Kind | None:
    """The kind of Item a file makes, None when its suffix says nothing.

    >>> kind_of("a.JPG"), kind_of("b.pdf"), kind_of("c.xyz")
    ('image', 'page', None)
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path interns its parts: megabytes in a long walk
    return next((kind for suffixes, kind in _KINDS if suffix in suffixes), None)
