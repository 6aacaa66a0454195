"""Comparing the results of a function with what is right, and with what each mistake gives."""
