"""Finds the question that is meant by words, as learners write them.

A question is near if its title, or another way to ask it, has the same terms; rare ones count more.
Where no question is near, or two are equally near, there is no answer rather than a wrong one.
"""

import difflib
import math
from collections import Counter
from collections.abc import Iterable

from .question import Question
from .terms import KNOWN, terms

ENOUGH, LEAD = 0.5, 0.05  # of 1: the least nearness of an answer, and its lead over the next
PLAIN = 0.5  # the weight of a word that is not a term, relative to that of the rarest term
NEAREST = 4  # questions that are named where none is meant


class Index:
    """The questions by their terms."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self.asked = {
            q: [terms(words) for words in (q.title, q.id.replace("-", " "), *q.asked)]
            for q in questions
        }
        self.vocabulary = {q: set().union(*asked) for q, asked in self.asked.items()}
        count = Counter(term for known in self.vocabulary.values() for term in known)
        rare = math.log(1 + len(self.asked))
        self.plain = PLAIN * rare
        self.weights = {
            term: math.log(1 + len(self.asked) / n) if term in KNOWN else self.plain
            for term, n in count.items()
        }

    def search(self, words: str) -> tuple[Question | None, list[Question]]:
        """The question that is meant, or None; and the nearest."""
        wanted = {self._known(term) for term in terms(words)}
        near = sorted(
            ((self._nearness(q, wanted), q) for q in self.asked), key=lambda pair: -pair[0]
        )
        (best, found), (second, _) = near[:2]
        meant = found if best >= ENOUGH and best - second >= LEAD else None
        return meant, [q for nearness, q in near[:NEAREST] if nearness > 0]

    def _known(self, term: str) -> str:
        """The term, or the one that it is a misspelling of."""
        if term in self.weights or len(term) < 4:
            return term
        return next(iter(difflib.get_close_matches(term, self.weights, n=1, cutoff=0.84)), term)

    def _weigh(self, terms: Iterable[str]) -> float:
        return math.fsum(self.weights.get(term, self.plain) for term in terms)

    def _nearness(self, q: Question, wanted: set[str]) -> float:
        """How much of what is wanted is in the question, and in one way to ask it; from 0 to 1."""
        if not wanted:
            return 0.0
        covered = self._weigh(wanted & self.vocabulary[q]) / self._weigh(wanted)
        same = max(
            2 * self._weigh(wanted & asked) / (self._weigh(wanted) + self._weigh(asked))
            for asked in self.asked[q]
        )
        return (covered + same) / 2
