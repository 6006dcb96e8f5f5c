"""Random image operations on whole batches, with separate draws per sample from the caller's generator.

torchvision's random transforms draw one set of parameters per call, from the global state. The operations here draw
(B,) parameters from a generator on the images' device; for given parameters each sample equals the result of
torchvision's functional transform up to rounding. Images are (B, C, H, W) float32 in [0, 1] throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

ASPECT = (3 / 4, 4 / 3)
"""Range of width / height of a random resized crop."""
CROP_ATTEMPTS = 10
LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in a grey value (ITU-R BT.601)."""


@cache
@torch.inference_mode(mode=False)  # made once, for training and evaluation alike
def _numbers(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, device=device, dtype=dtype)


def numbers(values: tuple[float, ...], like: Tensor) -> Tensor:
    """(n,) fixed numbers on the device of ``like`` and of its type, sent there once."""
    return _numbers(values, like.device, like.dtype)


def as_float(inputs: Tensor) -> Tensor:
    """Inputs as floating point: uint8 pixels divided by 255, others unchanged."""
    return inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs


def uniform(count: int | tuple[int, ...], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """``count`` numbers in [low, high), float32 on the device of ``like``."""
    shape = (count,) if isinstance(count, int) else count
    return low + (high - low) * torch.rand(shape, generator=generator, device=like.device)


def _choice(share: Tensor, choices: Tensor | int) -> Tensor:
    """An integer in [0, choices) for each ``share`` in [0, 1); no float32 below 1 rounds up to ``choices``."""
    return (share * choices).long()


def _each(values: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1)."""
    return values[:, None, None, None]


def random_flip(images: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability ``p``."""
    chosen = uniform(len(images), 0, 1, images, generator) < p
    return torch.where(_each(chosen), images.flip(-1), images)


def random_shift(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """A window of the image's size at a uniform position in the image padded by ``padding`` zeros on each side."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    top, left = _choice(uniform((2, count), 0, 1, images, generator), 2 * padding + 1)
    rows = top[:, None] + torch.arange(height, device=images.device)
    columns = left[:, None] + torch.arange(width, device=images.device)
    batch = torch.arange(count, device=images.device)[:, None, None]
    windows = padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]]
    return windows.permute(0, 3, 1, 2).contiguous()


def draw_crops(images: Tensor, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Crops of torchvision's ``RandomResizedCrop``, one per image.

    The share of the area is uniform in ``scale`` and the logarithm of width / height uniform in ``ASPECT``; of ten
    draws the first that fits is used, or if none fits, the largest centred crop within ``ASPECT``.

    Returns:
        (B, 4) int64: top, left, height, width.
    """
    count, _, height, width = images.shape
    area = height * width * uniform((count, CROP_ATTEMPTS), *scale, images, generator)
    ratio = uniform((count, CROP_ATTEMPTS), math.log(ASPECT[0]), math.log(ASPECT[1]), images, generator).exp()
    position = uniform((2, count), 0, 1, images, generator)
    heights, widths = (area / ratio).sqrt().round().long(), (area * ratio).sqrt().round().long()
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.byte().argmax(dim=1, keepdim=True)
    crop_height, crop_width = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
    top = _choice(position[0], height - crop_height + 1)
    left = _choice(position[1], width - crop_width + 1)
    drawn = torch.stack([top, left, crop_height, crop_width], dim=1)
    most_height = min(height, round(width / ASPECT[0]))
    most_width = min(width, round(height * ASPECT[1]))
    central = ((height - most_height) // 2, (width - most_width) // 2, most_height, most_width)
    return torch.where(fits.any(dim=1, keepdim=True), drawn, numbers(central, drawn))


def resize_crops(images: Tensor, crops: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Each image's crop as (B, C, height, width): bilinear, antialiased, as two matrix products per sample.

    Args:
        images: (B, C, H, W).
        crops: (B, 4) top, left, height, width.
        size: Height and width of the result; one number for both.
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows = _resampling(crops[:, 0], crops[:, 2], height, images.shape[2])
    columns = _resampling(crops[:, 1], crops[:, 3], width, images.shape[3])
    return torch.einsum("bph,bchw->bcpw", rows, images) @ columns.mT[:, None]


def _resampling(start: Tensor, length: Tensor, size: int, full: int) -> Tensor:
    """(B, size, full) weights that resample [start, start + length) of ``full`` pixels to ``size``.

    The weights form a triangle around the centre of each new pixel, scaled to the larger of an old and a new pixel.
    """
    scale = (length / size)[:, None, None]
    center = (torch.arange(size, device=start.device)[:, None] + 0.5) * scale
    inside = torch.arange(full, device=start.device) - start[:, None, None]
    weights = (1 - (inside + 0.5 - center).abs() / scale.clamp_min(1)).clamp_min(0)
    weights = weights * ((inside >= 0) & (inside < length[:, None, None]))
    return weights / weights.sum(dim=2, keepdim=True)


def gray(images: Tensor) -> Tensor:
    """Grey values (B, 1, H, W) of red, green, blue (B, 3, H, W)."""
    return torch.einsum("c,bchw->bhw", numbers(LUMA, images), images)[:, None]


def random_gray(images: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Each image without colour with probability ``p``."""
    chosen = uniform(len(images), 0, 1, images, generator) < p
    return torch.where(_each(chosen), gray(images), images)


def _blend(images: Tensor, others: Tensor, share: Tensor) -> Tensor:
    return (_each(share) * images + _each(1 - share) * others).clamp(0, 1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Pixels times ``factor`` (B,), clipped at 1."""
    return (images * _each(factor)).clamp(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """A blend of the image, with weight ``factor`` (B,), and its mean grey value."""
    return _blend(images, gray(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """A blend of the image, with weight ``factor`` (B,), and its grey version."""
    return _blend(images, gray(images), factor)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Hue shifted by ``shift`` (B,), in full turns, in the hexagonal HSV model (Smith 1978)."""
    value, largest = images.max(dim=1, keepdim=True)
    chroma = value - images.amin(dim=1, keepdim=True)
    after, before = images.gather(1, (largest + 1) % 3), images.gather(1, (largest + 2) % 3)
    hue = 2 * largest + (after - before) / torch.where(chroma > 0, chroma, 1.0)  # in sixths of a turn, red = 0
    corner = numbers((5.0, 3.0, 1.0), images)[:, None, None]
    sector = (corner + hue + 6 * _each(shift)) % 6
    return value - chroma * torch.minimum(sector, 4 - sector).clamp(0, 1)


def random_jitter(
    images: Tensor, strength: tuple[float, float, float, float], p: float, generator: torch.Generator
) -> Tensor:
    """Brightness, contrast, saturation and hue changed in random order, with probability ``p`` per image.

    Args:
        images: (B, 3, H, W) in [0, 1].
        strength: The first three factors are uniform in [1 - s, 1 + s] (not below 0), the shift of the hue in [-s, s].
        p: Probability that an image is changed at all.
        generator: Source of all draws.
    """
    count = len(images)
    chosen = uniform(count, 0, 1, images, generator) < p
    order = torch.rand((count, 4), generator=generator, device=images.device).argsort(dim=1)
    order = torch.where(chosen[:, None], order, -1)
    factors = [uniform(count, max(0.0, 1 - s), 1 + s, images, generator) for s in strength[:3]]
    factors.append(uniform(count, -strength[3], strength[3], images, generator))
    images = images.clone()
    for step in order.T:
        for number, adjust in enumerate((adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)):
            images = adjusted(images, step == number, adjust, factors[number], picks=images.device.type == "cpu")
    return images


def adjusted(
    images: Tensor, chosen: Tensor, adjust: Callable[[Tensor, Tensor], Tensor], factor: Tensor, *, picks: bool
) -> Tensor:
    """Images (B, C, H, W), those that are ``chosen`` (B,) as ``adjust`` makes them with ``factor`` (B,).

    Either the chosen ones are picked and changed in place, which a CPU has the least work with, or all are adjusted: to
    know which ones were chosen the host would have to wait for a GPU.
    """
    if not picks:
        return torch.where(_each(chosen), adjust(images, factor), images)
    rows = chosen.nonzero()[:, 0]
    images[rows] = adjust(images[rows], factor[rows])
    return images


def random_blur(images: Tensor, sigma: tuple[float, float], p: float, generator: torch.Generator) -> Tensor:
    """A Gaussian blur with a standard deviation uniform in ``sigma`` (pixels), with probability ``p`` per image."""
    chosen = uniform(len(images), 0, 1, images, generator) < p
    drawn = uniform(len(images), *sigma, images, generator)
    radius = math.ceil(3 * sigma[1])
    return torch.where(_each(chosen), blur(images, drawn, radius), images)


def blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur with ``sigma`` (B,), a kernel cut off at ``radius`` pixels, and reflected borders."""
    count, channels, height, width = images.shape
    radius = min(radius, height - 1, width - 1)  # reflection has no more pixels than that
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    kernel = (-0.5 * (offsets / sigma[:, None]).square()).softmax(dim=1)  # exp, and a sum of 1
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None]  # (B * C, 1, 2 * radius + 1)
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    flat = padded.reshape(1, count * channels, *padded.shape[2:])
    flat = functional.conv2d(flat, kernel[..., None], groups=count * channels)
    flat = functional.conv2d(flat, kernel[:, :, None], groups=count * channels)
    return flat.reshape(count, channels, height, width)
