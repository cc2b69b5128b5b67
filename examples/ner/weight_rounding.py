"""Weights rounded to what eight bits can hold, so that an int8 form of the model is the same model.

    row of a linear layer, column of a lookup ─▶ 127 steps either way ─▶ weights

Each row or column keeps its own step, its largest weight divided by 127. What
`portside package` rounds afterwards is then round already, and what is left between int8 and
the checkpoint comes from the activations alone. The price is paid here, before the model is scored.
"""

from __future__ import annotations

import torch
from torch import nn

STEPS = 127
_SMALLEST = 1e-30
"""Of a step: weights that are all zero stay so."""


def round_weights(model: nn.Module) -> None:
    """Round every linear layer and lookup of a model, in place."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            _round(layer.weight, along=1)  # (outputs, inputs): a step for each output
        elif isinstance(layer, nn.Embedding):
            _round(layer.weight, along=0)  # (entries, features): a step for each feature


@torch.no_grad()
def _round(weight: torch.Tensor, *, along: int) -> None:
    step = (weight.abs().amax(along, keepdim=True) / STEPS).clamp_min(_SMALLEST)
    weight.copy_((weight / step).round() * step)
