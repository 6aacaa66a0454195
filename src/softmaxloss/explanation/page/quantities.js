import { ENOUGH, compute, general, number, operands, short } from "./maths.js";
import { longest, steps } from "./chart.js";
import { isGiven } from "./state.js";
import { answered, sum } from "./answers.js";

// What each quantity on the page is, for a state: data-v says which, data-n of which class.

const signed = (x) => (x > 0 ? `+${number(x)}` : number(x));
const push = (x) => (x < 0 ? "↑ up" : x > 0 ? "↓ down" : "");
const tidy = (x) => number(Math.round(x * 1e9) / 1e9);

/** Everything about a state. listed: the positions of the classes that are listed. */
export function look(state, given, logits, listed) {
  const now = compute(state.z, state.y, state.T, state.step);
  const next = compute(now.after, state.y, state.T, state.step);
  // The steps in the picture: those taken, or the path ahead while there are none.
  const walk = state.trail.length > 1 ? state.trail.filter((point) => Number.isFinite(point.J)) : state.path;
  const view = { state, given, logits, listed, now, next, walk };
  view.formulas = formulas(view);
  const others = listed.filter((n) => n !== state.y);
  const largest = (positions, of) => positions.reduce((best, n) => (best === null || of(n) > of(best) ? n : best), null);
  const rising = others.filter((n) => next.z[n] < state.z[n] && next.a[n] > now.a[n] * (1 + 1e-12)
    && number(next.a[n]) !== number(now.a[n]));
  view.roles = {
    y: state.y,
    top: now.k ?? 0,
    faller: largest(others, (n) => state.z[n]) ?? 0,
    riser: largest(rising, (n) => next.a[n] - now.a[n]),
  };
  return view;
}

/** The operands of each formula, with enough digits to compute it again. */
function formulas({ state, now }) {
  const { y, T, step } = state;
  const [a, z] = [now.a[y], state.z[y] / T];
  const warm = Number(general(T));
  return {
    log: operands([a], (x) => -Math.log(x), now.J),
    share: operands([now.exp[y], now.den], (x, s) => x / s, a),
    lse: operands([now.lse, Math.abs(z)], (s, x) => (z < 0 ? s + x : s - x), now.J),
    inv: operands([a], (x) => -1 / x, now.inv),
    slope: operands([a], (x) => (x - 1) / warm, now.grad[y]),
    move: operands([state.z[y], -now.grad[y]], (x, g) => x + Number(general(step)) * g, now.after[y]),
  };
}

/** The sum over the classes that are not listed. */
export const rest = ({ listed }, values) => {
  const shown = new Set(listed);
  return sum(values.filter((_, n) => !shown.has(n)));
};

/** Of the first (0) or last (-1) step in the picture; empty where there is none. */
const ofPath = ({ walk }, end, words) => (walk.length ? words(walk.at(end)) : "");

// Shown as `compute` gives it, unless one of the two tables says otherwise.
const perClass = {
  z: ({ state }, at) => number(at(state.z)),
  "z-short": ({ state }, at) => short(at(state.z)),
  term: ({ state, now }, at, n) => (n === state.y ? number(at(now.term)) : `(${number(at(now.term))})`),
  inv: ({ state, now }, at, n) => (n === state.y ? number(now.inv) : "0"),
  grad: ({ now }, at) => signed(at(now.grad)),
  "plain-grad": ({ now }, at) => number(at(now.grad)),
  push: ({ now }, at) => push(at(now.grad)),
  z1: ({ next }, at) => number(at(next.z)),
  a1: ({ next }, at) => number(at(next.a)),
  "a-end": ({ state }, at) => number(at(state.end) ?? 0),
};
const scalars = {
  place: ({ state }) => String(state.y + 1),
  classes: ({ state }) => `${state.z.length} classes`,
  J1: ({ next }) => number(next.J),
  J2: ({ state, now }) => number(-(state.z[state.y] / state.T) + now.lse),
  "minus-z": ({ state }) => (state.z[state.y] < 0 ? "+" : "−"),
  bits: ({ now }) => number(now.J / Math.LN2),
  // A class at −inf is masked out, and not one to guess; the true one always is.
  lnC: ({ state }) => number(Math.log(state.z.filter((z, n) => z !== -Infinity || n === state.y).length)),
  rank: ({ state, now }) => String(now.k === null ? 0 : 1 + state.z.filter((z) => z > state.z[state.y]).length),
  step: ({ state }) => general(state.step),
  T: ({ state }) => general(state.T),
  "sum-a": ({ now }) => number(sum(now.a)),
  "sum-jac": ({ now }) => tidy(sum(now.jac)),
  "sum-grad": ({ now }) => tidy(sum(now.grad)),
  "end-steps": ({ state }) => (state.path.length ? steps(state.path.at(-1).step) : ""),
  "path-steps": (view) => ofPath(view, -1, ({ step }) => steps(step)),
  "path-a0": (view) => ofPath(view, 0, ({ a }) => number(a)),
  "path-a1": (view) => ofPath(view, -1, ({ a }) => number(a)),
  "path-J0": (view) => ofPath(view, 0, ({ J }) => number(J)),
  "path-J1": (view) => ofPath(view, -1, ({ J }) => number(J)),
};

/** What an element shows. */
export function show(view, { v, n }) {
  if (v.startsWith("op-")) {
    const [, name, k] = v.split("-");
    return view.formulas[name]?.[k] ?? "";
  }
  if (n === undefined) return scalars[v]?.(view) ?? answered(view, v) ?? number(view.now[v]);
  const words = perClass[v] ?? (({ now }, at) => number(at(now[v])));
  if (n === "rest") return words(view, (values) => rest(view, values), n);
  const position = view.roles[n] ?? Number(n);
  return words(view, (values) => values[position], position);
}

/** Which facts hold, for what has data-if: the same as in facts.py and one_words.py. */
export function facts(view) {
  const { state, given, logits, now, walk, roles } = view;
  const { y } = state;
  const possible = state.z[y] > -Infinity;
  const softmax = now.k !== null;
  const moving = now.grad.some((slope) => slope !== 0);
  const allOthers = now.grad.every((slope, n) => n === y || slope > 0);
  const product = now.grad.every((slope, n) => Math.abs(now.inv * now.jac[n] - slope) <= 1e-6 * Math.abs(slope));
  const drawn = walk.length > 0 && longest(walk, state.path) > 1;
  const reached = walk.length > 0 && walk.at(-1).a >= ENOUGH;
  const same = isGiven(state, given, logits);
  const pushed = possible && moving;
  const known = Object.entries(view.formulas).map(([name, shown]) => [`know-${name}`, softmax && shown !== null]);
  return {
    softmax, "no-softmax": !softmax, right: softmax && now.k === y, wrong: softmax && now.k !== y,
    still: !moving, pushed, impossible: !possible,
    "all-others": moving && allOthers, "some-others": moving && !allOthers, product, "no-product": !product,
    rises: pushed && roles.riser !== null, "none-rises": pushed && roles.riser === null,
    "falls-later": state.end[roles.riser] < now.a[roles.riser],
    path: drawn, reached, "not-reached": !reached,
    unchanged: same, changed: !same, warm: state.T !== 1,
    live: !same && softmax, "no-live": !same && !softmax,
    ...Object.fromEntries(known),
  };
}
