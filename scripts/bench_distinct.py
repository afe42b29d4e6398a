"""What near-identical pictures are told by: cosines of vectors and differences of thumbnails, on toybox scenes.

Each scene is drawn, then shown again in other clothes (re-encoded, resized, cropped) and with one thing changed in
every way it can be. The thresholds of `mmrank.duplicates` and `mmrank.media.alike` come from what this prints.

    python scripts/bench_distinct.py --scenes 300 --seed 77
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
from PIL import Image

from mmrank import load_embedder
from mmrank.duplicates import WITHOUT_LOOK, WORTH_A_LOOK
from mmrank.media.alike import ALIKE, cells_of, difference
from mmrank.media.image import thumbnail
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import edit, possible_changes
from mmrank.toybox.grammar import Scene, sample_scenes

QUALITY = 90


def encoded(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def clothes(image: Image.Image) -> Iterator[tuple[str, Image.Image]]:
    """The same picture, shown otherwise."""
    width, height = image.size
    half = (width // 2, height // 2)
    x, y = round(width * 0.02), round(height * 0.02)
    yield "JPEG quality 75", encoded(image, 75)
    yield "JPEG quality 40", encoded(image, 40)
    yield "half size", image.resize(half, Image.Resampling.LANCZOS)
    yield "double size", image.resize((width * 2, height * 2), Image.Resampling.BICUBIC)
    yield "half size, quality 60", encoded(image.resize(half), 60)
    yield "crop of 2 %, all around", image.crop((x // 2, y // 2, width - x + x // 2, height - y + y // 2))
    yield "crop of 2 %, one corner", image.crop((x, y, width, height))
    yield "crop of 2 %, half size, quality 60", encoded(image.crop((x, y, width, height)).resize(half), 60)


def changed(scene: Scene, side: int, rng: Random) -> Iterator[tuple[str, Image.Image]]:
    for change in possible_changes(scene):
        yield f"one change: {change}", encoded(draw(edit(scene, change, rng).target, side), QUALITY)


def row(name: str, cosines: Sequence[float], apart: Sequence[float], *, same: bool) -> str:
    """The nearest to the wrong side; differences of changed pictures count where the cosine is worth a look."""
    near, far = np.array(cosines), np.array(apart)
    folded = np.mean((near >= WORTH_A_LOOK) & (far <= ALIKE))
    blind = np.mean(near >= WITHOUT_LOOK)
    looked_at = far[near >= WORTH_A_LOOK]
    worst = (near.min(), far.max()) if same else (near.max(), looked_at.min(initial=np.inf))
    return f"| {name} | {len(near)} | {worst[0]:.4f} | {worst[1]:.1f} | {folded:.1%} | {blind:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--side", type=int, default=240, help="pixels of a side")
    parser.add_argument("--model", default="toybox")
    told = parser.parse_args()
    embedder, rng = load_embedder(told.model), Random(told.seed)
    found: dict[tuple[bool, str], tuple[list[float], list[float]]] = {}
    for scene in sample_scenes(told.scenes, seed=told.seed):
        base = encoded(draw(scene, told.side), QUALITY)
        shown = [(True, *one) for one in clothes(base)] + [(False, *one) for one in changed(scene, told.side, rng)]
        vectors = embedder.embed_images([base, *(image for _, _, image in shown)])
        cells = cells_of(thumbnail(base))
        for (same, name, image), vector in zip(shown, vectors[1:], strict=True):
            cosines, apart = found.setdefault((same, name), ([], []))
            cosines.append(float(vectors[0] @ vector))
            apart.append(difference(cells, cells_of(thumbnail(image))))
    print(f"{told.scenes} scenes of {told.side} pixels, {told.model}; thumbnails differ up to {ALIKE:g}: the same\n")
    print("| shown again | pictures | worst cosine | worst difference | folded | folded without thumbnails |")
    print("|---|---|---|---|---|---|")
    for (same, name), (cosines, apart) in sorted(found.items(), key=lambda pair: not pair[0][0]):
        print(row(name, cosines, apart, same=same))


if __name__ == "__main__":
    main()
