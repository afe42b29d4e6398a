"""Multimodal language models (MLLMs): what a judge asks, and the backends that answer."""
