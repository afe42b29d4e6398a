"""From a parsed spec to a LocalMLLM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrank.devices import choose_device, choose_dtype
from mmrank.errors import MllmError, UsageError
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.mllm.local.checkpoint import adapter_base, fetch_folder, load_checkpoint

if TYPE_CHECKING:
    from mmrank.mllm.registry import MllmSpec

OPTIONS = (
    "adapter",
    "attn_implementation",
    "batch_tokens",
    "chat_template",
    "feature_cache",
    "feature_memory",
    "feature_precision",
    "prefix_memory",
    "template_options",
    "trust_remote_code",
)


def load(
    spec: MllmSpec,
    *,
    device: str | None = None,
    precision: str | None = None,
    adapter: str | Path | None = None,
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
    **options: Any,
) -> LocalMLLM:
    """Load the model of a spec that names a folder or a hub repository; see `mmrank.mllm.registry.load_mllm`."""
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise UsageError(f"{', '.join(unknown)}: no option of a local model; there is {', '.join(OPTIONS)}.")
    where = choose_device(device)
    folder = _folder(spec, trust_remote_code=trust_remote_code)
    adapters = [] if adapter is None else [_adapter_folder(adapter)]
    processor_folder = None
    if (base := adapter_base(folder)) is not None:  # the folder holds a LoRA adapter and not the model under it
        from mmrank.mllm.registry import parse_mllm_spec

        adapters.insert(0, folder)
        own = any((folder / name).is_file() for name in ("processor_config.json", "preprocessor_config.json"))
        processor_folder = folder if own else None
        folder = _folder(parse_mllm_spec(base), trust_remote_code=trust_remote_code)
    checkpoint = load_checkpoint(
        folder,
        device=where,
        dtype=choose_dtype(precision, where),
        adapters=adapters,
        trust_remote_code=trust_remote_code,
        attn_implementation=attn_implementation,
        processor_folder=processor_folder,
    )
    warning = spec.known.warning if spec.known is not None else None
    return LocalMLLM(checkpoint.model, checkpoint.processor, spec=spec.text, warning=warning, **options)


def _folder(spec: MllmSpec, *, trust_remote_code: bool) -> Path:
    if spec.folder is not None:
        return spec.folder
    if spec.repo is None:
        raise MllmError(f"{spec.text} names no folder and no repository of the hub.")
    size = f" (about {spec.known.download_mb / 1000:.1f} GB)" if spec.known is not None else ""
    return fetch_folder(spec.repo, revision=spec.revision, remote_code=trust_remote_code, size=size)


def _adapter_folder(adapter: str | Path) -> Path:
    from mmrank.mllm.registry import FOLDER_STARTS

    text = str(adapter)
    if isinstance(adapter, Path) or text.startswith(FOLDER_STARTS):
        return Path(adapter).expanduser().absolute()
    repo, _, revision = text.partition("@")
    return fetch_folder(repo, revision=revision or None)
