"""Configs of all data sets, by kind; the loaders themselves live in ``fgtune.data``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fgtune.config.schema.base import BaseDataConfig, SplitConfig
from fgtune.config.schema.data_images import (
    BreedsConfig,
    Cifar100Config,
    FewShotDataConfig,
    ImageFolderConfig,
    OxfordPetsConfig,
    ProductsConfig,
    TieredImageNetConfig,
)
from fgtune.config.schema.data_tables import (
    ArraysConfig,
    DiabetesConfig,
    DigitsConfig,
    HierarchyConfig,
    PatchesConfig,
    SingleCellConfig,
)
from fgtune.config.schema.data_text import TextConfig
from fgtune.config.schema.plugin import BY_KIND, PLUGIN, SHIPPED, PluginDataConfig

__all__ = [
    "ArraysConfig",
    "BaseDataConfig",
    "BreedsConfig",
    "Cifar100Config",
    "DataConfig",
    "DiabetesConfig",
    "DigitsConfig",
    "FewShotDataConfig",
    "HierarchyConfig",
    "ImageFolderConfig",
    "OxfordPetsConfig",
    "PatchesConfig",
    "PluginDataConfig",
    "ProductsConfig",
    "SingleCellConfig",
    "SplitConfig",
    "TextConfig",
    "TieredImageNetConfig",
]

_ShippedDataConfig = Annotated[
    DigitsConfig
    | PatchesConfig
    | DiabetesConfig
    | HierarchyConfig
    | ArraysConfig
    | ImageFolderConfig
    | Cifar100Config
    | SingleCellConfig
    | TextConfig
    | BreedsConfig
    | TieredImageNetConfig
    | OxfordPetsConfig
    | ProductsConfig
    | FewShotDataConfig,
    Field(discriminator="kind"),
]

DataConfig = Annotated[Annotated[_ShippedDataConfig, SHIPPED] | Annotated[PluginDataConfig, PLUGIN], BY_KIND]
