# SPDX-License-Identifier: Apache-2.0

"""DeepStream's inference configuration as dataclasses; ``str(config)`` is the YAML that DeepStream reads."""

from abc import abstractmethod
from dataclasses import asdict, dataclass, field

import yaml

VALID_CHANNEL_ORDERS = ["channels_first", "channels_last"]
VALID_NETWORK_TYPES = [0, 1, 2, 3, 100]
_NOT_WRITTEN = ("data_format",)


def _for_deepstream(value):
    """Return `value` with dashes in keys, lists joined by semicolons and empty fields left out."""
    if isinstance(value, dict):
        return {
            "property" if key == "property_field" else key.replace("_", "-"): _for_deepstream(item)
            for key, item in value.items()
            if item is not None and key not in _NOT_WRITTEN
        }
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            return [_for_deepstream(item) for item in value]
        return ";".join(str(item) for item in value)
    return value


@dataclass
class BaseDSType:
    """A part of a DeepStream configuration."""

    def as_dict(self) -> dict:
        """Return the fields that are set as a dictionary."""
        return {key: value for key, value in asdict(self).items() if value is not None and key not in _NOT_WRITTEN}

    @abstractmethod
    def validate(self):
        """Check the fields.

        Raises:
            NotImplementedError: In the base class.
        """
        raise NotImplementedError("Base class doesn't implement this method.")

    def __str__(self) -> str:
        """Return the checked configuration as YAML."""
        self.validate()
        return yaml.safe_dump(_for_deepstream(asdict(self)))


@dataclass
class BaseNvDSPropertyConfig(BaseDSType):
    """The [property] section of Gst-nvinfer, documented in NVIDIA's DeepStream guide.

    Attributes:
        net_scale_factor: What pixels (after subtracting offsets) are multiplied with.
        offsets: What is subtracted from each channel, on the 0..255 scale.
        labelfile_path: File with the labels.
        onnx_file: The model.
        cluster_mode: How boxes are merged: 0 groupRectangles, 1 DBSCAN, 2 NMS, 3 both, 4 not at all.
        workspace_size: TensorRT's workspace.
        gie_unique_id: Number of this inference element.
        tlt_model_key: Encryption key of the model.
        network_type: 0 detector, 1 classifier, 2 segmentation, 3 instance segmentation, 100 other.
        maintain_aspect_ratio: 1 to keep the aspect ratio when scaling.
        output_tensor_meta: 1 to attach raw outputs.
        output_blob_names: Names of the outputs.
        num_detected_classes: Number of classes.
        network_mode: 0 FP32, 1 INT8, 2 FP16, 3 best.
        model_color_format: 0 RGB, 1 BGR, 2 grey.
        data_format: channels_first or channels_last; not written.
        infer_dims: Input shape without the batch.
    """

    net_scale_factor: float = 1
    offsets: list = field(default_factory=lambda: [123.675, 116.28, 103.53])
    labelfile_path: str = None
    onnx_file: str = None
    cluster_mode: int = 2
    workspace_size: int = 1048576
    gie_unique_id: int = 1
    tlt_model_key: str = None
    network_type: int = 100
    maintain_aspect_ratio: int = 1
    output_tensor_meta: int = 1
    output_blob_names: list = field(default_factory=lambda: ["pred_boxes", "pred_logits"])
    num_detected_classes: int = 19
    network_mode: int = 0
    model_color_format: int = 1
    data_format: str = "channels_first"
    infer_dims: list = field(default_factory=lambda: [3, 544, 960])

    def validate(self):
        """Check the fields.

        Raises:
            AssertionError: When network type, channels, colour format and offsets do not fit together.
            NotImplementedError: For an unknown data format.
        """
        assert self.network_type in VALID_NETWORK_TYPES, (
            f"network_type is {self.network_type}, must be one of {VALID_NETWORK_TYPES}"
        )
        if self.data_format not in VALID_CHANNEL_ORDERS:
            raise NotImplementedError(f"data_format is {self.data_format}, must be one of {VALID_CHANNEL_ORDERS}")
        channels = self.infer_dims[0 if self.data_format == "channels_first" else -1]
        if channels == 1:
            assert self.model_color_format == 2, "model_color_format must be 2 for one channel"
            return
        assert channels == 3, f"infer_dims has {channels} channels, must be 1 or 3"
        assert len(self.offsets) == 3, "offsets must have one value per channel"
        assert self.model_color_format in [0, 1], "model_color_format must be 0 or 1 for three channels"


@dataclass
class BaseNVDSClassAttributes(BaseDSType):
    """What applies to classes.

    Attributes:
        pre_cluster_threshold: Least score of a prediction.
    """

    pre_cluster_threshold: float = 0.5

    def validate(self):
        """Accept any threshold."""
