"""Sentences of the collection itself, standing in for text queries when the modality gap is measured.

A query is short, speaks of the collection's things and is no Item. The sentences of its notes, pages and captions are
the nearest there is: short too, in words the model and the collection share. They are drawn per kind, so that a kind
is never measured with its own sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from mmrank.types import Kind

PER_KIND = 128
"""Sentences of a kind: the mean cosine over a channel is then known to about 0.02 (deviation 0.22 on the toybox)."""

FEWEST = 8
"""With fewer sentences their mean says more about them than about queries; the kind is passed over."""

ROWS_LOOKED_AT = 4_000
"""Rows of a kind that sentences are drawn from, the first ones: texts of a collection are alike."""

_LONGEST = 200
"""Characters; a line without an end is a table or a list, not a sentence."""

_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_WORD = re.compile(r"\w")


def setting_key(kind: Kind) -> str:
    """Where the `Mean` of a kind's sentences is kept in the settings table.

    >>> setting_key("page")
    'mean:sentences.page'
    """
    return f"mean:sentences.{kind}"


def sentences(text: str) -> Iterator[str]:
    """The sentences and lines of a text that could be asked: some words, not too many.

    >>> list(sentences("# Monday in Lima\\n\\nI saw a fox. It ran!"))
    ['Monday in Lima', 'I saw a fox.', 'It ran!']
    """
    for piece in _END.split(text):
        sentence = piece.strip().lstrip("#*->| \t").strip()
        if len(sentence) <= _LONGEST and len(_WORD.findall(sentence)) > 1:
            yield sentence


def drawn(texts: Iterable[str], seed: int = 0) -> list[str]:
    """`PER_KIND` different sentences, the same ones every time; all there are when there are fewer."""
    found = sorted({sentence for text in texts for sentence in sentences(text)})
    return Random(seed).sample(found, PER_KIND) if len(found) > PER_KIND else found


def drawn_sentences(table: Any, kind: Kind) -> list[str]:
    """Drawn sentences of the texts of one kind; none when there are fewer than `FEWEST`."""
    query = table.search().where(f"kind = '{kind}' AND text IS NOT NULL").select(["text"])
    chosen = drawn(query.limit(ROWS_LOOKED_AT).to_arrow()["text"].to_pylist())
    return chosen if len(chosen) >= FEWEST else []
