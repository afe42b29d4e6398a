"""Numbers and strangers' texts as the report and the tables write them."""

from __future__ import annotations

import math
import unicodedata
from html import escape

from mmrank.evaluation.dataset import Dataset

NONE = "–"
"""Where there is no number."""

_BIDI = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"


def clean(text: str) -> str:
    """`text` on one line, with everything replaced that an encoder refuses or that reorders what follows it.

    >>> clean("a\\n b\\x1b\\ud800")
    'a b\\ufffd\\ufffd'
    """
    flat = " ".join(text.split())
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cs") or c in _BIDI else c for c in flat)


def html(text: str) -> str:
    """A stranger's text, safe inside an element or a quoted attribute."""
    return escape(clean(text), quote=True)


def cut(text: str, length: int) -> str:
    """At most `length` characters; the end gives way.

    >>> cut("a dog to the left", 8)
    'a dog t…'
    """
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def number(value: float | None) -> str:
    """A figure in percent or ranks, to two decimals, so that a thousand queries do not share one line's ten.

    >>> number(54.6), number(float("inf")), number(float("nan"))
    ('54.60', '∞', '–')
    """
    if value is None or math.isnan(value):
        return NONE
    return f"{value:.2f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def signed(value: float | None) -> str:
    """A difference, with its sign.

    >>> signed(1.0), signed(-0.25), signed(0.0)
    ('+1.00', '-0.25', '0.00')
    """
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def amount(value: float) -> str:
    """A cost per query: about three digits, none for nothing.

    >>> amount(0), amount(0.0312), amount(8.25), amount(1234.5)
    ('–', '0.031', '8.2', '1,234')
    """
    if not value:
        return NONE
    if value < 0.0005:
        return "<0.001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def seconds(value: float) -> str:
    """Seconds per query, with the unit.

    >>> seconds(0), seconds(0.0312), seconds(8.25), seconds(300)
    ('–', '31 ms', '8.2 s', '300 s')
    """
    if not value:
        return NONE
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.0095 else f"{value * 1000:.2g} ms"
    return f"{value:,.0f} s" if value >= 100 else f"{value:.1f} s"


def chance(p: float) -> str:
    """A p value.

    >>> chance(0.0312), chance(0.0001)
    ('0.031', '<0.001')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(amount: int, one: str, many: str | None = None) -> str:
    """A number and its noun.

    >>> count(1, "query", "queries"), count(2500, "query", "queries")
    ('1 query', '2,500 queries')
    """
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"


def warnings(dataset: Dataset, post: tuple[str, ...]) -> list[tuple[str, str]]:
    """What makes these figures another thing than the official ones: a heading in capitals, and why."""
    found = []
    if dataset.missing or dataset.dropped:
        why = f"{count(len(dataset.missing), 'media file')} missing, "
        why += f"{count(len(dataset.dropped), 'query', 'queries')} left out. Figures of other galleries do not compare."
        found.append(("NOT OFFICIAL", why))
    if dataset.sample is not None:
        kept = count(dataset.sample, "query", "queries")
        why = f"{kept} a task, not the whole split. Good for a look, not for a table."
        found.append(("SAMPLE", why))
    if post:
        why = f"{', '.join(post)}: every query saw all the others. Compare only with figures that say the same."
        found.append(("POST-PROCESSED", why))
    return found
