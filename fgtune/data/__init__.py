"""Data sets, their splits, and the views that keep fine labels away from training."""

from __future__ import annotations

DATASETS: dict[str, str] = {
    "digits": "fgtune.data.sets.scikit_learn:load_digits",
    "patches": "fgtune.data.sets.synthetic:make_patches",
    "diabetes": "fgtune.data.sets.scikit_learn:load_diabetes",
    "hierarchy": "fgtune.data.sets.synthetic:make_hierarchy",
    "arrays": "fgtune.data.sets.arrays:load_arrays",
    "image_folder": "fgtune.data.sets.image_folder:load_image_folder",
    "cifar100": "fgtune.data.sets.cifar:load_cifar100",
    "single_cell": "fgtune.data.sets.single_cell:load_single_cell",
    "text": "fgtune.data.sets.texts:load_texts",
    "breeds": "fgtune.data.sets.imagenet:load_breeds",
    "tiered_imagenet": "fgtune.data.sets.imagenet:load_tiered_imagenet",
    "oxford_pets": "fgtune.data.sets.listed_images:load_oxford_pets",
    "products": "fgtune.data.sets.listed_images:load_products",
    "few_shot": "fgtune.data.sets.image_folder:load_few_shot",
}
"""Kind of data config -> ``module:function`` that makes its ``Dataset``; ``fgtune.data.load`` imports it when asked."""
