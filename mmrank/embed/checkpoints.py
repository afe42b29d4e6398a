"""Where an open_clip model's weights lie: a folder, a hub repository, or a tag of open_clip's own list."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrank.embed.hub import fetch_file
from mmrank.embed.registry import KnownModel, Spec
from mmrank.errors import EmbedderError, UsageError

CONFIG = "open_clip_config.json"
SAFE_WEIGHTS = "open_clip_model.safetensors"
OLD_WEIGHTS = "open_clip_pytorch_model.bin"
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json")

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pth")
"""What open_clip looks for in a folder (`open_clip.factory._find_checkpoint_in_dir`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What `open_clip.create_model` must be told. `weights` is None where `model` is a ``local-dir:`` that has them."""

    model: str
    weights: Path | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False


def find_checkpoint(spec: Spec) -> Checkpoint:
    """Resolve a spec to local files, downloading what is not cached.

    Raises `UsageError` for an architecture or tag open_clip does not have, `EmbedderError` for a folder
    without a model and for weights that cannot be had.
    """
    if spec.folder is not None:
        return _in_folder(spec.folder)
    if spec.name.startswith("hf-hub:"):
        return _on_hub(spec.name.removeprefix("hf-hub:"), spec)
    architecture, slash, pretrained = spec.name.partition("/")
    if not slash or not pretrained:
        raise UsageError(
            f"{spec.text!r} names no weights; write open_clip:{architecture}/PRETRAINED, "
            f"where PRETRAINED is {_tags(architecture)}, or a checkpoint file."
        )
    _check_architecture(architecture, spec)
    if pretrained.startswith(("/", ".", "~")):
        return _in_file(architecture, Path(pretrained).expanduser())
    return _by_tag(architecture, pretrained, spec)


def _in_folder(folder: Path) -> Checkpoint:
    if not folder.is_dir():
        raise EmbedderError(f"There is no folder {folder} to load an embedder from.")
    if not (folder / CONFIG).is_file():
        raise EmbedderError(
            f"The folder {folder} has no {CONFIG}. An open_clip model is a folder with {CONFIG} and {SAFE_WEIGHTS}, "
            "as `hf download ORG/NAME --local-dir FOLDER` makes it, or open_clip's push_to_hf_hub."
        )
    if not any(file.suffix in _WEIGHT_SUFFIXES for file in folder.iterdir()):
        raise EmbedderError(f"The folder {folder} has a {CONFIG} but no weights; {SAFE_WEIGHTS} is missing.")
    return Checkpoint(model=f"local-dir:{folder}")


def _in_file(architecture: str, file: Path) -> Checkpoint:
    if not file.is_file():
        raise EmbedderError(f"There is no checkpoint file {file} for the architecture {architecture}.")
    return Checkpoint(model=architecture, weights=file)


def _on_hub(repo: str, spec: Spec) -> Checkpoint:
    advice = _advice(repo, spec.text, spec.known, own_tokenizer=False)
    config = fetch_file(repo, [CONFIG], revision=spec.revision, advice=advice)
    commit = config.parent.name  # the folder of a snapshot is called by its commit: the rest must be of the same one
    fetch_file(repo, [SAFE_WEIGHTS, OLD_WEIGHTS], revision=commit, advice=advice)
    if json.loads(config.read_text("utf-8")).get("model_cfg", {}).get("text_cfg", {}).get("hf_tokenizer_name"):
        for name in TOKENIZER_FILES:
            fetch_file(repo, [name], revision=commit, advice=advice)
    return Checkpoint(model=f"local-dir:{config.parent}")


def _by_tag(architecture: str, tag: str, spec: Spec) -> Checkpoint:
    import open_clip

    row: Mapping[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
    if not row:
        raise UsageError(f"open_clip has no weights {tag!r} for {architecture}; there is {_tags(architecture, tag)}.")
    repo, _, name = row["hf_hub"].rpartition("/")
    names = [name] if name else [SAFE_WEIGHTS, OLD_WEIGHTS]
    own_tokenizer = bool(open_clip.get_model_config(architecture)["text_cfg"].get("hf_tokenizer_name"))
    advice = _advice(repo, spec.text, spec.known, own_tokenizer=own_tokenizer)
    return Checkpoint(
        model=architecture,
        weights=fetch_file(repo, names, revision=spec.revision, advice=advice),
        preprocess={key: row[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in row},
        # open_clip only warns when an architecture lacks the activation its weights were trained with.
        quick_gelu=bool(row.get("quick_gelu")),
    )


def _check_architecture(architecture: str, spec: Spec) -> None:
    import open_clip

    known: list[str] = open_clip.list_models()
    if architecture in known:
        return
    near = difflib.get_close_matches(architecture, known, n=3, cutoff=0.6)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"open_clip has no architecture {architecture!r}.{meant} A repository on the hub is written "
        f"open_clip:hf-hub:{spec.name}; `mmrank models` lists known models."
    )


def _tags(architecture: str, wanted: str = "") -> str:
    """The tags open_clip has for an architecture, nearest first."""
    import open_clip

    tags: list[str] = open_clip.list_pretrained_tags_by_model(architecture)
    tags.sort(key=lambda tag: -difflib.SequenceMatcher(None, wanted, tag).ratio())
    return ", ".join(tags) or "none in open_clip's list"


def _advice(repo: str, spec: str, known: KnownModel | None, *, own_tokenizer: bool) -> str:
    size = f" (about {known.download_mb} MB)" if known is not None and known.download_mb else ""
    files = " ".join([CONFIG, SAFE_WEIGHTS, *(TOKENIZER_FILES if own_tokenizer else ())])
    return (
        f"The weights of {spec}{size} come from huggingface.co/{repo}. On a machine with a connection run "
        f"`hf download {repo} {files} --local-dir FOLDER`, bring the folder here and name it as "
        "open_clip:/path/to/FOLDER. If the hub's cache lies elsewhere on this machine, set HF_HUB_CACHE to it."
    )
