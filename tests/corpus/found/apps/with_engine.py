"""Losses in an engine of another folder, which the file adds to the path."""

import sys

sys.path.append("lib/")
import grain


def loss_of_tensors(Z, onehot):
    each = grain.log(grain.summed(grain.exp(Z), axis=1))
    return (grain.summed(each) - grain.summed(Z * onehot)) / Z.shape[0]


def loss_of_tensors_over_classes(Z, onehot):
    each = grain.log(grain.summed(grain.exp(Z), axis=1))
    return (grain.summed(each) - grain.summed(Z * onehot)) / Z.shape[1]
