"""Composed queries to vectors: `query_vectors` is the way in, `FORMS` the ways to compose."""

from mmrank.compose.forms import FORMS, TEXT_WEIGHT
from mmrank.compose.queries import query_vectors

__all__ = ["FORMS", "TEXT_WEIGHT", "query_vectors"]
