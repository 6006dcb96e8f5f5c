"""Configs of image sets: how images are decoded and kept, and one config per published set or layout."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import BaseDataConfig, Count, Names, OpenFraction, PositiveFloat, Text
from fgtune.config.schema.data_tables import CoarseRule, check_columns_differ

Seed = Annotated[int, Field(ge=0)]


class ImageSetConfig(BaseDataConfig):
    """What all sets of image files share: the size they are decoded to, and where the pixels are kept."""

    path: Text
    """Folder of the set, relative to the working directory or absolute."""
    size: Annotated[int, Field(ge=4)]
    """Side in pixels of every image after resizing, as (3, size, size) uint8."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """Shorter side to ``size`` and centre crop; both sides to ``size``; or longer side to ``size`` on black."""
    cache: bool = True
    """Decode once into a memory-mapped file that all trials of a machine share; false keeps pixels in memory."""
    budget_gib: PositiveFloat = 20.0
    """A set whose pixels take more than this is decoded from its files every time instead of being kept."""
    bits: Annotated[int, Field(ge=9, le=16)] = 16
    """Significant bits of grey images of more than 8 bits, such as 12 for those of many cameras: 0 .. 2^bits - 1 become
    0 .. 255."""


class ImageFolderConfig(ImageSetConfig):
    """A user's own images: folders ``coarse/fine/image`` or ``coarse/image``, or a CSV of paths and labels.

    They are turned as their EXIF orientation says, and transparent ones are laid on white.
    """

    kind: Literal["image_folder"] = "image_folder"
    size: Annotated[int, Field(ge=4)] = 64
    """Side in pixels of every image after resizing."""
    table: Text | None = None
    """A CSV, relative to ``path``; None reads labels from the folders."""
    columns: Names = ()
    """Names of all columns of a table whose first line is a row already; empty where it has a header."""
    image: Text = "path"
    """Column of image paths, relative to ``path``."""
    coarse: Names = ()
    """The column of coarse labels, or one column per source."""
    fine: Text | None = None
    """Column of fine classes."""
    fine_values: tuple[Text, ...] = ()
    """Columns of continuous fine targets (an age, say)."""
    split_column: Text | None = None
    """Column of 'train', 'val', 'test', or 0, 1, 2."""
    derive_coarse: CoarseRule | None = None
    """Make the coarse labels from the continuous fine targets."""

    @model_validator(mode="after")
    def _labels_have_one_origin(self) -> ImageFolderConfig:
        named = [*self.coarse, *self.fine_values, *filter(None, (self.fine, self.split_column))]
        if self.table is None:
            if named or self.derive_coarse or self.columns:
                raise ValueError("columns of labels need a table; without one, folders coarse/fine give the labels")
            return self
        check_columns_differ([*named, self.image])
        if bool(self.coarse) == (self.derive_coarse is not None):
            raise ValueError("give coarse columns or derive_coarse, one of them")
        if self.derive_coarse is not None and not self.fine_values:
            raise ValueError("derive_coarse reads fine_values, so it needs them")
        return self


class Cifar100Config(BaseDataConfig):
    """CIFAR-100 from its python pickles, with FALCON's variants and taxonomies (appendices C and J, table 4).

    The official test part is the test split; of each fine class of the official train part, in file order, the last
    ``val_fraction`` is held out for validation.
    """

    kind: Literal["cifar100"] = "cifar100"
    path: Text
    """Folder that holds ``cifar-100-python``, or that folder itself."""
    download: bool = False
    """Let torchvision fetch the set into ``path`` where it is missing."""
    variant: Literal["full", "cifar68", "cifar_si"] = "full"
    """All 100 classes; 68 of them, in groups of 2 to 5; or all of them with a share of each class's images dropped."""
    shares: Literal["drawn", "published"] = "drawn"
    """For ``cifar_si``: keep a share of each class drawn by ``fractions_seed``, or the published one."""
    fractions: Text | None = None
    """For ``cifar_si``: a text file with 100 other shares, by fine id."""
    fractions_seed: Seed = 0
    """Seed of drawn shares, which have the range and the mean of the published ones (.3173 to .9881, .6468)."""
    taxonomy: Literal["official", "alternative", "nested", "both", "official_nested"] = "official"
    """The 20 official groups (T1); 20 other groups (T2); 10 pairs of official groups (T3); T1 and T2 as two sources; or
    T1 and T3 as two sources."""
    half: Literal["even", "odd"] | None = None
    """Train on every second image only: the share that one source labels where there are two."""
    val_fraction: OpenFraction = 0.1
    """Share of the official train part that is held out for validation."""

    @model_validator(mode="after")
    def _options_agree(self) -> Cifar100Config:
        is_published = self.shares == "published"
        for name, is_set in (("fractions", self.fractions is not None), ("shares: published", is_published)):
            if self.variant != "cifar_si" and is_set:
                raise ValueError(f"{name} belongs to variant cifar_si")
        if self.fractions is not None and is_published:
            raise ValueError("fractions gives the shares, so shares must not be published")
        if self.fractions_seed and is_published:
            raise ValueError("fractions_seed draws the shares, so shares must not be published")
        if self.taxonomy in ("both", "official_nested") and self.half is not None:
            raise ValueError(f"taxonomy {self.taxonomy} uses every image; half belongs to a single taxonomy")
        return self


class ImageNetSubsetConfig(ImageSetConfig):
    """What the subsets of ImageNet share; ``path`` holds ``train/WNID/*.JPEG`` and ``val/WNID/*.JPEG``.

    ImageNet's validation images are the test split; a share of its training images, drawn by ``split_seed`` and
    stratified on coarse classes, is held out for validation.
    """

    info: Text
    """Folder of the files that name the classes."""
    size: Annotated[int, Field(ge=4)] = 256
    """Side in pixels of every image after resizing."""
    val_fraction: OpenFraction = 0.1
    """Share of the training images that is held out for validation."""
    split_seed: Seed = 1000
    """Seed of the held-out share; FALCON's is 1000 too, with another generator."""


class BreedsConfig(ImageNetSubsetConfig):
    """The BREEDS tasks (Santurkar et al. 2021): ImageNet classes under superclasses at one depth of an edited WordNet.

    ``info`` holds ``dataset_class_info.json``, ``class_hierarchy.txt`` and ``node_names.txt`` of the BREEDS release.
    """

    kind: Literal["breeds"] = "breeds"
    task: Literal["living17", "nonliving26", "entity13", "entity30"] = "living17"
    """17 x 4, 26 x 4, 13 x 20 or 30 x 8 classes."""


class TieredImageNetConfig(ImageNetSubsetConfig):
    """All 608 classes of tieredImageNet in their 34 coarse classes, at ImageNet's resolution (FALCON, appendix C).

    ``info`` holds ``train.csv``, ``val.csv`` and ``test.csv`` with rows ``wnid,parent``.
    """

    kind: Literal["tiered_imagenet"] = "tiered_imagenet"


class OxfordPetsConfig(ImageSetConfig):
    """Oxford-IIIT Pet: species as the 2 coarse classes, breeds as the 37 fine ones, with the official test split."""

    kind: Literal["oxford_pets"] = "oxford_pets"
    size: Annotated[int, Field(ge=4)] = 256
    """Side in pixels of every image after resizing."""
    download: bool = False
    """Let torchvision fetch the set into ``path`` where it is missing."""
    val_fraction: OpenFraction = 0.1
    """Share of the official train part that is held out for validation, stratified on species."""
    split_seed: Seed = 0
    """Seed of the held-out share."""


class ProductsConfig(ImageSetConfig):
    """Stanford Online Products: 12 kinds of product as coarse classes, 22,634 products as fine ones.

    As Xu et al. use it (arXiv 2005.09681, section 4): training images are drawn at random from both official files.
    """

    kind: Literal["products"] = "products"
    size: Annotated[int, Field(ge=4)] = 256
    """Side in pixels of every image after resizing."""
    train_count: Count = 80_000
    """Images drawn for training and validation; the rest is the test split."""
    val_fraction: OpenFraction = 0.1
    """Share of the drawn images that is held out for validation."""
    data_seed: Seed = 0
    """Seed of the draw."""


class FewShotDataConfig(ImageSetConfig):
    """Classes divided among train, val and test, as few-shot benchmarks do (CIFAR-FS, CUB; FIERCE).

    Base classes are coarse and fine classes alike; validation and test classes are novel and have no coarse label.
    """

    kind: Literal["few_shot"] = "few_shot"
    layout: Literal["class_folders", "cifar100"] = "class_folders"
    """``path`` holds one folder per class (``images/CLASS`` in CUB), or CIFAR-100's python pickles."""
    classes: Text
    """``cifar_fs`` or ``cub``, whose lists come with fgtune; or a folder of ``train.txt``, ``val.txt`` and
    ``test.txt``: one class name per line; or of such ``.csv``, a row an image, with a column ``label``. Where labels
    are no folders of ``path``, the column ``filename`` tells the class, by its letters."""
    size: Annotated[int, Field(ge=4)] = 84
    """Side in pixels of every image after resizing; CIFAR images stay 32."""
