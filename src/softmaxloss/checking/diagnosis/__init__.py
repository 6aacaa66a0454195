"""Comparing the results of a function with what is right, and with what each mistake gives.

verdict.py makes the report from the attempts to call it. mistakes.py finds the mistakes that give
the numbers of one part, findings.py what else those show. Compared separately: options.py (weights,
label smoothing, invalid labels, …), regularisation.py (the term of a layer) and backward.py (the
gradient of a softmax). one_hot.py leaves out the inputs for which one-hot labels have too few
columns.
"""
