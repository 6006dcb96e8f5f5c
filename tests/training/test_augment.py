"""The published pairs of views."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from support.lazy import LazyModule

from fgtune.config.schema.augmentation import AugmentationConfig
from fgtune.config.schema.paths import kinds_of
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.training.augment import AUGMENTATIONS, Views
from fgtune.training.input_checks import view_shape

transforms = LazyModule("torchvision.transforms.v2")

SIZED = {"cifar": 16, "imagenet_strong_weak": 14}
IMAGE_KINDS = ["cifar", "imagenet_strong_weak", "crop_flip"]
PLAIN = {"mean": [0.0], "std": [1.0]}


def config(kind: str, **settings) -> AugmentationConfig:
    size = {"size": SIZED[kind]} if kind in SIZED else {}
    return TypeAdapter(AugmentationConfig).validate_json(json.dumps({"kind": kind} | size | settings))


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 6, height: int = 20, width: int = 20) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=stream(99))


def test_every_kind_has_a_config_and_every_config_a_pipeline():
    assert set(kinds_of(TrialConfig, "augmentation")) == set(AUGMENTATIONS)


@pytest.mark.parametrize("kind", list(AUGMENTATIONS))
def test_views_are_a_function_of_the_generator_and_leave_all_else_as_it_was(kind):
    views, batch = Views(config(kind)), images()
    before, state = batch.clone(), torch.get_rng_state()
    for view in (views.student, views.teacher):
        first, again, other = view(batch, stream(1)), view(batch, stream(1)), view(batch, stream(2))
        assert torch.equal(first, again)
        assert first.dtype == torch.float32
        drawn = kind != "none" and not (kind == "imagenet_strong_weak" and view == views.teacher)
        assert torch.equal(first, other) != drawn
    assert torch.equal(views.evaluation(batch), views.evaluation(batch))
    assert torch.equal(batch, before)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("kind", list(AUGMENTATIONS))
@pytest.mark.parametrize("shape", [(20, 20), (18, 25)])
def test_all_views_have_the_announced_shape(kind, shape):
    views, batch = Views(config(kind)), images(3, *shape)
    expected = (3, *view_shape(views.config, batch.shape[1:]))
    for found in (views.student(batch, stream()), views.teacher(batch, stream()), views.evaluation(batch)):
        assert found.shape == expected


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_equal_samples_of_a_batch_get_views_of_their_own(kind):
    batch = images(1).expand(12, -1, -1, -1)
    found = Views(config(kind)).student(batch, stream())
    assert len({tuple(view.flatten().tolist()) for view in found}) == 12


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_pixels_give_the_views_of_their_values_over_255(kind):
    pixels = torch.randint(0, 256, (4, 3, 20, 20), generator=stream(), dtype=torch.uint8)
    views = Views(config(kind))
    for seed in range(2):
        assert torch.equal(views.student(pixels, stream(seed)), views.student(pixels / 255, stream(seed)))
    assert torch.equal(views.evaluation(pixels), views.evaluation(pixels / 255))
    assert torch.equal(Views(config("none")).evaluation(pixels), pixels / 255)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_views_before_normalisation_stay_within_zero_and_one(kind):
    extreme = (images(64) > 0.5).float()
    views = Views(config(kind, **PLAIN))
    for found in (views.student(extreme, stream()), views.teacher(extreme, stream()), views.evaluation(extreme)):
        assert found.min() >= -1e-6
        assert found.max() <= 1 + 1e-6


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_normalisation_comes_last(kind):
    mean, std = (0.1, 0.2, 0.3), (0.5, 2.0, 1.0)
    raw, normal = Views(config(kind, **PLAIN)), Views(config(kind, mean=mean, std=std))
    expected = transforms.Normalize(mean, std)
    torch.testing.assert_close(normal.student(images(), stream()), expected(raw.student(images(), stream())))
    torch.testing.assert_close(normal.evaluation(images()), expected(raw.evaluation(images())))


def test_published_statistics_and_sizes_are_the_defaults():
    cifar, strong = (TypeAdapter(AugmentationConfig).validate_python({"kind": k}) for k in IMAGE_KINDS[:2])
    assert (cifar.size, cifar.mean, cifar.std) == (32, (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261))
    assert (strong.size, strong.mean, strong.std) == (224, (0.4717, 0.4499, 0.3837), (0.26, 0.2516, 0.2575))
    assert cifar.crop_scale == (0.08, 1.0)
    assert (strong.crop_scale, strong.jitter, strong.jitter_p) == ((0.2, 1.0), (0.4, 0.4, 0.4, 0.1), 0.8)
    assert (strong.gray_p, strong.blur_p, strong.blur_sigma, strong.flip_p) == (0.2, 0.5, (0.1, 2.0), 0.5)


@pytest.mark.parametrize("shape", [(20, 20), (18, 25), (40, 30)])
def test_weak_view_is_resize_and_centre_crop(shape):
    views, batch = Views(config("imagenet_strong_weak", size=14, **PLAIN)), images(3, *shape)
    expected = transforms.Compose([transforms.Resize(16, antialias=True), transforms.CenterCrop(14)])(batch)
    torch.testing.assert_close(views.teacher(batch, stream()), expected)
    assert torch.equal(views.evaluation(batch), views.teacher(batch, stream()))


def test_resize_of_224_is_256():
    batch = images(1, 300, 280)
    expected = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224)])(batch)
    torch.testing.assert_close(Views(config("imagenet_strong_weak", size=224, **PLAIN)).evaluation(batch), expected)


def test_cifar_evaluation_is_the_image_itself_at_its_own_size():
    views = Views(config("cifar", size=20, **PLAIN))
    assert torch.equal(views.evaluation(images()), images())
    resized = transforms.Resize([16, 16], antialias=True)(images())
    torch.testing.assert_close(Views(config("cifar", size=16, **PLAIN)).evaluation(images()), resized)


def test_crop_flip_is_a_window_of_the_padded_image_mirrored_or_not():
    views, batch = Views(config("crop_flip", padding=4)), images(40, 8, 8)
    found = views.student(batch, stream())
    padded = torch.nn.functional.pad(batch, (4, 4, 4, 4))
    windows = torch.stack([padded[:, :, i : i + 8, j : j + 8] for i in range(9) for j in range(9)], dim=1)
    straight = (windows == found[:, None]).all(dim=(2, 3, 4)).any(dim=1)
    mirrored = (windows.flip(-1) == found[:, None]).all(dim=(2, 3, 4)).any(dim=1)
    assert (straight ^ mirrored).all()
    assert straight.any()
    assert mirrored.any()


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_a_flip_probability_of_zero_never_mirrors(kind):
    ramp = torch.linspace(0, 1, 24).expand(32, 3, 24, 24)  # brighter to the right
    quiet = {"jitter_p": 0.0, "gray_p": 0.0, "blur_p": 0.0} if kind == "imagenet_strong_weak" else {}
    ascends = {}
    for p in (0.0, 1.0):
        found = Views(config(kind, flip_p=p, **quiet, **PLAIN)).student(ramp, stream())
        middle = found[..., 4:-4]
        ascends[p] = (middle.mean(dim=(1, 2))[:, -1] > middle.mean(dim=(1, 2))[:, 0]).all()
    assert ascends[0.0]
    assert not ascends[1.0]


@pytest.mark.parametrize("kind", ["cifar", "crop_flip", "noise"])
def test_the_teacher_sees_the_sample_itself_where_the_views_differ(kind):
    views = Views(config(kind, views="strong_weak"))
    assert torch.equal(views.teacher(images(), stream()), views.evaluation(images()))
    assert not torch.equal(views.student(images(), stream()), views.evaluation(images()))


def test_vectors_pass_unchanged_without_augmentation_and_in_evaluation():
    vectors = torch.rand(4, 7, generator=stream())
    none, noise = Views(config("none")), Views(config("noise", std=0.5))
    assert none.student(vectors, stream()) is vectors
    assert none.evaluation(vectors) is vectors
    assert noise.evaluation(vectors) is vectors
    many = noise.student(torch.zeros(4000, 7), stream())
    assert float(many.std()) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_image_pipelines_refuse_vectors(kind):
    with pytest.raises(ConfigError, match=rf"trial.augmentation.kind: needs images .* shape \(7,\), got '{kind}'"):
        Views(config(kind)).student(torch.zeros(4, 7), stream())


def test_channels_that_do_not_fit_are_refused():
    gray = torch.zeros(2, 1, 20, 20)
    with pytest.raises(
        ConfigError, match=r"trial.augmentation.mean: must have one value, or one per channel \(1\), got"
    ):
        Views(config("cifar")).evaluation(gray)
    with pytest.raises(ConfigError, match="changes colours, so it needs 3 channels, and the images have 1"):
        Views(config("imagenet_strong_weak", **PLAIN)).evaluation(gray)
    assert Views(config("cifar", **PLAIN)).student(gray, stream()).shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "cifar", "crop_scale": [0.5, 0.2]}, r"crop_scale must be \[least, greatest\], both in \(0, 1\]"),
        ({"kind": "cifar", "crop_scale": [0.5, 1.2]}, "crop_scale must be"),
        ({"kind": "crop_flip", "mean": [0.5]}, None),
        ({"kind": "crop_flip", "mean": [0.5, 0.5]}, "mean and std must have as many values as each other, they have 2"),
        ({"kind": "imagenet_strong_weak", "blur_sigma": [2.0, 1.0]}, "blur_sigma must be"),
        ({"kind": "imagenet_strong_weak", "jitter": [0.4, 0.4, 0.4, 0.6]}, "less than or equal to 0.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    adapter = TypeAdapter(AugmentationConfig)
    if message is None:
        assert adapter.validate_json(json.dumps(settings)).mean == (0.5,)
        return
    with pytest.raises(ValidationError, match=message):
        adapter.validate_json(json.dumps(settings))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", list(AUGMENTATIONS))
def test_views_are_made_on_the_gpu(kind):
    views, batch = Views(config(kind)), images().cuda()
    generator = torch.Generator("cuda")
    found = [views.student(batch, generator.manual_seed(0)) for _ in range(2)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        views.student(batch, generator)
        views.teacher(batch, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert found[0].device.type == "cuda"
    assert torch.equal(*found)
    torch.testing.assert_close(views.evaluation(batch).cpu(), views.evaluation(images()), atol=1e-4, rtol=1e-4)
