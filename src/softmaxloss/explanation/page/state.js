import { COLDEST, path } from "./maths.js";

// What the page shows, as a value: the outputs z, the true class y, the settings, the steps taken.
// from: which given class each one is, null for a class that was added; where all are listed.

const MOST = 12; // classes that are listed; of more, none is added or removed
const HELD = 100; // outputs that an address can hold

/** The given example. */
export function start(given) {
  const bytes = Uint8Array.from(atob(given.logits), (sign) => sign.charCodeAt(0));
  const z = new Float64Array(bytes.buffer);
  return {
    z, y: given.target, T: 1, step: given.step, first: given.first,
    from: z.length <= MOST ? [...z.keys()] : null,
    taken: 0, trail: [], path: given.path, end: given.end,
  };
}

/** The state with these changes: another example, whose descent begins anew. */
export function changed(state, changes) {
  const next = { ...state, ...changes, taken: 0, trail: [] };
  next.path = path(next.z, next.y, next.T, next.step);
  next.end = next.path.at(-1)?.a_n ?? [];
  return next;
}

export const isGiven = (state, given, logits) =>
  state.taken === 0 && state.y === given.target && state.T === 1 && state.step === given.step
    && state.z.length === logits.length && state.z.every((value, n) => Object.is(value, logits[n]))
    && (state.from ?? []).every((position, n) => position === n);

// --- classes and examples ---

export function withClass(state) {
  if (!state.from || state.z.length >= MOST) return state;
  return changed(state, { z: Float64Array.of(...state.z, 0), from: [...state.from, null] });
}

export function withoutClass(state, n) {
  if (!state.from || state.z.length <= 2) return state;
  const keep = (_, k) => k !== n;
  const y = state.y > n || state.y === state.z.length - 1 ? Math.max(0, state.y - 1) : state.y;
  return changed(state, { z: state.z.filter(keep), from: state.from.filter(keep), y });
}

/** The outputs of an example to try: each a function of n, its output z, the true class y, a wrong
 * one among those listed, and the output of a class that is sure of itself. */
const presets = {
  right: (n, { y, sure }) => (n === y ? sure : -1),
  wrong: (n, { wrong, sure }) => (n === wrong ? sure : -1),
  tie: (n, { y, wrong, sure }) => (n === y || n === wrong ? sure - 2 : -1),
  masked: (n, { z, wrong }) => (n === wrong ? -Infinity : Number.isFinite(z) ? z : 0),
  equal: () => 0,
};

export function preset(state, name, given, listed) {
  const { y } = state;
  const wrong = listed.find((n) => n !== y);
  const sure = 3 + Math.round(Math.log(state.z.length)); // with a probability of some 0.98
  if (name !== "four") return changed(state, { z: state.z.map((z, n) => presets[name](n, { z, y, wrong, sure })) });
  const same = given.names && Object.keys(given.names).length === 4;
  const from = same ? [0, 1, 2, 3] : [null, null, null, null];
  return changed(state, { z: Float64Array.of(2, 1, 0.1, -1.2), y: 2, from });
}

/** An example by chance, for a prediction. */
export function another(state) {
  const z = state.z.map(() => Math.round(60 * Math.random() - 30) / 10);
  return changed(state, { z, y: Math.floor(Math.random() * z.length) });
}

// --- the address: #z=2,1,0.1,-1.2&y=2 ---

/** The state for the address; empty where it has too many outputs. */
export function written(state, given) {
  if (state.z.length > HELD) return "";
  const number = (x) => (x === -Infinity ? "-inf" : String(x));
  const parts = [`z=${[...state.z].map(number)}`, `y=${state.y + state.first}`];
  if (state.T !== 1) parts.push(`T=${state.T}`);
  if (state.step !== given.step) parts.push(`step=${state.step}`);
  if (state.first !== given.first) parts.push(`first=${state.first}`);
  const from = state.from?.map((position) => position ?? "new");
  if (from?.some((position, n) => position !== n) || state.z.length !== start(given).z.length) parts.push(`from=${from}`);
  return `#${parts.join("&")}`;
}

/** The state that an address holds; null where it holds none that fits this page. shown: the classes listed at first. */
export function read(hash, given, shown) {
  const fields = new URLSearchParams(hash.slice(1));
  const state = start(given);
  if (!fields.has("z")) return null;
  const numeric = (name, usual) => (fields.has(name) ? Number(fields.get(name) || NaN) : usual);
  const parse = (text) => (text === "-inf" ? -Infinity : text.trim() === "" ? NaN : Number(text));
  const z = Float64Array.from(fields.get("z").split(","), parse);
  const from = fields.has("from")
    ? fields.get("from").split(",").map((text) => (text === "new" ? null : Number(text)))
    : state.from && [...z.keys()].map((n) => (n < state.from.length ? n : null));
  const first = numeric("first", given.first);
  const y = numeric("y", given.target + given.first) - first;
  const [T, step] = [numeric("T", 1), numeric("step", given.step)];
  const classes = state.from
    ? z.length >= 2 && z.length <= MOST && from.length === z.length && from.every((n) => n === null || state.from.includes(n))
    : z.length === state.z.length && from === null && shown.includes(y);
  const fits = classes && z.every((value) => value < Infinity)
    && Number.isInteger(y) && y >= 0 && y < z.length && (first === 0 || first === 1)
    && T >= COLDEST && T < Infinity && step > 0 && step < Infinity;
  return fits ? changed(state, { z, y, T, step, first, from }) : null;
}
