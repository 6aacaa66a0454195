"""What is asked of every shard."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..files.columns import columns_apart
from ..files.linear import LinearFile


class Part(NamedTuple):
    """A file of labels or of ids: all of its rows, or those that belong to one shard."""

    path: str
    first: int = 0  #: the first of its rows
    rows: int | None = None  #: how many; None: all


class Shard(NamedTuple):
    """The files of one shard."""

    logits: str
    labels: Part | None = None  #: None: in the file of the logits
    ids: Part | None = None

    @property
    def files(self) -> Iterator[str]:
        yield self.logits
        yield from (part.path for part in self[1:] if part is not None)

    def absolute(self) -> "Shard":
        """With paths that do not depend on the folder of the process."""
        labels, ids = (
            part and part._replace(path=os.path.abspath(part.path))
            for part in (self.labels, self.ids)
        )
        return Shard(os.path.abspath(self.logits), labels, ids)


@dataclass(frozen=True)
class Job:
    """What is asked of every shard.

    Attributes:
        top: how many of the examples with the highest loss to keep.
        ignore_index, first_class: as in `evaluate`.
        explained: whether a page or plots will be made, which need sums of gradients, too.
        from_probabilities: whether the files hold probabilities.
        classes: the names of the classes; None for those in the files, if they have any.
        logits_key, labels_key, ids_key: names of arrays or columns.
        linear: the last layer, where the files hold hidden states.
    """

    top: int = 10
    ignore_index: int = -100
    first_class: int = 0
    explained: bool = False
    from_probabilities: bool = False
    classes: tuple[str, ...] | None = None
    logits_key: str | None = None
    labels_key: str | None = None
    ids_key: str | None = None
    linear: LinearFile | None = None

    def apart(self, shard: Shard) -> list[str]:
        """The columns of its file of logits that are none."""
        labels, ids = (part and part.path for part in (shard.labels, shard.ids))
        return columns_apart(shard.logits, (labels, self.labels_key), (ids, self.ids_key))

    def absolute(self) -> "Job":
        """With paths that do not depend on the folder of the process."""
        if self.linear is None:
            return self
        path = os.path.abspath(self.linear.path)
        return replace(self, linear=self.linear._replace(path=path))


class Task(NamedTuple):
    """One shard to score."""

    number: int  #: of the shard among all
    shard: Shard
    size: int  #: its bytes
    key: str  #: by which `State` knows it
    folder: str | None  #: where to keep its result; None: nowhere
    with_rows: bool  #: whether to keep the scores of its rows, too

    def absolute(self) -> "Task":
        """With paths that do not depend on the folder of the process."""
        return self._replace(shard=self.shard.absolute())


class Failed(NamedTuple):
    """A shard that could not be scored."""

    reason: str  #: one line that names the file
