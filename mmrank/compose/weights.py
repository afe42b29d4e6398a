"""The text's weight in a sum, by embedder: what the registry's rows name, chosen by measurement."""

from __future__ import annotations

from mmrank.compose.forms import TEXT_WEIGHT
from mmrank.embed.registry import list_models


def text_weight_of(spec: str) -> float:
    """The share of the text in `Sum` for the embedder of this spec; `TEXT_WEIGHT` where its row names none.

    >>> text_weight_of("open_clip:ViT-B-32/laion2b_s34b_b79k")
    0.5
    """
    name = spec.partition("?")[0]
    row = next((row for row in list_models() if name in (row.alias, row.spec)), None)
    return TEXT_WEIGHT if row is None or row.text_weight is None else row.text_weight
