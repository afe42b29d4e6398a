"""A transformers checkpoint as an embedder needs it: stock classes, safetensors, hashed before it is cast."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.embed.fingerprint import weights_hash
from mmrank.embed.registry import Spec
from mmrank.errors import EmbedderError, MllmError
from mmrank.hub import first_line, quiet_transformers
from mmrank.mllm.local.checkpoint import fetch_folder, is_complete

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model in eval mode on its device, its processor, and the hash of its weights as they are stored."""

    model: Any
    processor: Any
    weights: str


def find_folder(spec: Spec) -> Path:
    """The folder of a spec's checkpoint: its own, or the hub's, fetched when it is not in the cache.

    Raises `EmbedderError` for a folder that holds no whole checkpoint and for one that cannot be had.
    """
    if spec.folder is None:
        size = f" (about {spec.known.download_mb / 1000:.1f} GB)" if spec.known is not None else ""
        try:
            return fetch_folder(spec.name, revision=spec.revision, size=size)
        except MllmError as error:
            raise EmbedderError(str(error)) from error
    if not spec.folder.is_dir():
        raise EmbedderError(f"There is no folder {spec.folder} to load an embedder from.")
    if not (spec.folder / "config.json").is_file() or not is_complete(spec.folder):
        raise EmbedderError(
            f"The folder {spec.folder} holds no whole checkpoint; it must have config.json and all of its "
            "*.safetensors, as `hf download ORG/NAME --local-dir FOLDER` or save_pretrained makes it."
        )
    return spec.folder


def model_type(folder: Path) -> str:
    """The architecture a checkpoint's ``config.json`` names."""
    return str(json.loads((folder / "config.json").read_text("utf-8")).get("model_type"))


def load_checkpoint(
    folder: Path,
    auto: Callable[[], Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
    settings: Mapping[str, Any],
) -> LoadedModel:
    """Load a folder's model by the transformers class that `auto` gives, and its processor.

    `settings`: what changes vectors without a trace in the weights, for the hash. Raises `EmbedderError` for a folder
    transformers cannot load, and for weights that lack a tensor, which it would fill with random numbers.
    """
    from transformers import AutoProcessor

    try:
        with quiet_transformers():
            model, info = auto().from_pretrained(
                folder, dtype="auto", use_safetensors=True, local_files_only=True, output_loading_info=True
            )
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    # A folder from a stranger: transformers raises whatever its many loaders meet, and each has its own kind.
    except Exception as error:
        raise EmbedderError(f"transformers cannot load the embedder in {folder}: {first_line(error)}") from error
    if missing := sorted(info["missing_keys"]):
        raise EmbedderError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors (such as {missing[0]}); transformers "
            "would fill them with random numbers. The folder is incomplete or of another architecture."
        )
    weights = weights_hash(model.state_dict(), settings)
    return LoadedModel(model=model.to(device=device, dtype=dtype).eval(), processor=processor, weights=weights)
