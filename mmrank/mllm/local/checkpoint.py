"""A checkpoint's files and what they hold: found on disk or on the hub, loaded with stock transformers classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.errors import MissingDependencyError, MllmError, MmrankError, UsageError
from mmrank.hub import first_line, quiet, quiet_transformers, why_offline

if TYPE_CHECKING:
    import torch

_SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken")
_WEIGHTS = ("*.safetensors",)
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A loaded model, ready to run: `model` in eval mode on its device, and its `processor`.

    `processor` is a transformers processor, or, for a model of text alone (`sees` is False), its tokenizer.
    """

    model: Any
    processor: Any
    sees: bool

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer if self.sees else self.processor


def fetch_folder(repo: str, *, revision: str | None, remote_code: bool = False, size: str = "") -> Path:
    """The folder of a hub repository's settings and safetensors weights; the local cache first, then the network.

    A cached checkpoint is used without asking the hub; name a revision to get another state. Raises `MllmError` when
    it cannot be had, and says how to bring it here; `UsageError` for what cannot be the name of a repository.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = [*_SETTINGS, *_WEIGHTS, *(["*.py"] if remote_code else [])]
    where = f"{repo}@{revision}" if revision else repo
    advice = (
        f"The weights of {where}{size} come from huggingface.co/{repo}. On a machine with a connection run "
        f"`hf download {repo} --local-dir FOLDER`, bring the folder here and name it as /path/to/FOLDER. "
        "If the hub's cache lies elsewhere on this machine, set HF_HUB_CACHE to it."
    )
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns, local_files_only=True))
        if is_complete(folder):
            return folder
    except LocalEntryNotFoundError:
        pass
    except HFValidationError as error:
        raise UsageError(f"{repo!r} is not the name of a hub repository (ORG/NAME): {first_line(error)}") from error
    if (offline := why_offline()) is not None:
        raise MllmError(f"{offline} {advice}")
    try:
        with quiet("huggingface_hub"):
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except LocalEntryNotFoundError as error:
        raise MllmError(f"The hub does not answer ({error.__cause__ or error}). {advice}") from error
    except (HfHubHTTPError, OSError) as error:
        raise MllmError(f"The hub refused ({first_line(error)}). {advice}") from error
    if not is_complete(folder):
        raise MllmError(f"{where} has no safetensors weights, the only kind mmrank loads. {advice}")
    return folder


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a configuration (or an adapter's) and all of its safetensors files."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        return (folder / "config.json").is_file() and all((folder / name).is_file() for name in names)
    has_weights = any(folder.glob("*.safetensors"))
    return has_weights and ((folder / "config.json").is_file() or (folder / _ADAPTER).is_file())


def adapter_base(folder: Path) -> str | None:
    """The spec of the model a LoRA folder was trained on, when the folder holds an adapter and no model of its own.

    Raises `MllmError` when the adapter does not say which.
    """
    if (folder / "config.json").is_file() or not (folder / _ADAPTER).is_file():
        return None
    try:
        return str(json.loads((folder / _ADAPTER).read_text("utf-8"))["base_model_name_or_path"])
    except (ValueError, KeyError, TypeError) as error:
        raise MllmError(
            f"{folder / _ADAPTER} does not name the model that the adapter was trained on ({first_line(error)}). Name "
            "that model and pass the folder as adapter=."
        ) from error


def load_checkpoint(
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    adapters: Sequence[Path] = (),
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
    processor_folder: Path | None = None,
) -> Checkpoint:
    """Load the model and processor of a folder; LoRA adapters are merged into the weights.

    Raises `MllmError` for a folder without a chat model, without safetensors weights, with weights that do not fit
    the configuration, or with an architecture this version of transformers does not know.
    """
    _check_folder(folder)
    with quiet_transformers():
        try:
            auto, sees = _auto_class(folder, trust_remote_code=trust_remote_code)
            model, info = auto.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **({"attn_implementation": attn_implementation} if attn_implementation else {}),
            )
            processor = _processor(processor_folder or folder, sees=sees, trust_remote_code=trust_remote_code)
        except MmrankError:
            raise
        # A folder from a stranger: transformers raises whatever its many loaders meet, and each has its own kind.
        except Exception as error:
            raise MllmError(f"transformers cannot load the model in {folder}: {first_line(error)}") from error
    if missing := sorted(info["missing_keys"]):
        raise MllmError(
            f"The weights in {folder} lack {len(missing)} of the model's tensors (such as {missing[0]}); transformers "
            "would fill them with random numbers. The folder is incomplete or of another architecture."
        )
    for adapter in adapters:
        model = _with_adapter(model, adapter)
    return Checkpoint(model=model.to(device).eval(), processor=processor, sees=sees)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise MllmError(f"There is no folder {folder} to load a model from.")
    if not (folder / "config.json").is_file():
        raise MllmError(
            f"The folder {folder} has no config.json. A model is a folder with config.json, *.safetensors and a "
            "tokenizer or processor, as `hf download ORG/NAME --local-dir FOLDER` or save_pretrained makes it."
        )
    if not any(folder.glob("*.safetensors")):
        raise MllmError(
            f"The folder {folder} has no *.safetensors; weights of other kinds (.bin, .pt) can run code when they are "
            "opened and are not loaded. Save the model again with save_pretrained."
        )


def _auto_class(folder: Path, *, trust_remote_code: bool) -> tuple[Any, bool]:
    """The Auto class that loads the folder, and whether the model sees pictures."""
    import transformers
    from transformers.models.auto import modeling_auto

    settings = json.loads((folder / "config.json").read_text("utf-8"))
    kind, own_code = settings.get("model_type"), settings.get("auto_map", {})
    if trust_remote_code and any(name in own_code for name in ("AutoModelForImageTextToText", "AutoModelForCausalLM")):
        sees = "AutoModelForImageTextToText" in own_code
    elif kind in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        sees = True
    elif kind in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        sees = False
    elif own_code:
        raise MllmError(
            f"The model in {folder} ({kind}) runs code of its own. Read it, and pass trust_remote_code=True if you "
            "trust it; or take a conversion to stock classes, where there is one (InternVL: the repositories in -HF)."
        )
    else:
        raise MllmError(
            f"The model in {folder} is a {kind!r}, which transformers {transformers.__version__} does not know as a "
            "chat model (image-text-to-text or causal language model)."
        )
    return (transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM), sees


def _processor(folder: Path, *, sees: bool, trust_remote_code: bool) -> Any:
    from transformers import AutoProcessor, AutoTokenizer

    auto = AutoProcessor if sees else AutoTokenizer
    return auto.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)


def _with_adapter(model: Any, folder: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingDependencyError("peft", "lora", "a LoRA adapter") from error
    if not (folder / _ADAPTER).is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise MllmError(
            f"The folder {folder} holds no LoRA adapter; it must have {_ADAPTER} and adapter_model.safetensors."
        )
    try:
        return PeftModel.from_pretrained(model, folder).merge_and_unload()
    except (ValueError, RuntimeError, KeyError) as error:
        raise MllmError(f"The adapter in {folder} does not fit the model: {first_line(error)}") from error
