"""Calling a function in the ways in which people write the softmax loss."""
