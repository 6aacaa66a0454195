"""The loss of each sequence: a mean over all its steps, padding included."""

import torch
from torch import nn


class PaddedLoss(nn.CrossEntropyLoss):
    def forward(self, outputs, targets, lengths):
        self.reduction = "none"
        each = super().forward(outputs.transpose(1, 2), targets)
        steps = torch.arange(targets.shape[1], device=targets.device)
        return (each * (steps < lengths.unsqueeze(1))).mean(dim=1)


class PaddedLossOfAll(nn.CrossEntropyLoss):
    """The padding counts: the lengths are compared, and not used."""

    def forward(self, outputs, targets, lengths):
        self.reduction = "none"
        each = super().forward(outputs.transpose(1, 2), targets)
        assert lengths.max() <= targets.shape[1]
        return each.mean(dim=1)
