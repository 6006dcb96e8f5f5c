"""Batched image operations against torchvision's functional transforms, sample by sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.lazy import LazyModule

from fgtune.training import augment_ops as ops

transforms = LazyModule("torchvision.transforms.v2")
tv = LazyModule("torchvision.transforms.v2.functional")


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, height: int = 12, width: int = 12, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=stream(seed))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_resized_crop_is_torchvisions_antialiased_one(data):
    height, width = data.draw(st.tuples(st.integers(4, 40), st.integers(4, 40)))
    size = data.draw(st.integers(1, 24))
    crops = []
    for _ in range(3):
        h, w = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
        crops.append((data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w)), h, w))
    batch = images(3, height, width)
    found = ops.resize_crops(batch, torch.tensor(crops), size)
    for image, crop, mine in zip(batch, crops, found, strict=True):
        theirs = tv.resized_crop(image, *crop, [size, size], antialias=True)
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_drawn_crops_are_distributed_as_torchvisions():
    height, width, scale, count = 20, 32, (0.08, 1.0), 3000
    mine = ops.draw_crops(torch.empty(count, 3, height, width), scale, stream()).numpy()
    transform = transforms.RandomResizedCrop(8, scale=scale)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        drawn = [transform.make_params([torch.empty(3, height, width)]) for _ in range(count)]
    theirs = np.array([[each["top"], each["left"], each["height"], each["width"]] for each in drawn])
    assert (mine[:, :2] >= 0).all()
    assert (mine[:, 2:] > 0).all()
    assert (mine[:, :2] + mine[:, 2:] <= [height, width]).all()
    for column in range(4):
        assert stats.ks_2samp(mine[:, column], theirs[:, column]).pvalue > 1e-3
    for derive in (lambda c: c[:, 2] * c[:, 3], lambda c: c[:, 3] / c[:, 2], lambda c: c[:, 0] + c[:, 2] / 2):
        assert stats.ks_2samp(derive(mine), derive(theirs)).pvalue > 1e-3


@pytest.mark.parametrize(("height", "width"), [(4, 100), (100, 4)])
def test_a_crop_that_never_fits_is_the_largest_centred_one(height, width):
    found = ops.draw_crops(torch.empty(5, 3, height, width), (1.0, 1.0), stream())
    transform = transforms.RandomResizedCrop(8, scale=(1.0, 1.0))
    with torch.random.fork_rng(devices=[]):
        expected = transform.make_params([torch.empty(3, height, width)])
    assert found.tolist() == [[expected["top"], expected["left"], expected["height"], expected["width"]]] * 5


def test_a_shifted_image_is_a_window_of_the_padded_one_and_every_window_occurs():
    batch = images(400, 6, 5)
    shifted = ops.random_shift(batch, 2, stream())
    padded = torch.nn.functional.pad(batch, (2, 2, 2, 2))
    places = list(itertools.product(range(5), range(5)))
    windows = torch.stack([padded[:, :, top : top + 6, left : left + 5] for top, left in places], dim=1)
    matches = (windows == shifted[:, None]).all(dim=(2, 3, 4))
    assert (matches.sum(dim=1) == 1).all()
    counts = matches.sum(dim=0)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_no_padding_is_no_shift():
    assert torch.equal(ops.random_shift(images(4), 0, stream()), images(4))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_flips_occur_at_their_rate_and_are_mirror_images(p):
    batch = images(2000, 3, 4)
    flipped = ops.random_flip(batch, p, stream())
    same = (flipped == batch).all(dim=(1, 2, 3))
    mirrored = (flipped == batch.flip(-1)).all(dim=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert stats.binomtest(int(mirrored.sum()), 2000, p).pvalue > 1e-3


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_grey_occurs_at_its_rate_and_is_torchvisions(p):
    batch = images(1500, 3, 4)
    found = ops.random_gray(batch, p, stream())
    gray = tv.rgb_to_grayscale(batch, num_output_channels=3)
    same = (found == batch).all(dim=(1, 2, 3))
    close = (found - gray).abs().amax(dim=(1, 2, 3)) < 1e-6
    assert (same ^ close).all()
    assert stats.binomtest(int(close.sum()), 1500, p).pvalue > 1e-3


THEIRS = ("adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue")
MINE = (ops.adjust_brightness, ops.adjust_contrast, ops.adjust_saturation, ops.adjust_hue)


@pytest.mark.parametrize(
    ("mine", "theirs", "factors"),
    [(MINE[n], THEIRS[n], (0.0, 0.4, 1.0, 1.7)) for n in range(3)] + [(MINE[3], THEIRS[3], (-0.5, -0.1, 0.0, 0.3))],
)
def test_colour_changes_are_torchvisions(mine, theirs, factors):
    theirs = getattr(tv, theirs)
    batch = images(4, 5, 7)
    batch[:, :, 0] = 0.4  # grey pixels, whose hue is undefined
    batch[:, 1:, 1] = 0.0
    batch[:, :, 2] = 0.0
    batch[:, :, 3] = 1.0
    found = mine(batch, torch.tensor(factors))
    for image, factor, each in zip(batch, factors, found, strict=True):
        torch.testing.assert_close(each, theirs(image, factor), atol=2e-5, rtol=1e-4)


def test_jitter_applies_each_samples_changes_in_its_own_order():
    strength = (0.4, 0.4, 0.4, 0.1)
    batch = images(200, 4, 4)
    found = ops.random_jitter(batch, strength, 0.8, stream(5))
    draws = stream(5)
    chosen = torch.rand(200, generator=draws) < 0.8
    order = torch.rand((200, 4), generator=draws).argsort(dim=1)
    factors = [1 - s + 2 * s * torch.rand(200, generator=draws) for s in strength[:3]]
    factors.append(-0.1 + 0.2 * torch.rand(200, generator=draws))
    for n, image in enumerate(batch):
        for number in order[n] if chosen[n] else []:
            image = getattr(tv, THEIRS[number])(image, float(factors[number][n]))
        torch.testing.assert_close(found[n], image, atol=1e-4, rtol=1e-3)
    assert len({tuple(each) for each in order.tolist()}) == 24


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_images_are_adjusted_alike_whether_they_are_picked_or_not(name):
    adjust, factor = getattr(ops, f"adjust_{name}"), torch.rand(8, generator=stream(1))
    for chosen in (torch.arange(8) % 3 == 0, torch.zeros(8, dtype=torch.bool), torch.ones(8, dtype=torch.bool)):
        picked, whole = (ops.adjusted(images(8), chosen, adjust, factor, picks=picks) for picks in (True, False))
        torch.testing.assert_close(picked, whole)
        assert torch.equal(picked[~chosen], images(8)[~chosen])


def test_jitter_of_strength_zero_or_probability_zero_changes_nothing():
    assert torch.equal(ops.random_jitter(images(8), (0.4, 0.4, 0.4, 0.1), 0.0, stream()), images(8))
    torch.testing.assert_close(ops.random_jitter(images(8), (0.0, 0.0, 0.0, 0.0), 1.0, stream()), images(8))


@pytest.mark.parametrize("radius", [1, 3, 6])
def test_blur_is_torchvisions_with_a_width_a_sample(radius):
    batch, sigmas = images(3, 9, 11), (0.1, 0.8, 2.0)
    found = ops.blur(batch, torch.tensor(sigmas), radius)
    for image, sigma, each in zip(batch, sigmas, found, strict=True):
        side = 2 * radius + 1
        theirs = tv.gaussian_blur(image, [side, side], [sigma, sigma])
        torch.testing.assert_close(each, theirs, atol=1e-5, rtol=1e-4)


def test_blur_of_an_image_smaller_than_its_kernel_keeps_the_mean_of_a_constant():
    constant = torch.full((2, 3, 4, 4), 0.3)
    torch.testing.assert_close(ops.blur(constant, torch.tensor([0.5, 2.0]), 6), constant)
    assert torch.equal(ops.random_blur(images(5), (0.1, 2.0), 0.0, stream()), images(5))


def test_a_share_next_to_one_never_chooses_beyond_the_last():
    choices = torch.arange(1, 2**16)
    nearest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    assert torch.equal(ops._choice(nearest, choices), choices - 1)
    assert torch.equal(ops._choice(torch.tensor(0.0), choices), torch.zeros_like(choices))


def test_pixels_are_scaled_and_numbers_are_not():
    assert torch.equal(ops.as_float(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([0.0, 1.0]))
    numbers = torch.tensor([-3.0, 400.0])
    assert ops.as_float(numbers) is numbers
