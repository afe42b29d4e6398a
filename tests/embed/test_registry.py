from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmrank.embed.registry import default_model, list_models, load_embedder, parse_spec, with_options
from mmrank.errors import EmbedderError, UsageError

if TYPE_CHECKING:
    from mmrank.embed.open_clip import OpenClipEmbedder


def test_the_default_is_a_real_checkpoint_with_its_size() -> None:
    default = default_model()
    assert (default.spec, default.download_mb) == ("open_clip:ViT-B-32/laion2b_s34b_b79k", 605)
    assert [row for row in list_models() if row.default] == [default]
    assert default.warning is None


def test_aliases_and_specs_are_unique() -> None:
    rows = list_models()
    names = [row.alias for row in rows] + [row.spec for row in rows if row.spec != row.alias]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "row", [row for row in list_models() if row.spec.startswith("open_clip:")], ids=lambda row: row.alias
)
def test_every_known_model_is_in_open_clips_list(row: object) -> None:
    import open_clip

    from mmrank.embed.registry import KnownModel

    assert isinstance(row, KnownModel)
    spec = parse_spec(row.alias)
    assert spec == parse_spec(row.spec)
    assert spec.known == row
    architecture, _, tag = spec.name.partition("/")
    assert open_clip.get_pretrained_cfg(architecture, tag)
    assert open_clip.get_model_config(architecture)["embed_dim"] == row.dimension


@pytest.mark.parametrize("alias", ["vit-b-32", "vit-l-14"])
def test_download_sizes_are_counted(alias: str) -> None:
    import open_clip
    import torch
    from open_clip.model import CLIP

    row = next(row for row in list_models() if row.alias == alias)
    config = open_clip.get_model_config(row.spec.removeprefix("open_clip:").partition("/")[0])
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in CLIP(**config).parameters())
    assert row.download_mb == pytest.approx(parameters * 4 / 1e6, rel=0.01)


def test_forms_of_a_spec(tmp_path: Path) -> None:
    tag = parse_spec("open_clip:ViT-B-32/openai@abc123")
    assert (tag.scheme, tag.name, tag.revision, tag.folder) == ("open_clip", "ViT-B-32/openai", "abc123", None)
    hub = parse_spec("open_clip:hf-hub:laion/CLIP-ViT-B-32")
    assert (hub.name, hub.revision) == ("hf-hub:laion/CLIP-ViT-B-32", None)
    folder = parse_spec("open_clip:/models/a@b:c")
    assert (folder.folder, folder.revision) == (Path("/models/a@b:c"), None)
    assert parse_spec("open_clip:~/m").folder == Path.home() / "m"


def test_a_relative_folder_gets_a_spec_that_works_from_anywhere(
    tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_clip.parent)
    assert parse_spec(f"./{tiny_clip.name}").text == f"open_clip:{tiny_clip}"
    assert parse_spec(f"open_clip:./{tiny_clip.name}").text == f"open_clip:{tiny_clip}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("vit-b-23", "Did you mean vit-b-32"),
        ("openclip:ViT-B-32/laion2b_s34b_b79k", "unknown scheme 'openclip'.*Did you mean open_clip:ViT-B-32/laion2b"),
        ("open_clip:", "names no model"),
        ("open_clip", "names no model"),
        ("", "Schemes: open_clip"),
    ],
)
def test_a_spec_that_cannot_be_meant(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_spec(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("open_clip:ViT-B-23/openai", "no architecture 'ViT-B-23'.*Did you mean.*open_clip:hf-hub:ViT-B-23/openai"),
        ("open_clip:ViT-B-32/laion2b_s34b_b97k", "no weights 'laion2b_s34b_b97k' for ViT-B-32; there is laion2b_s34b"),
        ("open_clip:ViT-B-32", "names no weights; write open_clip:ViT-B-32/PRETRAINED.*openai"),
    ],
)
def test_a_model_open_clip_does_not_have(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_embedder(spec, device="cpu")


def test_folders_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="There is no folder"):
        load_embedder(str(tmp_path / "none"))
    with pytest.raises(EmbedderError, match=r"known by its files.*open_clip_config.json \(open_clip\)"):
        load_embedder(str(tmp_path))
    with pytest.raises(EmbedderError, match=r"has no open_clip_config.json"):
        load_embedder(f"open_clip:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(EmbedderError, match="no weights"):
        load_embedder(str(tmp_path))
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(EmbedderError, match=f"cannot be loaded from {tmp_path}.*model_cfg"):
        load_embedder(str(tmp_path))


def test_truncated_weights_never_become_random_ones(write_tiny_clip: Callable[..., Path], tmp_path: Path) -> None:
    weights = write_tiny_clip(tmp_path / "cut") / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(EmbedderError, match="cannot be loaded from"):
        load_embedder(str(tmp_path / "cut"))


def test_a_checkpoint_file_beside_its_architecture(tiny_clip: Path, embedder: OpenClipEmbedder) -> None:
    with pytest.raises(EmbedderError, match="There is no checkpoint file"):
        load_embedder(f"open_clip:ViT-B-32/{tiny_clip}/none.pt")
    with pytest.raises(EmbedderError, match=r"cannot be loaded from.*safetensors"):  # the tiny weights do not fit
        load_embedder(f"open_clip:RN50/{tiny_clip}/open_clip_model.safetensors")


def test_device_precision_threads(tiny_clip: Path) -> None:
    with pytest.raises(UsageError, match=r"'warp'.*here there is: .*cpu"):
        load_embedder(str(tiny_clip), device="warp")
    with pytest.raises(UsageError, match="'cuda:99' is not on this machine"):
        load_embedder(str(tiny_clip), device="cuda:99")
    with pytest.raises(UsageError, match=r"'int3'.*float32"):
        load_embedder(str(tiny_clip), precision="int3")
    with pytest.raises(UsageError, match="threads is 0"):
        load_embedder(str(tiny_clip), threads=0)


def test_bundled_model_keeps_its_alias_and_warns() -> None:
    row = next(row for row in list_models() if row.assets is not None)
    try:
        embedder = load_embedder(row.alias, device="cpu")
    except EmbedderError as error:
        assert "not part of this installation" in str(error)  # noqa: PT017 - a checkout before the model is trained
        return
    assert embedder.spec == row.alias == "toybox"
    assert embedder.dimension == row.dimension
    assert embedder.warning is not None
    assert "toybox scenes only" in embedder.warning


def test_reading_specs_imports_no_torch() -> None:
    script = (
        "import sys; from mmrank.embed.registry import list_models, parse_spec; list_models(); parse_spec('vit-b-32')\n"
        "assert not {'torch', 'open_clip', 'transformers'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("kind", "scheme"), [("qwen3_vl", "qwen3_vl"), ("colqwen2", "late"), ("colpali", "late"), ("bert", "sbert")]
)
def test_a_folder_is_known_by_its_architecture(tmp_path: Path, kind: str, scheme: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    (tmp_path / "modules.json").write_text("[]")  # the hub's Qwen3-VL-Embedding has one too
    assert parse_spec(str(tmp_path)).scheme == scheme


def test_a_folder_with_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3')
    with pytest.raises(EmbedderError, match="not JSON"):
        parse_spec(str(tmp_path))


def test_options_are_part_of_a_spec() -> None:
    spec = parse_spec("qwen3-vl-2b?instruction=Is%20it%20red%3F&dimension=512")
    assert spec.known is not None
    assert spec.known.alias == "qwen3-vl-2b"
    assert dict(spec.options) == {"dimension": "512", "instruction": "Is it red?"}
    assert spec.text == "qwen3_vl:Qwen/Qwen3-VL-Embedding-2B?dimension=512&instruction=Is%20it%20red%3F"
    again = parse_spec(spec.text)
    assert (again.text, again.options, again.name) == (spec.text, spec.options, spec.name)
    with pytest.raises(UsageError, match="color: no option of qwen3_vl; it has dimension, instruction"):
        parse_spec("qwen3-vl-2b?color=red")
    with pytest.raises(UsageError, match="it has none"):
        parse_spec("vit-b-32?dimension=64")


def test_an_option_given_beside_the_spec_replaces_one_in_it() -> None:
    assert with_options("minilm?dimension=64", {"dimension": 32}) == "minilm?dimension=32"
    assert with_options("minilm", {}) == "minilm"
