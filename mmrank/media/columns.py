"""Which column of a table plays which part in an Item.

==========  ==========================  ===========================================================
role        columns, if none is named   becomes
==========  ==========================  ===========================================================
``id``      ``id``                      the id (white space percent-encoded); default ``FILE#row=N``
``kind``    ``kind``                    the kind; follows from the other columns if absent
``parent``  ``parent``                  the id of the whole this is a part of
``image``   ``image``                   a picture: a path relative to the table, a uri, or bytes
``video``   ``video``                   a video, likewise
``pdf``     ``pdf``                     a PDF: all its pages, or one (``FILE.pdf#page=N``)
``uri``     ``uri``, ``file_name``      any of these, told apart by suffix
``text``    ``text``, else ``caption``  the item's text: of a picture its caption
==========  ==========================  ===========================================================

Names are compared without regard to case and to white space around them. Every other column is metadata.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mmrank.errors import MediaError, UsageError
from mmrank.media.uri import printable

DEFAULTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "id": ("id",),
        "kind": ("kind",),
        "parent": ("parent",),
        "image": ("image",),
        "video": ("video",),
        "pdf": ("pdf",),
        "uri": ("uri", "file_name"),
        "text": ("text", "caption"),
    }
)
"""The columns a role is looked for in, in this order, when the caller names none."""

MEDIA = ("image", "video", "pdf", "uri")
"""The roles that name what is seen; a row fills one of them."""

Roles = Mapping[str, tuple[str, ...]]
"""Role -> columns of one table (as `plain_name` writes them), the first that is filled counts."""


def plain_name(column: object) -> str:
    """How column names are compared.

    >>> plain_name(" Photo_Path ")
    'photo_path'
    """
    return str(column).strip().lower()


@dataclass(frozen=True, slots=True)
class Columns:
    """A mapping of roles to columns, as the caller gave it; checked against each table by `resolve`.

    A role mapped to a column is taken from that column only; mapped to None (or "") it is not looked for at all, and
    its usual columns are metadata. Once a medium is mapped, the other media are looked for only where mapped too.

    >>> Columns({"image": "photo"}).resolve(["sku", "photo", "text"], "products.csv")["image"]
    ('photo',)

    Raises `UsageError` for a role that does not exist, or a column that two roles claim.
    """

    given: Mapping[str, str | None]

    def __post_init__(self) -> None:
        unknown = [str(role) for role in self.given if role not in DEFAULTS]
        if unknown:
            near = difflib.get_close_matches(unknown[0], DEFAULTS, n=1)
            raise UsageError(
                f"columns maps {', '.join(map(repr, unknown))}, which is no part of an Item"
                + (f" (did you mean {near[0]!r}?)" if near else "")
                + f". Write ROLE=COLUMN with one of the roles {', '.join(DEFAULTS)}; "
                "columns without a role are metadata anyway."
            )
        wrong = [value for value in self.given.values() if value is not None and not isinstance(value, str)]
        if wrong:
            raise UsageError(f"columns maps to {wrong[0]!r}; give the name of a column, or None for no column.")
        named = [plain_name(column) for column in self.given.values() if column]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise UsageError(f"columns maps two roles to {', '.join(map(repr, twice))}; a column plays one part.")

    @property
    def named(self) -> tuple[str, ...]:
        """The columns a table must have."""
        return tuple(column for column in self.given.values() if column)

    @property
    def id_column(self) -> str | None:
        """The plain name of the column that holds the ids where there is one, None when ids are not taken."""
        return next(iter(self._columns("id")), None)

    def resolve(self, names: Sequence[str], table: str | Path, *, image: str | None = None) -> Roles:
        """The roles of one table with the columns `names`; `image`: a column of pictures the table itself declares.

        Raises `MediaError` when a mapped column is absent, two names differ in case only, or nothing can be found.
        """
        plain = _told_apart(names, table)
        roles = {role: self._columns(role) for role in DEFAULTS}
        for role, column in self.given.items():
            if column and plain_name(column) not in plain:
                raise MediaError(_absent(role, column, names, table))
        if image is not None and "image" not in self.given and roles["image"] and not {*roles["image"]} & plain:
            roles["image"] = (plain_name(image),)
        taken = {plain_name(column) for column in self.named}
        roles = {
            role: tuple(c for c in columns if c in plain and (role in self.given or c not in taken))
            for role, columns in roles.items()
        }
        if not any(roles[role] for role in (*MEDIA, "text")):
            raise MediaError(
                f"{printable(table)} has the columns {_listed(names)}; an Item needs one of "
                f"{', '.join((*MEDIA, 'text', 'caption'))}. Say which column is which, for example "
                f"--column image={_example(names)} or columns={{'image': {_example(names)!r}}}."
            )
        return roles

    def _columns(self, role: str) -> tuple[str, ...]:
        if role in self.given:
            column = self.given[role]
            return (plain_name(column),) if column else ()
        if role in MEDIA and any(self.given.get(other) for other in MEDIA):
            return ()
        return DEFAULTS[role]


def _told_apart(names: Sequence[str], table: str | Path) -> set[str]:
    plain: dict[str, str] = {}
    for name in names:
        if (other := plain.setdefault(plain_name(name), name)) is not name:
            raise MediaError(
                f"{printable(table)} has the columns {other!r} and {name!r}, which are not told apart; rename one."
            )
    return set(plain)


def _absent(role: str, column: str, names: Sequence[str], table: str | Path) -> str:
    near = difflib.get_close_matches(plain_name(column), [plain_name(name) for name in names], n=1)
    meant = f" Did you mean {next(n for n in names if plain_name(n) == near[0])!r}?" if near else ""
    return (
        f"{printable(table)} has no column {column!r}, which {role!r} is mapped to; "
        f"its columns are {_listed(names)}.{meant}"
    )


def _listed(names: Sequence[str]) -> str:
    shown = [printable(name.strip()) for name in names[:30]]
    return (", ".join(shown) or "(none)") + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def _example(names: Sequence[str]) -> str:
    return names[0].strip() if names else "COLUMN"
