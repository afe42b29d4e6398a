"""Composed queries to vectors: `compose_queries` is the way in, `FORMS` the names of the forms.

`mmrank.compose.forms` has a table of what each form finds.
"""

from mmrank.compose.captions import Captioned, Captioner, CaptionFile, GivenCaptions, TargetCaptions
from mmrank.compose.choose import Compose, choose_form, named_form
from mmrank.compose.forms import (
    FORMS,
    TEXT_WEIGHT,
    Caption,
    Form,
    ImageForm,
    Intersection,
    Sqaf,
    Sum,
    TextForm,
    Whole,
)
from mmrank.compose.queries import Composed, compose_queries, query_vectors
from mmrank.compose.sides import Sides, query_text

__all__ = [
    "FORMS",
    "TEXT_WEIGHT",
    "Caption",
    "CaptionFile",
    "Captioned",
    "Captioner",
    "Compose",
    "Composed",
    "Form",
    "GivenCaptions",
    "ImageForm",
    "Intersection",
    "Sides",
    "Sqaf",
    "Sum",
    "TargetCaptions",
    "TextForm",
    "Whole",
    "choose_form",
    "compose_queries",
    "named_form",
    "query_text",
    "query_vectors",
]
