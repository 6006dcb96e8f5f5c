"""Backbones, heads, the fine classifier made of both, and its EMA teacher. Only the submodules import torch."""

BACKBONES: dict[str, str] = {
    "mlp": "fgtune.models.backbones:Mlp",
    "linear": "fgtune.models.backbones:LinearBackbone",
    "identity": "fgtune.models.backbones:Identity",
    "small_cnn": "fgtune.models.backbones:SmallCnn",
    "resnet18": "fgtune.models.backbones:ResNet",
    "resnet50": "fgtune.models.backbones:ResNet",
    "timm": "fgtune.models.timm_backbone:TimmBackbone",
}
"""Backbone classes by ``kind``: ``cls(config, input_shape)``, a module that ``fgtune.models.base`` describes."""

HEADS: dict[str, str] = {
    "linear": "fgtune.models.classifier:LinearHead",
    "cosine": "fgtune.models.classifier:CosineHead",
    "projection": "fgtune.models.classifier:ProjectionHead",
}
"""Head classes by ``kind``: ``cls(config, feature_dim, num_fine)``, (B, feature_dim) -> (B, num_fine)."""
