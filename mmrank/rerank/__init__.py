"""Putting the best few in order: rerankers as Stages."""
