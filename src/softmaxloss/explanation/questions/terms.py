"""The terms of a question: its words, with those that mean the same here as one term."""

import re

# What is written in several words or in signs, as one term or several.
_PHRASES = [
    (r"(?:mean |sum of )?squared? errors?|\bmse\b|l2 loss", "squared"),
    (r"\([^()]*-[^()]*\) ?(?:²|\^ ?2)", "squared"),
    (r"\b(?:two|2) times\b", "twice"),
    (r"ignore[_ ]index|-100\b", "ignoreindex"),
    (r"\bmean(?=\W*(?:$|in\b|that\b))|meaning|\bi mean\b", " "),
    (r"\d+\.\d+|\b\d\d+\b(?! ?%)", " "),
    (r"(?:>|above|greater than) (?:0|zero)\b", "positive"),
    (r"(?:<|below) (?:0|zero)\b", "negative"),
    (r"[∂d][jl]/[∂d][ap]\w*|derivative by a\b", "derivative probability"),
    (r"[∂d][jl]/[∂d]w", "derivative weight"),
    (r"[∂d][jl]/[∂d]z\w*", "derivative output"),
    (r"[∂d]a\w*/[∂d]z\w*", "derivative softmax"),
    (r"second (?:order )?derivatives?|hessian|curvature|diag\(a\) - aa?t?\b.*", "hessian"),
    (r"(?:exp ?\(?-\w\)?|e ?\^ ?[({]?-\w[)}]?)", "expminus"),
    (r"(?:exp ?\(\w\)|e ?\^ ?[({]?\w[)}]?)", "exp"),
    (r"(?:minus|negative|sign)\b.*\bexponent|exponent.*\bminus", "expminus"),
    (r"log ?-?sum ?-?exp", "subtractmax"),
    (r"numerically stable|numerical stability", "subtractmax"),
    (r"- ?log ?\(? ?[apy]\w*\)?", "loss"),
    (r"\b1 ?- ?[ap]\b", "oneminus"),
    (r"a_?y - 1", "derivative true output"),
    (r"\b[ap](?:_\w+|\[\w+\]|\d)", "probability"),
    (r"\bz(?:_\w+|\[\w+\]|\d)?\b", "output"),
    (r"(?:sparse[ _])?categorical[ _]?cross[ _-]?entropy", "categorical"),
    (r"binary cross[ -]?entropy|\bbce\w*", "twoclass"),
    (r"cross[ -]?entropy ?loss\b|cross[ -]?entropy", "loss"),
    (r"(?:negative )?(?:log[ -])?likelihood|\bnll(?:[ _]?loss)?\b|\bmle\b", "likelihood"),
    (r"crossentropyloss", "loss"),
    (r"one[- ]hot", "onehot"),
    (r"multi[- ]?labels?", "several label"),
    (r"more than one|\btwo (?:correct )?(?=labels|true)", "several "),
    (r"two classes|2 classes|binary|two outputs|2 outputs|one or two", "twoclass"),
    (r"out of (?:range|bounds?)|out-of-range", "outofrange"),
    (r"device-side assert", "outofrange"),
    (r"label[_ -]smoothing|smoothed", "smoothing"),
    (r"class[_ ]weights?|weighted|weight (?:argument|them|the class\w*|parameter)", "classweight"),
    (r"from[_ ]logits", "fromlogits softmax"),
    (r"\bkl\b(?: divergence)?|kullback[- ]leibler", "kl"),
    (r"(?:-|minus) ?(?:inf\w*|∞)|infinite|\binf\b", "inf"),
    (r"not a number|nans", "nan"),
    (r"\b(?:go|goes|going|went|gone|come|comes) (?:back )?down\b", "fall"),
    (r"\b(?:go|goes|going|went|gone|come|comes) up\b", "rise"),
    (r"\badds? up\b", "sum"),
    (r"off[- ]by[- ]one|(?:zero|one|0|1)[- ](?:based|indexed)", "countfrom"),
    (r"(?:start|count|begin)\w* (?:at|from|with)", "countfrom"),
    (r"\bln ?c\b|random(?:ly)? guess\w*|uniform guess\w*|\bchance\b|baseline", "guess"),
    (r"true positive", ""),
]  # fmt: skip

# Terms, and the words (or the beginnings of words, with a *) that stand for them.
_MEANINGS = {
    "rise": "rais* ris* rose increas* up upward* higher grow*",
    "fall": "fall* fell lower* decreas* down downward* drop* reduc* shrink* smaller",
    "output": "output* neuron* unit* node* score* activation*",
    "logit output": "logit logit*",
    "probability": "probabilit* prob probs",
    "true": "true correct right actual proper",
    "other": "other* wrong incorrect* false rest",
    "derivative": "derivative* gradient* grad grads slope* differentiat* backprop*",
    "loss": "loss losses j",
    "cost": "cost*",
    "class": "class classes categor*",
    "label": "label* target* tag tags",
    "likelihood": "likelihood*",
    "several": "several multiple many both",
    "mean": "mean averag* reduction",
    "sum": "sum* total add added",
    "zero": "zero 0 vanish*",
    "one": "one 1",
    "exceed": "exceed* greater larger bigger above maxim* upper highest",
    "positive": "positiv*",
    "negative": "negativ*",
    "need": "need* necessar* must requir*",
    "know": "know* tell* decide*",
    "network": "network* net nets model*",
    "weight": "weight* parameter*",
    "updat": "updat* chang* move* modif*",
    "learn": "learn* train*",
    "step": "step* iteration*",
    "reach": "reach* exactly ever become*",
    "exp": "exp exponential* exponent* e",
    "log": "log logs logarithm* ln",
    "natural": "base natural",
    "nat": "nat nats unity units",
    "bit": "bit bits",
    "sigmoid": "sigmoid* logistic",
    "softmax": "softmax*",
    "predict": "predict* inference argmax",
    "order": "order rank* largest",
    "temperature": "temperature*",
    "sure": "overconfiden* confiden* sure calibrat*",
    "jacobian": "jacobian* matrix",
    "code": "code numpy implement* python",
    "hessian": "convex*",
    "good": "good bad expect* low interpret* acceptable",
    "entropy": "entrop*",
    "framework": "pytorch torch tensorflow keras sklearn scikit scipy framework* library",
    "categorical": "sparse categorical*",
    "onehot": "onehot encod* integer* int",
    "countfrom": "third fourth",
    "outofrange": "indexerror bound* cuda",
    "ignoreindex": "pad* token* mask*",
    "classweight": "imbalanc* unbalanc* rare",
    "accuracy": "accurac*",
    "twice": "twice double* before",
    "stuck": "stuck plateau* stay* below",
    "nan": "nan overflow* invalid underflow*",
    "subtractmax": "subtract* stable",
    "batch": "batch* minibatch*",
    "compare": "compare* differ* versus vs relat*",
    "ignore": "ignor* skip* throw* exclud* only",
    "smoothing": "smoothing",
    "squared": "squared mse",
    "perplexity": "perplexit*",
    "small": "small tiny little",
    "inf": "infinit*",
    "guess": "random* guess* initial*",
    "divide": "divid* division normali*",
    "max": "max",
    "converge": "converg* stop* finish* forever perfect*",
    "layer": "layer*",
    "bias": "bias",
    "bounded": "bounded unbounded limit* possible range",
    "exclude": "exclusive",
    "unit": "unit",
    "likely": "likely unlikely",
    "kl": "kl",
    "data": "data dataset",
}  # fmt: skip

# Words that say nothing of what is asked.
_EMPTY = """
a about after against all also always am an and any are as at be because been being but by c
can could did do does doing done during else even every example for from get gets getting
give given gives go goes got had has have he her here how however i if in instead into is it
its itself just like m make makes me might more most my n no not now of off on once or our
out over own per please point re really s same say says see set she should since so some
still such t take takes than that the their them then there these they thing things this
those though through to too under until us use used uses using value values very want was
way we well were what when where whether which while who why will with without work works
would y yes yet you your
"""


def terms(words: str) -> set[str]:
    """The terms of a question.

    >>> sorted(terms("How do I raise the logit?"))
    ['logit', 'output', 'rise']
    """
    text = words.lower().replace("−", "-").replace("’", "'")
    for phrase, term in _PHRASES:
        text = re.sub(phrase, f" {term} ", text)
    found: set[str] = set()
    for word in re.findall(r"[a-z0-9_]+", text):
        if word not in _SKIPPED:
            found.update(_WORDS.get(word) or _by_beginning(word))
    return found


def _by_beginning(word: str) -> list[str]:
    """The terms of the longest beginning of the word that stands for any; else the word."""
    for end in range(len(word), 2, -1):
        if (beginning := f"{word[:end]}*") in _WORDS:
            return _WORDS[beginning]
    return [word]


#: What is a term, and not just a word.
KNOWN = frozenset(
    part for term in [*_MEANINGS, *(term for _, term in _PHRASES)] for part in term.split()
)
_WORDS = {term: [term] for term in KNOWN}
_WORDS |= {word: term.split() for term, words in _MEANINGS.items() for word in words.split()}
_SKIPPED = frozenset(_EMPTY.split())
