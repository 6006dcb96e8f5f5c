"""Data sets, their splits, and the views that keep fine labels away from training."""

from __future__ import annotations

DATASETS: dict[str, str] = {
    "digits": "fgtune.data.digits:load_digits",
    "patches": "fgtune.data.patches:make_patches",
    "diabetes": "fgtune.data.diabetes:load_diabetes",
    "hierarchy": "fgtune.data.hierarchy:make_hierarchy",
    "arrays": "fgtune.data.arrays:load_arrays",
    "image_folder": "fgtune.data.image_folder:load_image_folder",
    "cifar100": "fgtune.data.cifar:load_cifar100",
    "single_cell": "fgtune.data.single_cell:load_single_cell",
    "breeds": "fgtune.data.imagenet:load_breeds",
    "tiered_imagenet": "fgtune.data.imagenet:load_tiered_imagenet",
    "oxford_pets": "fgtune.data.listed_images:load_oxford_pets",
    "products": "fgtune.data.listed_images:load_products",
    "few_shot": "fgtune.data.few_shot:load_few_shot",
}
"""Kind of data config -> ``module:function`` that makes its ``Dataset``; ``fgtune.data.load`` imports it when asked."""
