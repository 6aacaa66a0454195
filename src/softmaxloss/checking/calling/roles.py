"""What each argument of a function is for, from its name, and what the names say of the function.

People name the same argument in many ways. Here is what a name means that can mean one thing only;
passing.py has the ways to pass arguments whose names can mean several.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

#: What an argument is. "scores" are logits or probabilities, and "predictions" are likelier to be
#: probabilities: forms.py tries both.
Role = Literal[
    "scores", "predictions", "logits", "probabilities", "log-probabilities", "labels",
    "weights", "bias", "column bias", "features", "reg", "theta", "params",
    "classes", "inputs", "examples", "model", "temperature", "training",
    "mask", "left out", "output mask", "class weights", "axis", "no class", "lengths",
    "example weights", "keep", "array module",
]  # fmt: skip

#: The roles of what comes out of a classifier.
SCORES = ("scores", "predictions", "logits", "probabilities", "log-probabilities")

#: The roles of what a loss or a softmax is passed beside its scores and labels.
BESIDE = (
    "model", "temperature", "classes", "examples", "inputs", "training", "mask", "axis",
    "no class", "lengths", "example weights", "keep",
    "array module",
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
         "n_col", "n_cols", "nb_classes", "n_outputs", "size"),
        "classes",
    ),
    **dict.fromkeys(("d", "n_features", "input_size", "input_dim", "inputsize", "n_in"), "inputs"),
    **dict.fromkeys(("m", "n", "batch_size", "num_examples", "num_train", "n_samples", "bs"),
                    "examples"),
    **dict.fromkeys(("model", "net", "network"), "model"),
    **dict.fromkeys(("axis", "dim"), "axis"),
    **dict.fromkeys(("keepdims", "keepdim"), "keep"),
    **dict.fromkeys(("xp", "np", "jnp", "array_module"), "array module"),
    **dict.fromkeys(("temp", "temperature", "temp_parameter", "tau", "temperatures"),
                    "temperature"),
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
    # The constructor of a class is looked at for each call of its methods.
    is_class = type(function) is type
    return _parameters_of_class(function) if is_class else _parameters_of(function)


def _parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


_parameters_of_class = lru_cache(maxsize=32)(_parameters_of)


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
