"""Templates with named slots: ``Query: {query}``. A brace that is meant is doubled, as in `str.format`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from string import Formatter

from mmrank.errors import RecipeError

Piece = tuple[str, str | None]
"""Words, and the name of the slot behind them (None at the end)."""


@cache
def split_slots(template: str) -> tuple[Piece, ...]:
    """The template as (words, slot) pairs in order.

    Raises `RecipeError` on a single brace, and on anything in a slot but its name.

    >>> split_slots("Query: {query}\\nAnswer with {{}}.")
    (('Query: ', 'query'), ('\\nAnswer with {', None), ('}', None), ('.', None))
    """
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise RecipeError(
            f"A template cannot be split into slots ({error}): {_shown(template)}. "
            "Slots are written {name}; write {{ and }} for braces that are meant."
        ) from error
    for _, name, form, conversion in pieces:
        if name is not None and (form or conversion or not name.isidentifier()):
            raise RecipeError(
                f"A slot is its name alone, such as {{query}}; got {{{name}{'!' + conversion if conversion else ''}"
                f"{':' + form if form else ''}}} in {_shown(template)}. Write {{{{ and }}}} for braces that are meant."
            )
    return tuple((words, name) for words, name, _, _ in pieces)


def slot_names(template: str) -> tuple[str, ...]:
    """The names of the slots in the order they stand in the template.

    >>> slot_names("[{label}] {item}")
    ('label', 'item')
    """
    return tuple(name for _, name in split_slots(template) if name is not None)


def check_slots(
    template: str, where: str, *, allowed: Iterable[str], needed: Iterable[str] = (), repeated: Iterable[str] = ()
) -> None:
    """Raises `RecipeError` when a slot is not in `allowed`, or one of `needed` is missing or stands there twice.

    Those of `repeated` may stand there more than once.
    """
    names = slot_names(template)
    for name in names:
        if name not in set(allowed):
            raise RecipeError(f"{where} has the slot {{{name}}}; allowed there: {_listed(allowed)}.")
    for name in needed:
        count, often = names.count(name), name in set(repeated)
        if count < 1 or (count > 1 and not often):
            wanted = "at least once" if often else "once"
            raise RecipeError(f"{where} must have the slot {{{name}}} {wanted}; it has it {count} times.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names)) or "no slots"


def _shown(template: str) -> str:
    return repr(template if len(template) <= 60 else template[:57] + "...")
