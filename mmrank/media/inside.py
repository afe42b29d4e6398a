"""Bytes that lie inside another file: a member of an archive, a cell of a table."""

from __future__ import annotations

from mmrank.errors import MediaError
from mmrank.media.archive import is_archive, read_member
from mmrank.media.uri import Location, printable


def read_inside(where: Location) -> bytes:
    """The bytes that ``shard.tar#member=NAME`` or ``table.parquet#row=N&column=NAME`` names.

    Raises `MediaError` when the file cannot be read, or there is nothing at that place.
    """
    if where.member is not None:
        if not is_archive(where.path):
            raise MediaError(f"{printable(where.path)} is no tar archive, so it has no member {where.member!r}.")
        return read_member(where.path, where.member)
    if where.cell is None:
        raise MediaError(f"{printable(where.path)}#{where.fragment} names nothing inside this file.")
    from mmrank.media.arrow_rows import read_cell

    return read_cell(where.path, *where.cell)
