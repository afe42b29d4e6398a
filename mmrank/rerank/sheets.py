"""All candidates of a block on one picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmrank.errors import UsageError
from mmrank.media import numbered_sheet
from mmrank.mllm.prompt import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class _DrawnSheet:
    """`Picture.open`: draws the sheet from its pictures each time it is asked."""

    pictures: tuple[Picture, ...]
    columns: int
    cell: int

    def __call__(self) -> Image:
        return numbered_sheet([picture.open() for picture in self.pictures], self.columns, self.cell)


def candidate_sheet(pictures: Sequence[Picture], *, columns: int, cell: int) -> Picture:
    """One Picture of `pictures` row by row in square cells of `cell` pixels, numbered from 1.

    Drawn when it is opened. Raises `UsageError` when there are none.
    """
    if not pictures:
        raise UsageError("A sheet needs at least one candidate; none came.")
    drawn = _DrawnSheet(tuple(pictures), columns, cell)
    across = min(columns, len(pictures))
    words = (columns, cell, [picture.key for picture in pictures])
    return Picture(
        key=hashlib.blake2b(repr(words).encode(), digest_size=16).hexdigest(),
        width=across * cell,
        height=-(-len(pictures) // across) * cell,
        open=drawn,
    )
