"""Modules of PyTorch with options and tables."""

import torch
import torch.nn.functional as F
from torch import nn


class WeightedLoss(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits, y):
        w = self.weight[y]
        return -(w * logits.log_softmax(1)[torch.arange(len(y)), y]).sum() / w.sum()


class WeightedLossByClasses(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits, y):
        w = self.weight[y]
        return -(w * logits.log_softmax(1)[torch.arange(len(y)), y]).sum() / self.weight.sum()


class Bigrams(nn.Module):
    def __init__(self, vocab_size=9):
        super().__init__()
        self.table = nn.Embedding(vocab_size, vocab_size)

    def forward(self, idx, targets=None):
        logits = self.table(idx)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def next_word(logits, labels):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def next_word_backwards(logits, labels):
    return F.cross_entropy(logits[:, 1:].flatten(0, 1), labels[:, :-1].flatten())
