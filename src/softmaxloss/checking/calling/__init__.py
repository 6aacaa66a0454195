"""Calling a function in the ways in which people write the softmax loss.

What may be passed: roles.py (what each argument is for, from its name), passing.py (the ways to
pass them), protocols.py (objects and classes as one function), packed.py (a batch in one argument,
and the like), attributes.py, buffers.py, repacked.py and derived.py (rarer ways), forms.py (the
forms to try, the likeliest first), arguments.py (the numbers of an input in a form), frameworks.py
(arrays of PyTorch and JAX, lists, and nodes of people's own automatic differentiation) and
jax_calls.py. whole.py says of what has no form that it is more than a loss.

What comes back: results.py (which value is the loss, which the gradient) and places.py (in which
line an error was raised).

calls.py tries the forms, each on a few small inputs (trials.py), and calls the function on all
inputs in those that look right.
"""
