"""Material for the bench scripts, made from seeds: photographs, small pictures, a model of random weights, vectors."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]

BASE_WIDTH, BASE_HEIGHT = 4608, 3456
BASES = 6
"""Textures that photographs are cut from: 16 megapixels each, so that cuts of 12 differ."""

SENSOR_NOISE = 2.0
"""Grey levels of noise a pixel keeps after a camera's own smoothing."""

CLUSTERS = 2_000
CLUSTER_NOISE = 1.0
"""Rows lie this far (as a multiple of the centre's length) from the centre of their cluster: neighbours are near,
but not obviously so, which is what makes an approximate search miss."""

QUERY_NOISE = 0.5


def photographs(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """`count` JPEGs of 1 to 12 megapixels (log-uniform), quality 85 to 90, made once and kept in `folder`.

    Content with a photograph's spectrum (amplitude falls with spatial frequency), hard edges and a little sensor
    noise, so that a file of 12 megapixels takes 3 to 5 MB and its decoding what a photograph's takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo-{number:04d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            _write_whole(path, _photograph(rng))
    return paths


def _write_whole(path: Path, content: bytes) -> None:
    """Under another name first, so that a stopped run leaves no half file behind."""
    partial = path.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(path)


def _photograph(rng: np.random.Generator) -> bytes:
    pixels = float(np.exp(rng.uniform(np.log(1e6), np.log(12e6))))
    ratio = float(rng.choice([4 / 3, 3 / 2, 3 / 4]))
    width, height = int((pixels * ratio) ** 0.5), int((pixels / ratio) ** 0.5)
    base = _base(int(rng.integers(BASES)))
    if height > width:
        base = base.transpose(1, 0, 2)
    top, left = (int(rng.integers(0, room + 1)) for room in (base.shape[0] - height, base.shape[1] - width))
    cut = base[top : top + height, left : left + width]
    image = Image.fromarray(np.ascontiguousarray(cut[:, :: rng.choice([-1, 1])]))
    tint = np.clip(np.arange(256)[None] * rng.uniform(0.7, 1.1, (3, 1)) + rng.uniform(-20, 20, (3, 1)), 0, 255)
    buffer = io.BytesIO()
    image.point([int(value) for value in tint.ravel()]).save(buffer, "JPEG", quality=int(rng.integers(85, 91)))
    return buffer.getvalue()


@lru_cache(maxsize=BASES)
def _base(number: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng((7, number))
    light, colour = _pink(rng), [_pink(rng, 2.0) for _ in range(2)]
    shapes = _edges(rng)
    luma = 128 + 48 * light + 40 * shapes
    planes = [luma + 26 * colour[0], luma, luma + 26 * colour[1]]
    noise = rng.normal(0, SENSOR_NOISE, (BASE_HEIGHT, BASE_WIDTH)).astype(np.float32)
    return np.stack([np.clip(plane + noise, 0, 255).astype(np.uint8) for plane in planes], axis=2)


def _pink(rng: np.random.Generator, steepness: float = 1.25) -> Floats:
    """Noise of unit variance whose amplitude falls as frequency to the power `-steepness`."""
    spectrum = np.fft.rfft2(rng.standard_normal((BASE_HEIGHT, BASE_WIDTH), dtype=np.float32))
    rows, columns = np.fft.fftfreq(BASE_HEIGHT)[:, None], np.fft.rfftfreq(BASE_WIDTH)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / BASE_WIDTH).astype(np.float32)
    field = np.fft.irfft2(spectrum / frequency**steepness, s=(BASE_HEIGHT, BASE_WIDTH)).astype(np.float32)
    return field / field.std()


def _edges(rng: np.random.Generator) -> Floats:
    """Patches with hard borders, -1 to 1: coarse noise cut into levels after it was enlarged."""
    coarse = Image.fromarray(rng.standard_normal((27, 36), dtype=np.float32))
    smooth = np.asarray(coarse.resize((BASE_WIDTH, BASE_HEIGHT), Image.Resampling.BICUBIC))
    return np.round(smooth * 1.5 / smooth.std()).astype(np.float32) / 3


def small_pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """A folder with `count` JPEGs of 64 to 128 pixels, no two alike, a thousand in each folder below it."""
    marker = folder / "complete"
    if marker.exists():
        return folder
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        side = rng.integers(64, 129, 2)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        path = folder / f"{number // 1000:03d}" / f"picture-{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.resize((int(side[0]), int(side[1])), Image.Resampling.BICUBIC).save(path, quality=85)
    marker.touch()
    return folder


def random_open_clip(folder: Path, name: str = "ViT-B-32", seed: int = 0) -> Path:
    """An open_clip model of random weights as a folder that `local-dir:` opens. Made once."""
    weights = folder / "open_clip_model.safetensors"
    if weights.exists():
        return folder
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = open_clip.create_model(name)
    preprocess = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
    return folder


def unit(rows: Floats) -> Floats:
    """Rows of unit length."""
    scaled: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def clustered(rows: int, dimension: int, queries: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Unit vectors (rows, dimension) in `CLUSTERS` overlapping clusters, and queries near some of the rows."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((CLUSTERS, dimension), dtype=np.float32))
    out = np.empty((rows, dimension), np.float32)
    for start in range(0, rows, 20_000):
        stop = min(start + 20_000, rows)
        noise = rng.standard_normal((stop - start, dimension), dtype=np.float32) * (CLUSTER_NOISE / dimension**0.5)
        out[start:stop] = unit(centres[rng.integers(0, CLUSTERS, stop - start)] + noise)
    return out, _near(out, queries, rng)


def plain_random(rows: int, dimension: int, queries: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Unit vectors without any structure, the hardest case of all for an approximate search, and queries near rows."""
    rng = np.random.default_rng(seed)
    out = unit(rng.standard_normal((rows, dimension), dtype=np.float32))
    return out, _near(out, queries, rng)


def _near(rows: Floats, queries: int, rng: np.random.Generator) -> Floats:
    dimension = rows.shape[1]
    noise = rng.standard_normal((queries, dimension), dtype=np.float32) * (QUERY_NOISE / dimension**0.5)
    return unit(rows[rng.choice(len(rows), queries, replace=False)] + noise)


def batches(rows: Floats, size: int) -> Iterator[tuple[int, Floats]]:
    """Pieces of at most `size` rows, each with the number of its first row."""
    for start in range(0, len(rows), size):
        yield start, rows[start : start + size]
