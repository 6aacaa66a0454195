import { compute, number, percent } from "./maths.js";

// The quantities that only the answers to the questions show, as answers.py names them.

export const sum = (values) => values.reduce((total, value) => total + value, 0);
const sigmoid = (z) => 1 / (1 + Math.exp(-z));

/** The loss of other outputs, and what else `compute` gives. */
const of = ({ state }, change, T = state.T) => compute(state.z.map(change), state.y, T);

const others = ({ state, now }) => -now.grad[state.y] * state.T; // 1 − a_y without its rounding

const moved = ({ state, now }) => (state.z[state.y] === -Infinity ? 0 : -state.step * now.grad[state.y]);

/** The derivative of Σ (a_n − onehot_n)² with respect to z_y. */
function squared({ state, now }) {
  const error = now.a.map((value, n) => (n === state.y ? -others({ state, now }) : value));
  return (2 * now.a[state.y] * (error[state.y] - sum(error.map((value, n) => value * now.a[n])))) / state.T;
}

const quantities = {
  others,
  moved,
  squared,
  "moved-4": (view) => 4 * moved(view),
  log10: ({ now }) => now.J / Math.LN10,
  "J-32": ({ now }) => now.J / 32,
  entropy: ({ now }) => sum(now.a.map((value, n) => (value === 0 ? 0 : value * now.term[n]))),
  perplexity: ({ now }) => Math.exp(now.J),
  odds: ({ now, roles }) => Math.exp(now.term[roles.faller] - now.J),
  "minus-J": ({ now }) => -now.J,
  "exp-least": ({ now }) => now.exp.reduce((least, value) => Math.min(least, value), 1),
  "a-least": ({ now }) => now.a.reduce((least, value) => Math.min(least, value), 1),
  "a-minus": (view) => of(view, (z) => -z).a[view.state.y],
  sigmoids: ({ state }) => sum(state.z.map((z) => sigmoid(z / state.T))),
  "a-of-two": ({ now, roles }) => sigmoid(now.term[roles.faller] - now.J),
  "J-warm": (view) => of(view, (z) => z, 2 * view.state.T).J,
  "a-warm": (view) => of(view, (z) => z, 2 * view.state.T).a[view.state.y],
  "J-two": ({ now, roles }) => now.J + now.term[roles.faller],
  "J-two-mean": ({ now, roles }) => (now.J + now.term[roles.faller]) / 2,
  "J-twice": (view) => compute(view.now.a, view.state.y).J,
  "J-twice-least": ({ state }) => Math.log1p((state.z.length - 1) / Math.E),
  "J-doubled": (view) => of(view, (z) => 2 * z).J,
  "J-5": ({ now }) => 5 * now.J,
  "J-smooth": ({ now }) => 0.9 * now.J + (0.1 * sum(now.term)) / now.C,
};

/** What a quantity is as words; undefined for one that is none of the answers' own. */
export function answered(view, v) {
  if (v === "others-percent") return percent(others(view));
  return quantities[v] && number(quantities[v](view));
}
