"""Queries to vectors, many at once: each text and picture goes through the model once, and each query fails alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from mmrank.compose.captions import Captioned
from mmrank.compose.choose import Compose, choose_form, named_form
from mmrank.compose.forms import Form
from mmrank.compose.mixing import weighed
from mmrank.compose.pictures import Embedded, PictureKey, picture_vectors, pictures_of
from mmrank.compose.sides import Matrix, Sides, Vector, query_text
from mmrank.compose.syntax import Term, read_terms
from mmrank.compose.weights import text_weight_of
from mmrank.compose.whole import whole_vectors
from mmrank.embed.base import Embedder, QueryEmbedder, Vectors
from mmrank.embed.vectors import mean_unit
from mmrank.errors import EmbedderError, MediaError, MmrankError, UsageError
from mmrank.types import Cost, Query

ByText: TypeAlias = "dict[str, Vector | EmbedderError]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What became of one query.

    `vectors`: unit vectors, float32 (n, d): one, or two of an intersection (picture, text). `form`: the form it was
    composed in. `cost`: model calls and pictures, captions included, without the seconds. `note`: the caption.
    """

    vectors: Matrix
    form: Form
    cost: Cost = Cost()
    note: str | None = None

    @property
    def vector(self) -> Vector:
        """The one vector. Raises `UsageError` when there are two."""
        if len(self.vectors) != 1:
            raise UsageError(
                f"The form {self.form.name!r} ranks by {len(self.vectors)} vectors, and one is wanted here; search "
                "with it, or choose another form where vectors are rescored."
            )
        one: Vector = self.vectors[0]
        return one


@dataclass(slots=True)
class _Part:
    """One query on its way: what it asks of the model, and what came back."""

    query: Query
    form: Form
    terms: tuple[Term, ...] = ()
    caption: Captioned | None = None


def compose_queries(
    embedder: Embedder, queries: Sequence[Query], compose: Compose = None
) -> list[Composed | MmrankError]:
    """For each query its vectors, or why it has none; in order.

    `compose`: the name of a form (`FORMS`), a form object, or None: `Whole` where the embedder takes queries whole,
    else `Sum` for a query with a picture and a text, with the embedder's own text weight, and the side it has
    otherwise. Several images, and a video's frames, are averaged. Dialogue turns follow the text. A side that the form
    does not use is neither opened nor embedded; equal texts and pictures are embedded once.

    Raises `UsageError` for a form that does not exist or lacks its model, or whose model writes no text: these are no
    single query's fault.

        compose_queries(embedder, [Query(image="ref.jpg", text="at night")], Sqaf(captioner=mllm, beta=0.7))
    """
    named_form(compose)
    out: dict[int, Composed | MmrankError] = {}
    parts: dict[int, _Part] = {}
    for number, query in enumerate(queries):
        try:
            parts[number] = _planned(embedder, query, compose)
        except UsageError as error:
            out[number] = error
    _caption(parts, out)
    by_text = _text_vectors(embedder, _texts(parts.values()))
    shown = [p for part in parts.values() if "image" in part.form.needs for p in pictures_of(part.query)]
    by_picture = picture_vectors(embedder, shown)
    whole = {number: part.query for number, part in parts.items() if "whole" in part.form.needs}
    by_number = whole_vectors(embedder, whole) if whole else {}
    for number, part in parts.items():
        try:
            out[number] = _composed(part, by_text, by_picture, by_number.get(number))
        except MmrankError as error:
            out[number] = _of_query(part.query, error)
    return [out[number] for number in range(len(queries))]


def query_vectors(embedder: Embedder, queries: Sequence[Query], form: Compose = None) -> Vectors:
    """Unit vectors of queries, float32, shape (n, dimension), in order: `compose_queries` for forms of one vector.

    Raises for the first query that has none: `UsageError` for an empty query, one that lacks what the form needs, or a
    form of two vectors; `MediaError` for a picture that cannot be read; `EmbedderError` for a vector that is none;
    `MllmError` for a caption that did not come. Each names the query.

        query_vectors(embedder, [Query(image="ref.jpg", text="the same place at night")]).shape     # (1, 512)
    """
    vectors = np.empty((len(queries), embedder.dimension), np.float32)
    for place, composed in enumerate(compose_queries(embedder, queries, form)):
        if isinstance(composed, MmrankError):
            raise composed
        vectors[place] = composed.vector
    return vectors


def _planned(embedder: Embedder, query: Query, compose: Compose) -> _Part:
    form = choose_form(
        query, compose, text_weight=text_weight_of(embedder.spec), takes_whole=isinstance(embedder, QueryEmbedder)
    )
    part = _Part(query, form)
    if "text" in form.needs:
        text = query_text(query)
        try:
            part.terms = read_terms(text) if form.syntax else (Term(text),)
        except UsageError as error:
            raise _of_query(query, error) from error
    return part


def _caption(parts: dict[int, _Part], out: dict[int, Composed | MmrankError]) -> None:
    """Have the captions written that are needed; a query without its caption has failed and leaves `parts`."""
    wanted = {number: part for number, part in parts.items() if "caption" in part.form.needs}
    if not wanted:
        return
    captioner = next(iter(wanted.values())).form.captions  # one call, one form: all have the same
    assert captioner is not None
    written = captioner.write([part.query for part in wanted.values()])
    for (number, part), said in zip(wanted.items(), written, strict=True):
        if isinstance(said, Captioned):
            part.caption = said
        else:
            out[number] = said
            del parts[number]


def _texts(parts: Iterable[_Part]) -> list[str]:
    """Every text that is to be embedded, once."""
    said = (
        text
        for part in parts
        for text in (*(term.text for term in part.terms), *((part.caption.text,) if part.caption else ()))
    )
    return list(dict.fromkeys(said))


def _text_vectors(embedder: Embedder, texts: Sequence[str]) -> ByText:
    """A vector for each text, or why there is none: after a failed batch each is tried alone."""
    if not texts:
        return {}
    try:
        return dict(zip(texts, embedder.embed_texts(texts), strict=True))
    except EmbedderError as error:
        if len(texts) == 1:
            return {texts[0]: error}
    return {text: vector for text in texts for vector in _text_vectors(embedder, [text]).values()}


def _composed(
    part: _Part, by_text: ByText, by_picture: Mapping[PictureKey, Embedded], whole: Vector | MmrankError | None
) -> Composed:
    """The sides of one query put together. Raises the error of the first part that failed."""
    images = [_found(by_picture[p.key]) for p in pictures_of(part.query)] if "image" in part.form.needs else []
    terms = [_found(by_text[term.text]) for term in part.terms]
    weights = tuple(term.weight for term in part.terms)
    sides = Sides(
        image=mean_unit(np.stack(images)) if images else None,
        text=_text_side(terms, weights) if terms else None,
        caption=_found(by_text[part.caption.text]) if part.caption else None,
        whole=None if whole is None else _found(whole),
    )
    looked_at = len(part.query.images) if part.form.needs & {"image", "whole"} else 0
    cost = Cost(model_calls=1, images_encoded=looked_at)
    note = None
    if part.caption is not None:
        cost, note = cost + part.caption.cost, f"target caption: {part.caption.text}"
    return Composed(vectors=part.form.vectors(sides), form=part.form, cost=cost, note=note)


def _text_side(terms: Sequence[Vector], weights: tuple[float, ...]) -> Vector:
    return terms[0] if len(terms) == 1 else weighed(np.stack(terms), weights, of="the terms of the weighted text")


def _of_query(query: Query, error: MmrankError) -> MmrankError:
    """The error with the query named, as one of the kinds a caller can tell apart."""
    kinds = (MediaError, UsageError, EmbedderError)  # a subclass may be made in another way
    kind = next((kind for kind in kinds if isinstance(error, kind)), MmrankError)
    named = f"Query {query.id!r}" if query.id != replace(query, id="").id else "The query"  # an id nobody gave
    return kind(f"{named}: {str(error).rstrip('.')}.")


def _found(vector: Vector | MmrankError) -> Vector:
    if isinstance(vector, MmrankError):
        raise vector
    return vector
