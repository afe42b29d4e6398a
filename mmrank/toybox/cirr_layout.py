"""A toy collection in CIRR's layout: captions, image splits and raw images, as the data set's own README has them."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import SUBSET_SIZE, Subset, sample_subset
from mmrank.toybox.grammar import Scene

IMAGE_SIDE = 128
FIRST_PAIR = 900_000

CirrSplit = Literal["val", "test1"]

IMAGE_FOLDERS: dict[CirrSplit, str] = {"val": "dev", "test1": "test1"}
"""CIRR calls the images of its val split `dev`."""


@dataclass(frozen=True, slots=True)
class NamedSubset:
    """A near-duplicate set with the image name of each member, in the order of `subset.members`."""

    id: int
    subset: Subset
    names: tuple[str, ...]

    def name(self, scene: Scene) -> str:
        """The image name of one of the members."""
        return self.names[[member.meaning for member in self.subset.members].index(scene.meaning)]


def write_cirr(root: Path, images: int, seed: int) -> Path:
    """Write `root/cirr/` with a val split of about `images` pictures (whole sets of six) and half as many for test1.

    Each set gives five queries. All targets of first edits are held-out scenes; no two images of a split mean the same.

    Returns:
        `root/cirr`.
    """
    base = root / "cirr"
    sets = max(1, round(images / SUBSET_SIZE))
    _write_split(base, "val", sets, seed)
    _write_split(base, "test1", max(1, sets // 2), seed)
    return base


def _write_split(base: Path, split: CirrSplit, sets: int, seed: int) -> None:
    rng = Random(f"cirr/{split}/{seed}")
    named = _named_subsets(split, sets, rng)
    folder = base / "img_raw" / IMAGE_FOLDERS[split]
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, str] = {}
    for group in named:
        for name, scene in zip(group.names, group.subset.members, strict=True):
            draw(scene, IMAGE_SIDE).save(folder / f"{name}.png")
            paths[name] = f"./{IMAGE_FOLDERS[split]}/{name}.png"
    rows = [row for group in named for row in _rows(group, split, rng)]
    rng.shuffle(rows)
    rows = [{"pairid": FIRST_PAIR + number} | row for number, row in enumerate(rows)]
    _write_json(base / "captions" / f"cap.rc2.{split}.json", rows)
    _write_json(base / "image_splits" / f"split.rc2.{split}.json", paths)


def _named_subsets(split: CirrSplit, sets: int, rng: Random) -> list[NamedSubset]:
    """Sets of which no two images mean the same, so that every edit has one answer in the gallery."""
    used: set[tuple[object, ...]] = set()
    named: list[NamedSubset] = []
    while len(named) < sets:
        subset = sample_subset(rng, "heldout")
        meanings = {scene.meaning for scene in subset.members}
        if meanings & used:
            continue
        used |= meanings
        number = len(named)
        names = tuple(f"{IMAGE_FOLDERS[split]}-{number}-{i // 2}-img{i % 2}" for i in range(SUBSET_SIZE))
        named.append(NamedSubset(number, subset, names))
    return named


def _rows(group: NamedSubset, split: CirrSplit, rng: Random) -> list[dict[str, Any]]:
    """One row for each edit of a set. As in CIRR, members are shuffled and ranks tell their order before that."""
    rows: list[dict[str, Any]] = []
    for edit in group.subset.edits:
        reference, target = group.name(edit.reference), group.name(edit.target)
        image_set: dict[str, Any] = {
            "id": group.id,
            "members": rng.sample(group.names, len(group.names)),
            "reference_rank": group.names.index(reference),
        }
        row: dict[str, Any] = {"reference": reference}
        if split == "val":
            row |= {"target_hard": target, "target_soft": {target: 1.0}}
            image_set["target_rank"] = group.names.index(target)
        rows.append(row | {"caption": edit.text, "img_set": image_set})
    return rows


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
