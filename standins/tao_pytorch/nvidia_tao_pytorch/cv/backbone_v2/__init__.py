# SPDX-License-Identifier: Apache-2.0

"""Backbones: every registered one is imported here by name, and listed."""
# ruff: noqa: I001  the registry comes first, because backbones import it from here

from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY

from nvidia_tao_pytorch.cv.backbone_v2.vit import (
    vit_base_patch16,
)
from nvidia_tao_pytorch.cv.backbone_v2.resnet import (
    resnet_18,
    resnet_34,
    resnet_50,
)

__all__ = [
    "BACKBONE_REGISTRY",
    "resnet_18",
    "resnet_34",
    "resnet_50",
    "vit_base_patch16",
]
