"""Metadata of a file, part of it read from its header when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mmrank.types import MetaValue

FORM = 1
"""Raised when more, or something else, is read from the same header."""


class FileMeta(Mapping[str, MetaValue]):
    """A mapping like any other whose file is opened at the first look, not when it is made.

    A walk over a folder hands out thousands of these a second; whoever works on an item opens its file anyway. Safe to
    share between threads (two that look first at the same time both read) and to pickle.

    `given`: what is known without opening; it goes before what the header says. `spare`: what holds where the header
    says nothing. `read`: gives what the header says; must not raise.

    >>> FileMeta({"name": "a.jpg"}, read=lambda: {"width": 64, "name": "x"}, spare={"width": 1, "camera": "X100"})
    {'name': 'a.jpg', 'width': 64, 'camera': 'X100'}
    """

    __slots__ = ("_all", "_read", "_spare", "given")

    def __init__(
        self,
        given: Mapping[str, MetaValue],
        read: Callable[[], Mapping[str, MetaValue]],
        spare: Mapping[str, MetaValue] | None = None,
    ) -> None:
        self.given = given
        self._read = read
        self._spare = spare or {}
        self._all: dict[str, MetaValue] | None = None

    @property
    def seal(self) -> str:
        """All that is known without opening the file. Where this, and the file's size and time, are what they were,
        so is the metadata, as long as `FORM` is.
        """
        return repr((FORM, *(sorted(part.items(), key=lambda pair: pair[0]) for part in (self.given, self._spare))))

    def look(self) -> dict[str, MetaValue]:
        """Everything, the file opened if it was not yet."""
        if self._all is None:
            told = {**self._spare, **self._read()}
            self._all = {**self.given, **{key: value for key, value in told.items() if key not in self.given}}
        return self._all

    def __getitem__(self, key: str) -> MetaValue:
        return self.given[key] if key in self.given else self.look()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.look())

    def __len__(self) -> int:
        return len(self.look())

    def __contains__(self, key: object) -> bool:
        return key in self.given or key in self.look()

    def __repr__(self) -> str:
        return repr(self.look())
