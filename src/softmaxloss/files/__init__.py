"""Logits and labels from files, and scores to files; `FORMATS` lists what is read and written.

Logits are read in blocks of rows, so a file may be larger than memory (.json alone is read whole).
Nothing is unpickled. A bad file raises `FileError` at once: one line that says what is wrong.
"""

from .errors import FileError
from .formats import FORMATS, WRITERS, listed
from .ids import read_ids
from .label_files import TargetFile, read_labels, read_target
from .linear import Linear, read_linear
from .logits_file import LogitsFile, open_logits
from .score_files import open_scores
from .unpacked import COMPRESSIONS

__all__ = [
    "COMPRESSIONS",
    "FORMATS",
    "WRITERS",
    "FileError",
    "Linear",
    "LogitsFile",
    "TargetFile",
    "listed",
    "open_logits",
    "open_scores",
    "read_ids",
    "read_labels",
    "read_linear",
    "read_target",
]
