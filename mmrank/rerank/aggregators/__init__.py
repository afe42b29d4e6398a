"""Aggregators: many partial answers about a list into one order with scores. Pure functions, numpy only."""

from mmrank.rerank.aggregators.base import Aggregated, place_scores
from mmrank.rerank.aggregators.blend import blend
from mmrank.rerank.aggregators.registry import AGGREGATORS, Aggregator, aggregate_blocks

__all__ = ["AGGREGATORS", "Aggregated", "Aggregator", "aggregate_blocks", "blend", "place_scores"]
