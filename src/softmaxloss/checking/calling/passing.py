"""The ways to pass logits, labels and what else a function takes, by the names of its parameters
and their places.

Where a name can mean several things, all of them are tried, the likeliest first.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .roles import (
    BATCH_SIZES,
    BESIDE,
    CLASS_WEIGHTS,
    FEATURES,
    PERHAPS_LABELS,
    SCORES,
    WITH_WEIGHTS,
    Argument,
    Arguments,
    Role,
    parameters_of,
    role_of,
)


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
    layers = [_layer(parameters, required, given) for given in _meanings_of_c(parameters)]
    for layer in layers:
        yield from layer or ()
    if all(layer is None for layer in layers):
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
    known |= {p.name: "temperature" for p in parameters if _is_temperature(p)}
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
    if len(free) == 1 and any(r == "classes" and len(n) > 1 for n, r in known.items()):
        yield _passed(parameters, known | {free[0]: _score_role(free[0])})  # softmax(x, size)
    if len(free) < 2 and len(names) >= 2:  # f(a, k): k is a label here, not a number of classes
        known = {
            n: r
            for n, r in known.items()
            if r in ("model", "training", "axis", "lengths", "keep", "temperature", "array module")
            or n in optional
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
    if free[1] == "T":  # a target, or a temperature
        yield _passed(parameters, known | {free[0]: _score_role(free[0]), "T": "temperature"})
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


def _is_temperature(parameter: inspect.Parameter) -> bool:
    """Whether it is a temperature with a default, which may be another than 1."""
    is_number = type(parameter.default) in (int, float)
    named_so = role_of(parameter.name) == "temperature" or parameter.name == "T"
    return is_number and named_so


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


def _meanings_of_c(parameters: Sequence[inspect.Parameter]) -> list[dict[str, Role]]:
    """What C may be beside the weights: the number of classes, or the strength of the penalty.

    It may be the strength of the data term as well: repacked.py has that.
    """
    return [{"C": "classes"}, {"C": "reg"}] if any(p.name == "C" for p in parameters) else [{}]


def _layer(
    parameters: Sequence[inspect.Parameter],
    required: Sequence[inspect.Parameter],
    given: dict[str, Role],
) -> list[Arguments] | None:
    """The ways to call a linear layer with its loss, where some roles are given; None if the
    function is not one."""
    roles: dict[str, Role] = {}
    for p in parameters:
        if p.name in given:
            roles[p.name] = given[p.name]
            continue
        role: Role | None = "features" if p.name.lower() in FEATURES else role_of(p.name)
        if _is_batch_size(p):
            roles[p.name] = "examples"
            continue
        if p.name == "n" or p.name.lower() in ("m", "bs"):
            role = "examples"
        if role is not None and (p.default is p.empty or role in ("reg", "bias", "labels")):
            roles[p.name] = role
        elif role == "weights" and p.default is None and p.name.lower() not in CLASS_WEIGHTS:
            roles[p.name] = role  # else a method takes those of its object
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
    if (
        has_weights
        and "features" in found
        and set(found) <= {*WITH_WEIGHTS, "features", "bias", *BESIDE}
    ):
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
