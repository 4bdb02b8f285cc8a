# SPDX-License-Identifier: Apache-2.0

"""Running an FP16 graph on a processor without FP16 arithmetic, with the rounding that one with it does."""

import copy

import numpy as np
import onnx

_AXIS = "first_axis"


def rounded(model):
    """Return the model with an Unsqueeze and a Squeeze after each node, which change nothing.

    ONNX Runtime computes FP16 graphs in FP32 on most processors, and casts around each node. It leaves out casts
    between two nodes, and with them the rounding, overflow too. Two operators that it has for FP16 keep them apart.

    Args:
        model (onnx.ModelProto): The graph; not changed.
    """
    result = copy.deepcopy(model)
    del result.graph.node[:]
    result.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), _AXIS))
    for node in model.graph.node:
        computed = result.graph.node.add()
        computed.CopyFrom(node)
        for index, name in enumerate(node.output):
            if not name:
                continue
            computed.output[index] = f"{name}/computed"
            for operator, source, target in (("Unsqueeze", "computed", "/wide"), ("Squeeze", "wide", "")):
                made = onnx.helper.make_node(operator, [f"{name}/{source}", _AXIS], [f"{name}{target}"])
                result.graph.node.append(made)
    return result
