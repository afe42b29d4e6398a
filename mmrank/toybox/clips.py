"""Clips: an object crosses, enters or leaves the picture, alone or past another one, as real mp4 files."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, cast

import av
import numpy as np
from av.codec import Codec
from PIL import Image

from mmrank.toybox.captions import with_article
from mmrank.toybox.drawing import draw
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.grammar import GROUNDS, PlacedObject, Scene, Split, split_of
from mmrank.toybox.sprites import object_names

Motion = Literal["crosses", "enters", "leaves"]
Side = Literal["left", "right", "top", "bottom"]

OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}

OUTSIDE = 0.25
"""How far beyond the picture's edge a moving object starts or ends, as a share of the picture's side."""

RATES = (8, 10, 12)
"""Frames per second a clip may have."""

SECONDS = (2.0, 5.0)
"""Least and greatest length of a clip."""

CLIP_SIDE = 144
"""Side of a clip's frames in pixels."""

ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "26", "preset": "veryfast", "x264-params": "mbtree=0"},
    "mpeg4": {"qscale": "4", "flags": "+qscale"},
}
"""Video encoders in order of preference, with their settings: h264 where the libraries have it, MPEG-4 elsewhere.

Without its macroblock tree, since the assembly of that part of x264 reads memory that nobody wrote: the bytes of a
clip then depend on what lay there before (`MALLOC_PERTURB_` shows it)."""

FORMS: dict[tuple[Motion, bool], tuple[str, ...]] = {
    ("crosses", False): (
        "{a} moving from the {side} to the {opposite} on a {ground} background",
        "{a} crosses the {ground} picture from {side} to {opposite}",
        "on {ground} ground, {a} moves from {side} to {opposite}",
    ),
    ("crosses", True): (
        "{a} moving from the {side} to the {opposite} past {b} on a {ground} background",
        "{a} passes {b} from {side} to {opposite} on {ground} ground",
        "on {ground} ground, {a} moves from {side} to {opposite} and passes {b}",
    ),
    ("enters", False): (
        "{a} enters from the {side} on a {ground} background",
        "{a} comes in from the {side} and stays, everything behind is {ground}",
        "on {ground} ground, {a} comes in from the {side}",
    ),
    ("enters", True): (
        "{a} enters from the {side} and joins {b} on a {ground} background",
        "{a} comes in from the {side} to {b}, everything behind is {ground}",
        "on {ground} ground, {b} is joined by {a} from the {side}",
    ),
    ("leaves", False): (
        "{a} leaves to the {side} on a {ground} background",
        "{a} goes away to the {side}, everything behind is {ground}",
        "on {ground} ground, {a} leaves to the {side}",
    ),
    ("leaves", True): (
        "{a} leaves {b} and goes to the {side} on a {ground} background",
        "{a} goes away to the {side} and {b} stays, everything behind is {ground}",
        "on {ground} ground, {a} leaves to the {side} and {b} stays",
    ),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """What happens in a clip: who moves how, past whom, on which ground, for how long and at which frame rate.

    `side` is where the mover comes from (crosses, enters) or goes to (leaves).
    """

    ground: str
    mover: str
    other: str | None
    motion: Motion
    side: Side
    seconds: float
    rate: int
    shade: float = 0.0

    @property
    def frames(self) -> int:
        """How many frames the clip has."""
        return round(self.seconds * self.rate)

    @property
    def names(self) -> tuple[str, ...]:
        """The objects' names, the moving one first."""
        return (self.mover,) if self.other is None else (self.mover, self.other)

    @property
    def contents(self) -> tuple[str, frozenset[str]]:
        """Ground and objects, comparable with `Scene.contents`."""
        return self.ground, frozenset(self.names)


def sample_clip(rng: Random, split: Split = "train") -> Clip:
    """Draw one clip of a split; in three of four a second object stands by."""
    while True:
        names = rng.sample(object_names(), 2 if rng.random() < 0.75 else 1)
        ground = rng.choice(list(GROUNDS))
        if split_of(ground, tuple(names)) == split:
            break
    return Clip(
        ground=ground,
        mover=names[0],
        other=names[1] if len(names) == 2 else None,
        motion=rng.choice(("crosses", "enters", "leaves")),
        side=rng.choice(("left", "right", "top", "bottom")),
        seconds=round(rng.uniform(*SECONDS), 1),
        rate=rng.choice(RATES),
        shade=round(rng.uniform(-1, 1), 3),
    )


def clip_captions(clip: Clip) -> tuple[str, ...]:
    """Every caption of a clip."""
    slots = {
        "a": with_article(clip.mover),
        "b": with_article(clip.other) if clip.other else "",
        "side": clip.side,
        "opposite": OPPOSITE[clip.side],
        "ground": clip.ground,
    }
    return tuple(form.format(**slots) for form in FORMS[clip.motion, clip.other is not None])


def clip_scene(clip: Clip, moment: float) -> Scene:
    """What a clip shows at `moment` (0 at its start, 1 at its end)."""
    size = 0.4
    if clip.motion == "crosses":
        along = -OUTSIDE + moment * (1 + 2 * OUTSIDE)
    elif clip.motion == "enters":
        along = -OUTSIDE + min(1.0, moment / 0.6) * (0.3 + OUTSIDE)
    else:
        along = 0.3 - max(0.0, (moment - 0.4) / 0.6) * (0.3 + OUTSIDE)
    if clip.side in ("right", "bottom"):
        along = 1 - along
    # A crossing object runs along one half of the picture, so that it never hides the one that stands by.
    lane = 0.5 if clip.other is None or clip.motion != "crosses" else 0.7
    horizontal = clip.side in ("left", "right")
    moving = PlacedObject(clip.mover, along if horizontal else lane, lane if horizontal else along, size)
    objects = [moving]
    if clip.other is not None:
        stand = 0.26 if clip.motion == "crosses" else 0.5
        far = 0.5 if clip.motion == "crosses" else (0.74 if clip.side in ("left", "top") else 0.26)
        objects.insert(0, PlacedObject(clip.other, far if horizontal else stand, stand if horizontal else far, size))
    relation: Literal["alone", "left of"] = "alone" if clip.other is None else "left of"
    return Scene(clip.ground, tuple(objects), relation, clip.shade)


def clip_frame(clip: Clip, index: int, side: int = CLIP_SIDE) -> Image.Image:
    """Frame `index` of a clip (from 0), RGB, `side` x `side` pixels."""
    return draw(clip_scene(clip, index / max(1, clip.frames - 1)), side)


def write_clip(clip: Clip, path: Path, side: int = CLIP_SIDE) -> None:
    """Write a clip as an mp4 file. Equal clips give equal bytes on one machine.

    Raises:
        ToyboxError: the installed PyAV can encode neither h264 nor MPEG-4.
    """
    encoder = _encoder()
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = cast(av.VideoStream, container.add_stream(encoder, rate=clip.rate, options=ENCODERS[encoder]))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(clip.frames):
            pixels = np.asarray(clip_frame(clip, index, side))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def _encoder() -> str:
    """The first encoder of `ENCODERS` that this build of PyAV has."""
    for name in ENCODERS:
        try:
            Codec(name, "w")
        except ValueError:  # PyAV's UnknownCodecError is one
            continue
        return name
    raise ToyboxError(f"this PyAV encodes none of {', '.join(ENCODERS)}; install its wheel: pip install av")
