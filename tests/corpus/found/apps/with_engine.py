"""Losses in an engine of another folder, which the file adds to the path."""

import sys

sys.path.append("lib/")
import grain


def softmax_loss(Z, onehot):
    each = grain.log(grain.summed(grain.exp(Z), axis=1))
    return (grain.summed(each) - grain.summed(Z * onehot)) / Z.shape[0]


def softmax_loss_over_classes(Z, onehot):
    each = grain.log(grain.summed(grain.exp(Z), axis=1))
    return (grain.summed(each) - grain.summed(Z * onehot)) / Z.shape[1]
