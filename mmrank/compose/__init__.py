"""Composed queries to vectors."""
