# SPDX-License-Identifier: Apache-2.0

"""Vision Transformers, from timm."""

from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer

from nvidia_tao_pytorch.cv.backbone_v2.backbone_base import BackboneBase
from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY


class VisionTransformer(TimmVisionTransformer, BackboneBase):
    """timm's Vision Transformer as a backbone."""

    def __init__(self, *args, **kwargs):
        """Build timm's Vision Transformer.

        Args:
            args: timm's.
            kwargs: timm's and BackboneBase's.
        """
        own = {
            name: kwargs.pop(name)
            for name in ("activation_checkpoint", "freeze_at", "freeze_norm", "export")
            if name in kwargs
        }
        super().__init__(*args, **kwargs)
        BackboneBase.__init__(
            self, in_chans=kwargs.get("in_chans", 3), num_classes=kwargs.get("num_classes", 1000), **own
        )

    def get_stage_dict(self):
        """Return the patch embedding (0) and the blocks (1 and up)."""
        return {0: self.patch_embed, **dict(enumerate(self.blocks, start=1))}

    def forward_pre_logits(self, x):
        """Return the class token's features (B, D) for images (B, C, H, W)."""
        return self.forward_head(self.forward_features(x), pre_logits=True)

    def forward_feature_pyramid(self, x):
        """Return every block's feature map (B, D, h, w), a list."""
        return self.forward_intermediates(x, output_fmt="NCHW", intermediates_only=True)

    def forward(self, x):
        """Return class scores (B, num_classes) for images (B, C, H, W)."""
        return self.head(self.forward_pre_logits(x))


@BACKBONE_REGISTRY.register()
def vit_base_patch16(**kwargs):
    """Return a ViT-B/16 that takes images of any size that is a multiple of 16."""
    return VisionTransformer(
        dynamic_img_size=True,
        patch_size=16,
        embed_dim=768,
        depth=12,
        num_heads=12,
        mlp_ratio=4,
        qkv_bias=True,
        final_norm=True,
        **kwargs,
    )
