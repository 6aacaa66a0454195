"""What each argument of a function is for, from its name and its place.

People name the same argument in many ways. A name decides where it can mean one thing only; where
it can mean several, all of them are tried, the likeliest first.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

#: What an argument is. "scores" are logits or probabilities, and "predictions" are likelier to be
#: probabilities: forms.py tries both.
Role = Literal[
    "scores", "predictions", "logits", "probabilities", "log-probabilities", "labels",
    "weights", "bias", "column bias", "features", "reg", "theta", "params",
    "classes", "inputs", "examples", "model", "temperature", "training",
    "mask", "left out", "output mask", "class weights", "axis", "no class", "lengths",
    "example weights",
]  # fmt: skip

#: The roles of what comes out of a classifier.
SCORES = ("scores", "predictions", "logits", "probabilities", "log-probabilities")

#: The roles of what a loss or a softmax is passed beside its scores and labels.
BESIDE = (
    "model", "temperature", "classes", "examples", "inputs", "training", "mask", "axis",
    "no class", "lengths", "example weights",
)  # fmt: skip

#: Names of a weight for each class, where logits and labels are passed as well.
CLASS_WEIGHTS = {"weight", "weights", "class_weight", "class_weights"}

#: The roles of which a layer has one: a matrix, a vector, a dict or an object with the weights.
WITH_WEIGHTS: set[Role] = {"weights", "theta", "params", "model"}

#: Names that mean one thing.
NAMES: dict[str, Role] = {
    **dict.fromkeys(
        ("z", "zs", "logits", "logit", "unnormalized", "energies", "net_out", "linear_output"),
        "logits",
    ),
    **dict.fromkeys(
        ("p", "prob", "probs", "proba", "probas", "probabilities", "y_prob", "y_proba", "p_hat",
         "phat", "softmax_output", "softmax_out", "al", "a2", "a3", "a_l"),
        "probabilities",
    ),
    **dict.fromkeys(
        ("y_hat", "yhat", "y_pred", "ypred", "pred", "preds", "prediction", "predictions",
         "predicted", "output", "outputs", "estimates", "o", "q"),
        "predictions",
    ),
    **dict.fromkeys(
        ("logp", "log_p", "lp", "log_prob", "log_probs", "logprobs", "log_probabilities",
         "log_preds", "log_softmax"),
        "log-probabilities",
    ),
    **dict.fromkeys(
        ("y", "t", "target", "targets", "tgt", "label", "labels", "y_true", "ytrue", "y_t",
         "y_real", "truth", "true", "ground_truth", "gt", "gold", "correct", "correct_class",
         "correct_label", "true_class", "true_label", "actual", "expected", "desired", "answer",
         "y_label", "y_labels", "true_labels",
         "class_", "cls", "target_index", "target_idx", "y_batch", "yb", "ys", "onehot", "one_hot",
         "y_onehot", "y_one_hot", "y_enc", "y_oh", "y_hot", "labels_onehot", "target_onehot",
         "targets_one_hot", "reference_answers", "indicator", "action", "actions", "input_ids",
         "token_ids", "tokens", "y_i", "yi", "y_n", "t_n", "y_a", "y_b"),
        "labels",
    ),
    **dict.fromkeys(
        ("w", "weights", "weight", "coef", "coeffs", "w1", "weight_matrix", "wts", "beta", "omega",
         "wte", "w_out", "wout", "lm_head"),
        "weights",
    ),
    **dict.fromkeys(("theta", "thetas"), "theta"),
    **dict.fromkeys(("params", "parameters"), "params"),
    **dict.fromkeys(("b", "bias", "biases", "b0", "b1", "bias_", "intercept", "w0"), "bias"),
    **dict.fromkeys(
        ("reg", "lam", "lambda_", "_lambda", "lmbda", "lbda", "lambd", "lamda", "l2", "l2_reg",
         "reg_lambda", "reg_strength", "reg_param", "regularization", "regularisation",
         "regularization_strength", "alpha", "weight_decay", "wd", "decay", "lambda_factor",
         "penalty", "l2_lambda", "reglambda", "λ", "rs"),
        "reg",
    ),
    **dict.fromkeys(
        ("num_classes", "n_classes", "nclasses", "numclasses", "n_class", "num_labels", "n_labels",
         "k", "output_size", "vocab_size", "out_dim", "n_out", "classes", "num_class",
         "n_col", "n_cols", "nb_classes", "n_outputs"),
        "classes",
    ),
    **dict.fromkeys(("d", "n_features", "input_size", "input_dim", "inputsize", "n_in"), "inputs"),
    **dict.fromkeys(("m", "n", "batch_size", "num_examples", "num_train", "n_samples", "bs"),
                    "examples"),
    **dict.fromkeys(("model", "net", "network"), "model"),
    **dict.fromkeys(("axis", "dim"), "axis"),
    **dict.fromkeys(("temp", "temperature", "temp_parameter", "tau"), "temperature"),
    **dict.fromkeys(("mask", "masks", "loss_mask", "seq_mask", "valid_mask", "label_mask"), "mask"),
    **dict.fromkeys(
        ("pad", "pad_id", "pad_idx", "pad_index", "pad_token_id", "padding_idx", "pad_token",
         "ignore_id", "ignore_index", "ignore_label"),
        "no class",
    ),
    **dict.fromkeys(
        ("length", "lengths", "seq_len", "seq_lens", "valid_len", "valid_lens", "seq_lengths"),
        "lengths",
    ),
    **dict.fromkeys(
        ("advantage", "advantages", "adv", "returns", "rewards", "discounted_rewards",
         "sample_weight", "sample_weights"),
        "example weights",
    ),
    **dict.fromkeys(("training", "train", "is_train", "is_training", "train_flg"), "training"),
}  # fmt: skip

#: Names of the features where a function has weights; elsewhere they are scores.
FEATURES = {
    "x", "xs", "xb", "data", "features", "feats", "inputs", "input_data", "x_batch", "x_train",
    "images", "samples", "a_prev", "phi", "batch", "examples", "design", "state", "obs", "x_i",
    "xi", "x_n", "hidden", "h_prev", "activations", "states",
}  # fmt: skip

#: Names of labels that are often something else; they count where no other argument is labels.
PERHAPS_LABELS = {"idx", "index", "c", "category", "real", "d", "k", "i", "j", "n", "cl"}


#: Names of the size of a batch, which gets all examples: one loss, and one step of training.
BATCH_SIZES = {"bs", "batch", "batch_size", "batchsize", "mini_batch_size", "minibatch_size"}

#: Names that only the labels of several examples have.
LABELS_OF_MANY = {"Y", "ys", "yb", "y_batch", "Y_batch", "labels", "targets"}


#: The roles of arguments that are no labels, whatever else they are.
NO_LABELS = {"example weights", "lengths", "temperature"}


class Argument(NamedTuple):
    """One argument of a call: its role, and its name if it is passed by keyword."""

    role: Role
    keyword: str = ""


#: The arguments of a call, in order.
Arguments = tuple[Argument, ...]


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters of a function; None for one of an extension that does not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def required_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters without a default that are passed by their place."""
    return [
        p
        for p in parameters_of(function) or ()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]


#: What is added to a name for its type.
_OF_ARRAY = re.compile(r"_(tensor|array|arr|matrix|mat|vector|vec|np)$")


def role_of(name: str) -> Role | None:
    """The role that a name alone decides, or None.

    >>> role_of("y_true"), role_of("x")
    ('labels', None)
    """
    lower = name.lower()
    return NAMES.get(lower) or NAMES.get(_OF_ARRAY.sub("", lower))


#: What a softmax, its loss or the gradient is called.
TITLE = re.compile(
    r"softmax|cross_?entropy|(?<![a-z])(x_?ent|ce|nll)(?![a-z])|log_?loss|likelihood", re.I
)


#: Words with which it is called so and is another function.
OTHERS = re.compile(
    r"gumbel|sampled|hierarchical|adaptive|spherical|taylor|margin|contrastive"
    r"|cosine|arc_?face|adjusted|bootstrap|ohem|mining|soft_?(cross|target|label|ce(?![a-z]))"
    r"|macro|balanced|weighted_average|focal|smooth|poly|distill|temperature|z_loss|(?<![a-z])(info_?)?nce(?![a-z])",
    re.I,
)


#: Words of other losses, which are right where these are wrong.
OTHER_LOSSES = re.compile(
    r"(?<![a-z])(ctc|crf|mse|mae|dice|iou|jaccard|tversky|svm|rnnt|elbo|vae|gan|bpr)(?![a-z])"
    r"|listnet|ranknet|listmle|l1|huber|poisson|gaussian|perceptron|triplet|hinge|ranking|pairwise|squared?_?(error|loss|dist)|quantile",
    re.I,
)


#: What the names of a function and its parameters say of a call: nothing; that it gets logits and
#: labels; that it is the softmax, its loss or its gradient, called so; that it is a variant of the
#: loss; that it is another function.
Told = Literal["nothing", "arguments", "all", "something else", "another loss"]


def told_by_names(title: str, function: Callable[..., Any], order: Sequence[Role]) -> Told:
    """What the names say of a call with these roles. The parameters W, X, y and reg say all.

    >>> told_by_names("softmax_loss", lambda logits, y: 0, ("logits", "labels"))
    'all'
    >>> told_by_names("distance", lambda logits, y: 0, ("logits", "labels"))
    'arguments'
    >>> told_by_names("softmax_loss", lambda queries, keys: 0, ("logits", "labels"))
    'nothing'
    """
    passed = [p.name for p in parameters_of(function) or () if p.kind is not p.VAR_KEYWORD]
    if OTHER_LOSSES.search(title.rpartition(".")[2]) and "softmax" not in title.lower():
        return "another loss"
    if OTHERS.search(title):
        return "something else"
    if any(role == "labels" and role_of(name) in NO_LABELS
           for name, role in zip(passed, order, strict=False)):  # fmt: skip
        return "another loss"
    if not all(_fits(name, role) for name, role in zip(passed, order, strict=False)):
        return "nothing"
    if TITLE.search(title) or "reg" in order:
        return "all"
    return "arguments" if "labels" in order else "nothing"


def _fits(name: str, role: Role) -> bool:
    """Whether this name is one of the role; the logits and the features have many names."""
    of_name = role_of(name)
    if role in SCORES:
        return of_name in SCORES or name.lower() in FEATURES | {"s", "a", "scores", "y"}
    return of_name == role or (role == "features" and name.lower() in FEATURES)


def has_labels_of_many(function: Callable[..., Any]) -> bool:
    """Whether the labels have a name that they have for several examples only.

    >>> has_labels_of_many(lambda z, labels: 0), has_labels_of_many(lambda z, label: 0)
    (True, False)
    """
    return any(p.name in LABELS_OF_MANY for p in parameters_of(function) or ())


def arguments_of(function: Callable[..., Any]) -> Iterator[Arguments]:
    """The ways to pass logits, labels and what else a function takes, the likeliest first."""
    parameters = parameters_of(function)
    if parameters is None or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        fixed = [p for p in parameters or () if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(fixed) < 2:
            yield Argument("scores"), Argument("labels")
            yield Argument("labels"), Argument("scores")
            yield (Argument("scores"),)
            return
        parameters = fixed
    parameters = [p for p in parameters or () if p.kind is not p.VAR_KEYWORD]
    required = [p for p in parameters if p.default is p.empty]
    layer = _layer(parameters, required)
    if layer is not None:
        yield from layer
        return
    yield from _loss(parameters, required)


def _passed(parameters: Sequence[inspect.Parameter], roles: dict[str, Role]) -> Arguments:
    """The arguments for the parameters with a role; by keyword after one that is left out."""
    passed: list[Argument] = []
    left_out = False
    for parameter in parameters:
        if parameter.name not in roles:
            left_out = True
            continue
        by_name = left_out or parameter.kind is parameter.KEYWORD_ONLY
        passed.append(Argument(roles[parameter.name], parameter.name if by_name else ""))
    return tuple(passed)


def _loss(
    parameters: Sequence[inspect.Parameter], required: Sequence[inspect.Parameter]
) -> Iterator[Arguments]:
    """The ways to call a loss of logits or probabilities, or a softmax."""
    names = [p.name for p in required]
    optional = {p.name: role_of(p.name) for p in parameters if p.default is not p.empty}
    known: dict[str, Role] = {p.name: "examples" for p in parameters if _is_batch_size(p)}
    # A class that does not count where nothing is said: none of these labels is one.
    known |= {p.name: "no class" for p in parameters if _is_padding(p)}
    for name in names:
        role = role_of(name)
        if role in BESIDE and len(names) > 1:
            known[name] = role
    free = [name for name in names if name not in known]
    weights = [name for name in free if name.lower() in CLASS_WEIGHTS]
    if len(free) == 3 and not weights and {role_of(n) for n in free} & {*SCORES}:
        weights = [name for name in free if name in ("w", "cw", "wts")]
    if len(free) == 3 and len(weights) == 1:
        free.remove(weights[0])
        if all(role_of(name) != "weights" for name in free):
            yield from _loss_of_two(parameters, known | {weights[0]: "class weights"}, free)
        known[weights[0]] = "example weights"
    if len(free) == 1 and known.get(names[-1]) == "mask":  # a softmax with a mask
        softmax = known | {free[0]: _score_role(free[0])}
        yield _passed(parameters, softmax)
        yield _passed(parameters, softmax | {names[-1]: "left out"})
    if len(free) < 2 and len(names) >= 2:  # f(a, k): k is a label here, not a number of classes
        known = {
            n: r
            for n, r in known.items()
            if r in ("model", "training", "axis", "lengths") or n in optional
        }
        free = [name for name in names if name not in known]
    labels = [name for name, role in optional.items() if role == "labels"][:1]
    if len(free) == 1:
        scores = _score_role(free[0])
        if labels:
            roles: dict[str, Role] = {free[0]: scores, labels[0]: "labels"}
            yield _passed(parameters, known | roles)
        yield _passed(parameters, known | {free[0]: scores})
        perhaps = [n for n in optional if n not in labels][:1]
        if perhaps and not labels and not optional[perhaps[0]]:
            roles = {free[0]: scores, perhaps[0]: "labels"}
            yield _passed(parameters, known | roles)
        return
    if not free and len(optional) >= 1:
        first, *rest = optional
        if rest:
            yield _passed(parameters, {first: "scores", rest[0]: "labels"})
        yield _passed(parameters, {first: "scores"})
        return
    if len(free) == 3 and {"logits", "probabilities", "labels"} == {role_of(n) for n in free}:
        roles = {n: role_of(n) or "scores" for n in free}
        yield _passed(parameters, known | roles)
    if len(free) == 3:
        yield from (_passed(parameters, known | roles) for roles in _outputs_of_layer(free))
        # delta(z, a, y): the logits, their softmax, the labels.
        roles = dict(zip(free, ("logits", "probabilities", "labels"), strict=True))
        if not any(_is_other_role(name, role) for name, role in roles.items()):
            yield _passed(parameters, known | roles)
    if len(free) != 2:
        return
    yield from _loss_of_two(parameters, known, free)
    if "mask" in known.values():
        outputs: dict[str, Role] = {
            n: "output mask" if r == "mask" else r for n, r in known.items()
        }
        yield from _loss_of_two(parameters, outputs, free)


def _outputs_of_layer(names: Sequence[str]) -> Iterator[dict[str, Role]]:
    """The roles of the features, the outputs and the labels of a layer, where the names tell two of
    them at least."""
    labels = [name for name in names if role_of(name) == "labels"]
    outputs = [name for name in names if role_of(name) in SCORES]
    features = [name for name in names if name.lower() in FEATURES and name not in labels]
    left = [name for name in names if name not in (*labels, *outputs, *features)]
    if left == ["a"] or any(_OF_RESULTS.match(name.lower()) for name in left):
        return
    if len(labels) != 1 or len(left) > 1 or len(outputs) > 1 or len(features) > 1:
        return
    outputs, features = outputs or left, features or left
    yield {labels[0]: "labels", outputs[0]: _score_role(outputs[0]), features[0]: "features"}


#: Names of arrays for results.
_OF_RESULTS = re.compile(
    r"loss(es)?$|costs?$|d?grads?|gradient|d[a-z]$|dlogits|dscores|dinp|out|res(ult)?s?|buf"
)


def _is_other_role(name: str, role: Role) -> bool:
    """Whether a name alone says that an argument has another role than this one."""
    of_name = role_of(name)
    if of_name is None:
        return False
    if "labels" in (role, of_name):
        return role != of_name
    return of_name in ("logits", "probabilities", "log-probabilities") and of_name != role


def _loss_of_two(
    parameters: Sequence[inspect.Parameter], known: dict[str, Role], free: Sequence[str]
) -> Iterator[Arguments]:
    """The ways to call a loss of which two parameters are its scores and its labels."""
    first, second = free
    both: list[tuple[Role, Role]] = [
        (_score_role(first), "labels"),
        ("labels", _score_role(second)),
    ]
    if _label_likeness(first) > _label_likeness(second):
        both.reverse()
    roles_by_name = {role_of(name) for name in free}
    if "labels" in roles_by_name and roles_by_name & set(SCORES):
        both = both[:1]  # their names leave no doubt: swapped arguments are a mistake
    for pair in both:
        yield _passed(parameters, known | dict(zip(free, pair, strict=True)))


def _is_batch_size(parameter: inspect.Parameter) -> bool:
    """Whether it is the number of examples in a batch, and has a default."""
    return type(parameter.default) is int and parameter.name.lower() in BATCH_SIZES


def _is_padding(parameter: inspect.Parameter) -> bool:
    """Whether its default is a class that does not count, such as 0."""
    default = parameter.default
    return role_of(parameter.name) == "no class" and type(default) is int and default >= 0


def _score_role(name: str) -> Role:
    role = role_of(name)
    return role if role in SCORES else "scores"


def _label_likeness(name: str) -> float:
    lower = name.lower()
    if role_of(name) == "labels":
        return 2.0
    return 1.0 if lower in PERHAPS_LABELS else 0.0


def _may_be_reg(parameter: inspect.Parameter) -> bool:
    """Whether a parameter of a layer of which the name says nothing has a small number as default:
    the strength of a penalty has one."""
    default = parameter.default
    small = type(default) in (int, float) and 0 <= default < 1
    return small and role_of(parameter.name) is None and not _NO_REG.search(parameter.name)


_NO_REG = re.compile(
    r"eps|tol|lr|rate|step|mom|smooth|drop|delta|temp|axis|dim|eta|seed|debug", re.I
)


def _layer(
    parameters: Sequence[inspect.Parameter], required: Sequence[inspect.Parameter]
) -> list[Arguments] | None:
    """The ways to call a linear layer with its loss; None if the function is not one."""
    roles: dict[str, Role] = {}
    for p in parameters:
        role: Role | None = "features" if p.name.lower() in FEATURES else role_of(p.name)
        if _is_batch_size(p):
            roles[p.name] = "examples"
            continue
        if p.name == "n" or p.name.lower() in ("m", "bs"):
            role = "examples"
        if role is not None and (p.default is p.empty or role in ("reg", "bias", "labels")):
            roles[p.name] = role
    if "reg" not in roles.values():
        roles |= {p.name: "reg" for p in parameters if _may_be_reg(p)}
    if "theta" in roles.values() and "classes" not in roles.values():
        roles = {name: "weights" if role == "theta" else role for name, role in roles.items()}
    found = list(roles.values())
    has_weights = bool(WITH_WEIGHTS & set(found))
    unknown = [p.name for p in required if p.name not in roles]
    if has_weights and "labels" in found and "features" not in found and len(unknown) == 1:
        roles[unknown.pop()] = "features"
        found = list(roles.values())
    if has_weights and "features" in found and set(found) <= WITH_WEIGHTS | {"features", "bias"}:
        return None if unknown else [_passed(parameters, roles)]  # its probabilities
    if has_weights and {"features", "labels"} <= set(found) and len(set(found)) == len(found):
        if unknown:
            return None
        # A vector of all weights has a small letter.
        matrix: dict[str, Role] = {n: "weights" if r == "theta" else r for n, r in roles.items()}
        if matrix != roles:
            return [_passed(parameters, one) for one in (roles, matrix)]
        flat: dict[str, Role] = {
            name: "theta" if role in ("weights", "params") and name != "W" else role
            for name, role in roles.items()
        }
        return [_passed(parameters, one) for one in ([roles] if flat == roles else [roles, flat])]
    plain = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if has_weights or 3 <= len(required) <= 4 <= len(plain):
        # Nothing is known of their names: the order of many courses.
        order: tuple[Role, ...] = ("weights", "features", "labels", "reg")
        if len(required) >= 3 and not (set(found) & {"logits", "probabilities", "model", "mask"}):
            given = dict(zip([p.name for p in plain[:4]], order, strict=False))
            if {p.name for p in required} <= set(given):
                return [_passed(parameters, given)]
    return None
