"""Scoring the logits of many files, its shards: one after the other, or by Dask's workers.

paths.py    which files are meant by folders and patterns, and which labels belong to which logits
job.py      what is asked of every shard
split.py    one file of labels for all files of logits
scoring.py  scoring one of them, and a group
sums.py     what is known of scored shards: in memory, as bytes, merged
state.py    the folder of finished shards, from which an interrupted run goes on
groups.py   how many shards one task of Dask scores
workers.py  where shards are scored: here, by local processes, by a cluster of Dask
whole.py    the results of all shards together, and the files that are written
"""

from .job import Failed, Job, Part, Shard
from .paths import files_of, is_one_file, labels_apart
from .split import shards_of
from .state import State
from .whole import ShardError, Whole, score_shards
from .workers import INSTALL, cluster, has_dask, here, local_workers, processors

__all__ = [
    "INSTALL",
    "Failed",
    "Job",
    "Part",
    "Shard",
    "ShardError",
    "State",
    "Whole",
    "cluster",
    "files_of",
    "has_dask",
    "here",
    "is_one_file",
    "labels_apart",
    "local_workers",
    "processors",
    "score_shards",
    "shards_of",
]
