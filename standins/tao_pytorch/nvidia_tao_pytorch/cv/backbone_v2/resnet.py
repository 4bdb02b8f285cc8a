# SPDX-License-Identifier: Apache-2.0

"""ResNets, from timm."""

from timm.models.resnet import BasicBlock, Bottleneck
from timm.models.resnet import ResNet as TimmResNet

from nvidia_tao_pytorch.cv.backbone_v2.backbone_base import BackboneBase
from nvidia_tao_pytorch.cv.backbone_v2.registry import BACKBONE_REGISTRY


class ResNet(TimmResNet, BackboneBase):
    """timm's ResNet as a backbone."""

    def __init__(self, *args, **kwargs):
        """Build timm's ResNet.

        Args:
            args: timm's.
            kwargs: timm's, BackboneBase's, and ``out_indices``: which stages make the feature pyramid.
        """
        own = {
            name: kwargs.pop(name)
            for name in ("activation_checkpoint", "freeze_at", "freeze_norm", "export")
            if name in kwargs
        }
        out_indices = kwargs.pop("out_indices", [0, 1, 2, 3])
        super().__init__(*args, **kwargs)
        BackboneBase.__init__(
            self, in_chans=kwargs.get("in_chans", 3), num_classes=kwargs.get("num_classes", 1000), **own
        )
        self.out_indices = out_indices

    def get_stage_dict(self):
        """Return the stem's convolution (0) and the four stages (1 to 4)."""
        return {0: self.conv1, 1: self.layer1, 2: self.layer2, 3: self.layer3, 4: self.layer4}

    def forward_pre_logits(self, x):
        """Return pooled features (B, D) for images (B, C, H, W)."""
        return self.forward_head(self.forward_features(x), pre_logits=True)

    def forward_feature_pyramid(self, x):
        """Return the stages' feature maps as {"p0": (B, C0, H/4, W/4), ...}."""
        x = self.maxpool(self.act1(self.bn1(self.conv1(x))))
        maps = {}
        for index, stage in enumerate((self.layer1, self.layer2, self.layer3, self.layer4)):
            x = stage(x)
            if index in self.out_indices:
                maps[f"p{index}"] = x
        return maps

    def forward(self, x):
        """Return class scores (B, num_classes) for images (B, C, H, W)."""
        return self.fc(self.forward_pre_logits(x))


@BACKBONE_REGISTRY.register()
def resnet_18(**kwargs):
    """Return a ResNet-18."""
    return ResNet(block=BasicBlock, layers=[2, 2, 2, 2], **kwargs)


@BACKBONE_REGISTRY.register()
def resnet_34(**kwargs):
    """Return a ResNet-34."""
    return ResNet(block=BasicBlock, layers=[3, 4, 6, 3], **kwargs)


@BACKBONE_REGISTRY.register()
def resnet_50(**kwargs):
    """Return a ResNet-50."""
    return ResNet(block=Bottleneck, layers=[3, 4, 6, 3], **kwargs)
