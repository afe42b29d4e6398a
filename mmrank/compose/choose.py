"""Which form a query is composed in: the one named, or the one that suits what the query has."""

from __future__ import annotations

import difflib
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from mmrank.compose.forms import CAPTION_FORMS, FORMS, PLAIN_FORMS, TEXT_WEIGHT, WEIGHTED, Form, Sum
from mmrank.compose.sides import sides_of
from mmrank.errors import UsageError
from mmrank.types import Query

Compose: TypeAlias = "str | Form | None"
"""How a caller names a form: by its name, as an object with settings of its own, or not at all."""

CAPTIONERS_KEPT = 4
"""Forms named with a model that are remembered, model and all: a second search must not load it again."""


def named_form(compose: Compose) -> Form | None:
    """The form a caller means; None where each query decides (no form, or ``weighted``).

    Names: see `FORMS`. No model is loaded here, but a model's spec is read. Raises `UsageError` for a name that is
    none, and for a form that needs captions without a model to write them.

    >>> named_form("intersection:min").rule
    'min'
    """
    if compose is None or compose == WEIGHTED:
        return None
    if isinstance(compose, Form):
        return compose
    if not isinstance(compose, str):
        raise UsageError(f"compose is {compose!r}; give the name of a form ({', '.join(FORMS)}) or a form object.")
    return _by_name(compose)


@lru_cache(maxsize=CAPTIONERS_KEPT)
def _by_name(name: str) -> Form:
    if name in PLAIN_FORMS:
        return PLAIN_FORMS[name]
    head, at, model = name.partition("@")
    made = CAPTION_FORMS.get(head)
    if made is None:
        near = difflib.get_close_matches(name, FORMS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"There is no form {name!r} of composing a query; it must be one of {', '.join(FORMS)}.{hint}")
    if not (at and model.strip()):
        raise UsageError(
            f"The form {head!r} needs a model that writes captions of what is sought: name it, {head}@MODEL (what "
            f"load_mllm takes), or a file of captions, {head}@./captions.jsonl; or give "
            f"mmrank.compose.{made.__name__}(captioner=...) with a loaded one."
        )
    return made(captioner=model.strip())


def choose_form(
    query: Query, compose: Compose = None, *, text_weight: float = TEXT_WEIGHT, takes_whole: bool = False
) -> Form:
    """The form named, or the one that suits the query: `Sum` when it has pictures and text, else the side it has.

    A query with a picture whose text is blank asks with its picture alone, whatever the form.

    `text_weight`: what `Sum` takes for its alpha where that is None. `takes_whole`: the embedder was trained on texts
    and pictures together; then `Whole` suits every query. Raises `UsageError` for an empty query, an unknown form, and
    a form that needs what the query or the embedder lacks.

    >>> choose_form(Query(text="a red boat")).name, choose_form(Query(text="at night", image="a.jpg")).name
    ('text', 'sum')
    """
    if query.empty:
        raise UsageError(f"Query {query.id!r} is empty; it needs a text, an image, a video or dialogue turns.")
    there = sides_of(query)
    form = named_form(compose)
    if form is None and takes_whole and compose is None:
        form = PLAIN_FORMS["whole"]
    if form is None:
        form = next(form for form in PLAIN_FORMS.values() if form.needs == there)
        form = replace(form, syntax=compose == WEIGHTED)
    if "whole" in form.needs and not takes_whole:
        raise UsageError(
            "The form 'whole' is for embedders that take texts and pictures together, and this one embeds each alone; "
            "choose another form, or leave it out."
        )
    if "text" in form.needs and there == {"image"} and query.text:
        # Words that are there and blank (CIRR's test1 has one such row): the picture is all it asks with. A query that
        # has no text at all was not meant for this form.
        return PLAIN_FORMS["image"]
    if missing := form.needs - {"caption", "whole"} - there:
        raise UsageError(
            f"Query {query.id!r} has no {' and no '.join(sorted(missing))}, which the form {form.name!r} needs; "
            f"it has {' and '.join(sorted(there))}."
        )
    return replace(form, alpha=text_weight) if isinstance(form, Sum) and form.alpha is None else form
