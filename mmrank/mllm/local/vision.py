"""The vision tower of Qwen2-VL, Qwen2.5-VL and Qwen3-VL by itself: pixels in, features out, and features put back.

Only public arguments of transformers are used: ``get_image_features`` and the ``mm_encoder_outputs`` of ``forward``
and ``generate``. A model of another family, or a transformers without them, has no `VisionTower`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmrank.mllm.local.features import Features

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

FAMILIES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"})
"""``model_type`` of the models whose pictures are `Features`: patches merged into tokens, places from the grid."""

PATCHES_AT_ONCE = 16_384
"""Patches in one run of the tower: 64 pictures of 256 tokens, enough for a large GPU."""

ON_CPU = 2048
"""The same on a CPU, where larger runs leave its caches: measured, they take a tenth longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """A picture as the tower takes it: `pixels` float32 (patches, 3 x patch area x frames), `grid` (1, high, wide)."""

    pixels: torch.Tensor
    grid: tuple[int, int, int]


class VisionTower:
    """The tower of `model` and the image processor that feeds it. Made by `VisionTower.of`.

    `halved`: features of a float32 model are rounded to float16 as soon as they are made, whoever uses them, so that
    fresh ones and kept ones stay equal. One that float16 cannot hold (above 65,504) stays as it is.
    """

    def __init__(self, model: Any, image_processor: Any, *, halved: bool = False) -> None:
        import torch

        self._model, self._images = model, image_processor
        self.halved = halved and model.dtype == torch.float32
        self.merged = int(image_processor.merge_size) ** 2
        """Patches that become one token."""
        self.image_token = int(model.config.image_token_id)

    @classmethod
    def of(cls, model: Any, processor: Any, *, halved: bool = False) -> VisionTower | str:
        """The tower of a model, or why its features cannot be kept."""
        kind = str(getattr(model.config, "model_type", "?"))
        if not hasattr(processor, "image_processor"):
            return "the model reads text alone"
        if kind not in FAMILIES:
            return f"mmrank keeps the features of {', '.join(sorted(FAMILIES))}, and this model is a {kind}"
        if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:
            import transformers

            return f"transformers {transformers.__version__} takes no features of its {kind} (mm_encoder_outputs)"
        return cls(model, processor.image_processor, halved=halved)

    def patches(self, image: Image) -> Patches:
        """An RGB picture through the checkpoint's own image processor; `ValueError` for sizes it refuses."""
        made = self._images(images=[image], return_tensors="pt")
        frames, high, wide = (int(n) for n in made["image_grid_thw"][0])
        return Patches(pixels=made["pixel_values"], grid=(frames, high, wide))

    def run(self, patches: Sequence[Patches]) -> list[Features]:
        """Pictures through the tower, on the model's device, as many at once as `PATCHES_AT_ONCE` (`ON_CPU`) allows."""
        most = ON_CPU if self._model.device.type == "cpu" else PATCHES_AT_ONCE
        done: list[Features] = []
        waiting: list[Patches] = []
        size = 0
        for one in patches:
            if waiting and size + len(one.pixels) > most:
                done += self._run(waiting)
                waiting, size = [], 0
            waiting.append(one)
            size += len(one.pixels)
        return done + (self._run(waiting) if waiting else [])

    def _run(self, patches: Sequence[Patches]) -> list[Features]:
        import torch

        device = self._model.device
        with torch.inference_mode():
            made = self._model.get_image_features(
                torch.cat([one.pixels for one in patches]).to(device, self._model.dtype),
                torch.tensor([one.grid for one in patches], device=device),
                return_dict=True,
            )
            levels = [made.pooler_output, *(getattr(made, "deepstack_features", None) or ())]
            stacked = [torch.stack([level[i] for level in levels]) for i in range(len(patches))]
            kept = [_halved(one) for one in stacked] if self.halved else stacked
            return [Features(levels=mine, grid=one.grid) for mine, one in zip(kept, patches, strict=True)]

    def outputs(self, features: Sequence[Features]) -> dict[str, Any]:
        """``mm_encoder_outputs`` for prompts that show these pictures in this order."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        device, dtype = self._model.device, self._model.dtype
        moved = [one.levels.to(device, non_blocking=True).to(dtype) for one in features]
        pooled = tuple(levels[0] for levels in moved)
        deeper = len(moved[0]) - 1
        kind: Any = BaseModelOutputWithPooling
        if not deeper:
            return {"image": kind(pooler_output=pooled)}
        # Not exported: the output class of the family, which lies beside the model.
        kind = getattr(sys.modules[type(self._model).__module__], "BaseModelOutputWithDeepstackFeatures")  # noqa: B009
        deep = [tuple(levels[1 + level] for levels in moved) for level in range(deeper)]
        return {"image": kind(pooler_output=pooled, deepstack_features=deep)}

    def fingerprint(self) -> str:
        """Sixty-four hex digits over all that features depend on besides the picture.

        The tower's weights, their dtype and its configuration, the processor's settings, and the versions of
        transformers and mmrank, which resize and split pictures. SHA-256 reads about 1 GB a second.
        """
        import importlib.metadata

        import torch

        tower = self._model.model.visual
        settings = {
            "tower": _public(tower.config.to_dict()),
            "processor": _public(self._images.to_dict()),
            "versions": {name: importlib.metadata.version(name) for name in ("transformers", "mmrank")},
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        if self.halved:
            digest.update(b"rounded to float16")
        for name, tensor in sorted(tower.state_dict().items()):
            digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
        return digest.hexdigest()


def _halved(levels: torch.Tensor) -> torch.Tensor:
    import torch

    rounded = levels.to(torch.float16)
    return rounded if bool(rounded.isfinite().all()) else levels


def _public(settings: dict[str, Any]) -> dict[str, Any]:
    """Without what a library notes for itself, such as the folder something was loaded from."""
    return {name: value for name, value in settings.items() if not name.startswith("_")}
