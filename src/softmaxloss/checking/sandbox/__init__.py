"""Checking the function of a file in a process of its own."""
