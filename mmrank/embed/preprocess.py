"""What a CLIP image tower wants done to a picture, without torch, so that decode workers can do it.

Gives the very pixels open_clip's own validation transform has before its ToTensor
(`open_clip.transform.image_transform`, version 3.3: torchvision's PIL resize and centre crop).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

ResizeMode = Literal["shortest", "longest", "squash"]

_MAX_ASPECT = 8
"""A picture longer than this is cut to its centre before the shorter side is fitted. What goes lies far outside of the
centre crop, and a picture of 1 x 10,000 pixels would otherwise be blown up to 224 x 2,240,000."""

_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreprocess:
    """How a picture becomes the model's input.

    `size`: (height, width) in pixels. `resize_mode`: ``shortest`` fits the shorter side and crops the centre,
    ``longest`` fits the longer side and pads with `fill`, ``squash`` ignores the aspect ratio.
    `mean`, `std`: per channel, for pixels in 0..1; applied to whole batches by the embedder.

    >>> ImagePreprocess(size=(32, 32)).pixels(Image.new("RGB", (90, 40))).shape
    (32, 32, 3)
    """

    size: tuple[int, int]
    resize_mode: ResizeMode = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    @classmethod
    def from_open_clip(cls, config: Mapping[str, Any]) -> ImagePreprocess:
        """From the `preprocess_cfg` that open_clip attaches to a loaded model."""
        size = config["size"]
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        mean, std = config["mean"], config["std"]
        return cls(
            size=(int(height), int(width)),
            resize_mode=cast("ResizeMode", config.get("resize_mode") or "shortest"),
            # open_clip's "random" means bicubic outside of training.
            interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
            fill=int(config.get("fill_color") or 0),
            mean=_three(mean),
            std=_three(std),
        )

    @property
    def canonical(self) -> str:
        """One line that is equal exactly when two models see pictures alike; part of the fingerprint."""
        mean, std = (",".join(f"{value:.6g}" for value in values) for values in (self.mean, self.std))
        return (
            f"size={self.size[0]}x{self.size[1]} resize={self.resize_mode} interpolation={self.interpolation} "
            f"fill={self.fill} mean={mean} std={std}"
        )

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """The picture at the model's size: uint8, shape (height, width, 3). Thread-safe.

        Pictures that are not RGB are converted before the resize (open_clip converts after it, which
        makes Pillow resize palette pictures without interpolation).
        """
        image = image if image.mode == "RGB" else image.convert("RGB")
        resample = _RESAMPLING[self.interpolation]
        if self.resize_mode == "squash":
            return np.asarray(_resize(image, self.size, resample))
        if self.resize_mode == "longest":
            resized = _resize(image, _kept_ratio(image, self.size, longest=True), resample)
            return np.asarray(_crop_or_pad(resized, self.size, self.fill))
        height, width = self.size
        image = _without_far_ends(image)
        if height == width:
            resized = _resize(image, _shorter_side(image, height), resample)
        else:
            # open_clip does not hand its interpolation on here: always bicubic.
            resized = _resize(image, _kept_ratio(image, self.size, longest=False), Image.Resampling.BICUBIC)
        return np.asarray(_crop_or_pad(resized, self.size, fill=0))


def _three(values: Any) -> tuple[float, float, float]:
    if isinstance(values, int | float):
        return (float(values),) * 3
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _resize(image: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    height, width = size
    return image if image.size == (width, height) else image.resize((width, height), resample)


def _without_far_ends(image: Image.Image) -> Image.Image:
    width, height = image.size
    kept_width, kept_height = min(width, height * _MAX_ASPECT), min(height, width * _MAX_ASPECT)
    if (kept_width, kept_height) == image.size:
        return image
    left, top = (width - kept_width) // 2, (height - kept_height) // 2
    return image.crop((left, top, left + kept_width, top + kept_height))


def _shorter_side(image: Image.Image, side: int) -> tuple[int, int]:
    """(height, width) with the shorter one equal to `side`; the longer rounded down, as torchvision does."""
    width, height = image.size
    if width <= height:
        return int(side * height / width), side
    return side, int(side * width / height)


def _kept_ratio(image: Image.Image, size: tuple[int, int], *, longest: bool) -> tuple[int, int]:
    """open_clip's ResizeKeepRatio: the ratio of the side that must fit, rounded to the nearest pixel.

    A very thin picture would get a side of 0; one pixel is kept instead, where open_clip fails.
    """
    width, height = image.size
    ratios = (height / size[0], width / size[1])
    ratio = max(ratios) if longest else min(ratios)
    return max(1, round(height / ratio)), max(1, round(width / ratio))


def _crop_or_pad(image: Image.Image, size: tuple[int, int], fill: int) -> Image.Image:
    """The centre at `size`; where the picture is smaller it is padded first, the odd pixel at the right and bottom."""
    height, width = size
    missing_x, missing_y = max(0, width - image.width), max(0, height - image.height)
    if missing_x or missing_y:
        border = (missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2)
        image = ImageOps.expand(image, border, fill=(fill, fill, fill))
    # round() goes to the even neighbour at .5, as torchvision's does.
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
