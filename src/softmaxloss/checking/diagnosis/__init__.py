"""Comparing the results of a function with what is right, and with what each mistake gives.

verdict.py chooses among the attempts to call it. comparison.py compares one of them: mistakes.py
finds the mistakes that give the numbers of one part, findings.py what else those show, and
conventions.py which conventions go together. evidence.py says whether what is wrong is a softmax
loss at all, and reporting.py makes the report.

Compared separately: options.py (weights, label smoothing, invalid labels, …), regularisation.py
(the term of a layer), backward.py (the gradient of a softmax), masks.py (a mask of outputs) and
temperature.py. one_hot.py leaves out the inputs for which one-hot labels have too few columns.
"""
