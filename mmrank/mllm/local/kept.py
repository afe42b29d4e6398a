"""What a local model keeps between calls: features of pictures, and what prompts begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrank.errors import UsageError
from mmrank.mllm.local.feature_files import FeatureFolder
from mmrank.mllm.local.features import FeatureCache
from mmrank.mllm.local.memory import FEATURES, PREFIXES
from mmrank.mllm.local.prefix import Prefixes, why_no_prefix
from mmrank.mllm.local.vision import VisionTower


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """How much may be kept, and where. The options of `LocalMLLM` by the same names.

    >>> Budgets(feature_memory=-1)
    Traceback (most recent call last):
    mmrank.errors.UsageError: feature_memory is -1; it is a number of bytes, 0 or more.
    """

    feature_memory: int = FEATURES
    feature_cache: str | Path | None = None
    feature_precision: str | None = None
    prefix_memory: int = PREFIXES

    def __post_init__(self) -> None:
        for name, given in (("feature_memory", self.feature_memory), ("prefix_memory", self.prefix_memory)):
            if given < 0:
                raise UsageError(f"{name} is {given}; it is a number of bytes, 0 or more.")
        if self.feature_precision not in (None, "float16"):
            raise UsageError(
                f"feature_precision is {self.feature_precision!r}; it is 'float16', which halves the features of a "
                "float32 model and rounds them, or left out: features are then kept as the model makes them."
            )


class Kept:
    """The features and prefixes of one model. `unshared`: what it computes anew for every prompt, and why; None when
    it shares all that can be shared. `sees`: it has an image processor. `pad_id`: any token but a picture's."""

    def __init__(self, model: Any, processor: Any, budgets: Budgets, *, sees: bool, pad_id: int) -> None:
        tower = VisionTower.of(model, processor, halved=budgets.feature_precision is not None)
        self.tower = tower if isinstance(tower, VisionTower) else None
        folder = None
        if budgets.feature_cache is not None and self.tower is not None:
            folder = FeatureFolder(budgets.feature_cache, self.tower.fingerprint())
        self.features = FeatureCache(budgets.feature_memory, folder)
        self.prefixes: Prefixes | None = None
        no_prefix = why_no_prefix(model, self.tower, sees=sees)
        if no_prefix is None:
            self.prefixes = Prefixes(headless(model), capacity=budgets.prefix_memory, pad_id=pad_id, tower=self.tower)
        self.unshared = _unshared(tower if sees and isinstance(tower, str) else None, no_prefix)


def headless(model: Any) -> Any:
    """The model without its LM head."""
    return getattr(model, model.base_model_prefix)


def _unshared(no_features: str | None, no_prefix: str | None) -> str | None:
    said = [
        f"pictures pass the vision tower for every prompt: {no_features}" if no_features else None,
        f"every prompt is read from its beginning: {no_prefix}" if no_prefix else None,
    ]
    return "; ".join(filter(None, said)) or None
