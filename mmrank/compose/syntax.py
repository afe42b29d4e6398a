"""Weights and negation in a text query: ``beach -people``, ``dog^2 cat``. Read only where a caller asks for it.

===================  ==========================================================================================
written              meaning
===================  ==========================================================================================
``a beach at dusk``  plain words, wherever they stand, are one phrase of weight 1
``dog^2``            a phrase of its own, of weight 2 (above 0, at most `MAX_WEIGHT`)
``"red car"^0.5``    several words as a phrase of their own; within quotation marks nothing has a meaning
``-people``          taken away, with weight `NEGATIVE`; ``-"parked cars"^1`` with another
===================  ==========================================================================================

A hyphen within a word (``t-shirt``) or on its own stays what it is. Every phrase is embedded alone; the text's vector
is their renormalised weighted sum (the arithmetic is that of Rocchio's query formulation, 1971, with phrases in place
of documents). That is arithmetic, not logic: a term taken away makes such Items score less, it does not bar them; what
must not come at all belongs into a filter or `Query.exclude`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mmrank.errors import UsageError

NEGATIVE = 0.5
"""Weight of what is taken away, when none is written. At full weight a term close to what is sought leaves little of
it; half is a choice, not a measurement."""

MAX_WEIGHT = 10.0

_TOKEN = re.compile(r'(?P<sign>-?)(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+?))(?:\^(?P<weight>\d+(?:\.\d+)?))?(?=\s|$)')


class Term(NamedTuple):
    """A phrase and what it counts: above 0 it is sought, below 0 taken away."""

    text: str
    weight: float = 1.0


def read_terms(text: str) -> tuple[Term, ...]:
    """The terms of a text query, plain words first.

    Raises `UsageError` when nothing is sought, a weight is out of range, or a quotation mark is not closed.

    >>> read_terms('a beach -people "palm trees"^2 at dusk')
    (Term(text='a beach at dusk', weight=1.0), Term(text='people', weight=-0.5), Term(text='palm trees', weight=2.0))
    """
    plain: list[str] = []
    terms: list[Term] = []
    rest = text.strip()
    while rest:
        found = _TOKEN.match(rest)
        if found is None:
            raise UsageError(
                f"The weighted text {text!r} cannot be read from {rest!r} on: a quotation mark must open before a "
                'phrase and close behind it, as in "red car"^2.'
            )
        _take(found, plain, terms, text)
        rest = rest[found.end() :].lstrip()
    if plain:
        terms.insert(0, Term(" ".join(plain)))
    if not any(term.weight > 0 for term in terms):
        raise UsageError(f"The weighted text {text!r} seeks nothing; write what is looked for before what is not.")
    return tuple(terms)


def _take(found: re.Match[str], plain: list[str], terms: list[Term], text: str) -> None:
    """One token: a plain word, or a term of its own."""
    sign, phrase, word, weight = found["sign"], found["phrase"], found["word"], found["weight"]
    said = (phrase if phrase is not None else word).strip()
    if not said:
        raise UsageError(f"The weighted text {text!r} has empty quotation marks; write a phrase between them.")
    if phrase is None and not sign and weight is None:
        plain.append(said)
        return
    size = float(weight) if weight is not None else (NEGATIVE if sign else 1.0)
    if not 0 < size <= MAX_WEIGHT:
        raise UsageError(
            f"The weighted text {text!r} gives {said!r} the weight {weight}; it must be above 0 and at most "
            f"{MAX_WEIGHT:g}. To take a term away, write -{said}."
        )
    terms.append(Term(said, -size if sign else size))
