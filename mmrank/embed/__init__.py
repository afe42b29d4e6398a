"""Embedders: Items or Queries to vectors, and the registry that loads them by spec."""
