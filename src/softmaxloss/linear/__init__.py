"""The loss of a linear layer's logits, z = W·x + b, which are never held all at once.

plan.py says which rows are computed together, blocks.py has the loop, numpy.py the layer in NumPy's
arrays. Other frameworks bring a layer of their own.
"""
