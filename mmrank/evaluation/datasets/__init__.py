"""Readers of data sets in their official layouts, one file each; `mmrank.evaluation.datasets.registry` lists them."""
