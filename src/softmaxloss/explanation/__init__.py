"""Explain one example: why it has this loss, and which of its outputs is pushed where; or a set.

|                              | one example    | several labels    | a set                      |
|------------------------------|----------------|-------------------|----------------------------|
| what is added up             |                |                   | set_sums.py, ../totals/    |
| the numbers                  | one_data.py    | several_data.py   | set_data.py and its parts: |
|                              |                |                   | set_confusions.py,         |
|                              |                |                   | set_calibration.py,        |
|                              |                |                   | set_examples.py            |
| what text and page both say  | one_words.py   | several_sections.py | set_words.py,            |
|                              |                |                   | set_sections.py            |
| questions and answers        | questions/     |                   |                            |
| text, for a terminal         | one_text.py    |                   |                            |
| page, for a browser          | page/          |                   | set_page.py, its pictures  |
|                              |                |                   | set_charts.py, its examples |
|                              |                |                   | set_explained.py           |
| plots, by matplotlib         |                |                   | set_plots.py               |

`data.py` and `rendering/` are what the three share; it shows sections alike in a terminal and on a
page. `results.py` puts data and renderings together as the objects that users get; `api.py` has the
functions. Data imports no rendering, and a rendering computes no numbers of its own.
"""

from .api import explain, explain_set
from .data import State
from .one_data import Layer, Path
from .questions import QUESTIONS, Answer, Question
from .results import Explanation, SetExplanation, SeveralLabels
from .set_data import Pairs, Push
from .several_data import Policy

__all__ = [
    "QUESTIONS",
    "Answer",
    "Explanation",
    "Layer",
    "Pairs",
    "Path",
    "Policy",
    "Push",
    "Question",
    "SetExplanation",
    "SeveralLabels",
    "State",
    "explain",
    "explain_set",
]
