import { ENOUGH, compute, general, isRecorded, number, path } from "./maths.js";
import { drawPath, longest, steps } from "./chart.js";

// The page follows the numbers: every element with data-v shows a quantity, as `show` computes it.

const main = document.querySelector(".softmaxloss");
const given = JSON.parse(document.querySelector("#example").textContent);
const all = (selector) => [...main.querySelectorAll(selector)];

const bytes = Uint8Array.from(atob(given.logits), (character) => character.charCodeAt(0));
const logits = new Float64Array(bytes.buffer);

const listed = new Set(all("[data-z][type=number]").map((input) => Number(input.dataset.z)));

const start = () => ({
  z: logits.slice(), y: given.target, T: 1, step: given.step, first: given.first,
  taken: 0, trail: [], path: given.path,
});
let state = start();
let now = null; // of state: what compute gives
let next = null; // after a step
let walk = []; // the steps in the picture: those taken, or the path ahead while there are none

// --- what each quantity is ---

const signed = (x) => (x > 0 ? `+${number(x)}` : number(x));
const push = (x) => (x < 0 ? "↑ up" : x > 0 ? "↓ down" : "");
const sum = (values) => values.reduce((total, value) => total + value, 0);
const tidy = (x) => number(Math.round(x * 1e9) / 1e9);

/** The sum over the classes that are not listed. */
const rest = (values) => sum(values.filter((_, n) => !listed.has(n)));

/** Of the first (0) or last (-1) step in the picture; empty where there is none. */
const ofPath = (end, words) => (walk.length ? words(walk.at(end)) : "");

// Shown as `compute` gives it, unless one of the two tables says otherwise.
const perClass = {
  z: (at) => number(at(state.z)),
  "minus-z": (at) => number(-at(state.z) / state.T),
  term: (at, n) => (n === state.y ? number(at(now.term)) : `(${number(at(now.term))})`),
  inv: (at, n) => (n === state.y ? number(now.inv) : "0"),
  grad: (at) => signed(at(now.grad)),
  "plain-grad": (at) => number(at(now.grad)),
  push: (at) => push(at(now.grad)),
  z1: (at) => number(at(next.z)),
  a1: (at) => number(at(next.a)),
};
const scalars = {
  J1: () => number(next.J),
  J2: () => number(-(state.z[state.y] / state.T) + now.lse),
  bits: () => number(now.J / Math.LN2),
  // A class at −inf is masked out, and not one to guess; the true one always is.
  lnC: () => number(Math.log(state.z.filter((z, n) => z !== -Infinity || n === state.y).length)),
  rank: () => String(now.k === null ? 0 : 1 + state.z.filter((value) => value > state.z[state.y]).length),
  step: () => general(state.step),
  T: () => general(state.T),
  "sum-a": () => number(sum(now.a)),
  "sum-jac": () => tidy(sum(now.jac)),
  "sum-grad": () => tidy(sum(now.grad)),
  "path-steps": () => ofPath(-1, ({ step }) => steps(step)),
  "path-a0": () => ofPath(0, ({ a }) => number(a)),
  "path-a1": () => ofPath(-1, ({ a }) => number(a)),
  "path-J0": () => ofPath(0, ({ J }) => number(J)),
  "path-J1": () => ofPath(-1, ({ J }) => number(J)),
};

/** Which facts hold, for what has data-if: the same as in one_words.py. */
function facts() {
  const { y } = state;
  const possible = state.z[y] > -Infinity;
  const moving = now.grad.some((slope) => slope !== 0);
  const allOthers = now.grad.every((slope, n) => n === y || slope > 0);
  const product = now.grad.every((slope, n) => Math.abs(now.inv * now.jac[n] - slope) <= 1e-6 * Math.abs(slope));
  const drawn = walk.length > 0 && longest(walk, state.path) > 1;
  const reached = walk.length > 0 && walk.at(-1).a >= ENOUGH;
  const changed = state.taken > 0 || y !== given.target || state.T !== 1 || state.step !== given.step
    || state.z.some((value, n) => !Object.is(value, logits[n]));
  const renumbered = state.first !== given.first;
  return {
    softmax: now.k !== null, still: !moving, pushed: possible && moving, impossible: !possible,
    "all-others": moving && allOthers, "some-others": moving && !allOthers, product, "no-product": !product,
    path: drawn, reached, "not-reached": !reached,
    unchanged: !changed, changed, renumbered, stale: changed || renumbered, warm: state.T !== 1,
  };
}

function show({ v, n }) {
  if (n === undefined) return scalars[v]?.() ?? number(now[v]);
  const words = perClass[v] ?? ((at) => number(at(now[v])));
  if (n === "rest") return words(rest, n);
  const position = n === "y" ? state.y : Number(n);
  return words((values) => values[position], position);
}

// --- showing the state ---

function draw() {
  now = compute(state.z, state.y, state.T, state.step);
  next = compute(now.after, state.y, state.T, state.step);
  walk = state.trail.length > 1 ? state.trail.filter((point) => Number.isFinite(point.J)) : state.path;
  for (const element of all("[data-v]")) element.textContent = show(element.dataset);
  for (const element of all("[data-class]")) {
    const n = { y: state.y, first: 0 }[element.dataset.class] ?? Number(element.dataset.class);
    element.textContent = n + state.first;
  }
  // The rows of what is about the given example keep the true class that it has.
  for (const row of all("[data-n]:is(tr, .knob):not(.given *)")) row.classList.toggle("true", Number(row.dataset.n) === state.y);
  main.querySelector("[data-name=y]").textContent = `${state.y + state.first}${nameOf(state.y)}`;
  for (const rectangle of all("[data-bar]")) drawBar(rectangle);
  for (const knob of all(".knob")) label(knob);
  for (const input of all("[data-z]")) follow(input);
  for (const input of all("[name=y]")) input.checked = Number(input.value) === state.y;
  if (walk.length > 0) drawPath(main, walk, state.path, state.y + state.first);
  const hold = facts();
  for (const element of all("[data-if]")) element.hidden = !hold[element.dataset.if];
}

/** The name of a class that is listed, with a space before it; empty where it has none. */
function nameOf(n) {
  return main.querySelector(`.knob[data-n="${n}"] .name`).textContent;
}

function label(knob) {
  const n = Number(knob.dataset.n);
  const who = `class ${n + state.first}${nameOf(n)}`;
  const words = { radio: `${who} is the true class`, range: `output of ${who}, dragged`, number: `output of ${who}, typed` };
  for (const input of knob.querySelectorAll("input")) input.setAttribute("aria-label", words[input.type]);
}

function drawBar(rectangle) {
  const { bar, n } = rectangle.dataset;
  const x = n === "rest" ? rest(now[bar]) : now[bar][n];
  const width = Number.isNaN(x) ? 0 : Math.min(Math.abs(x), 1);
  rectangle.setAttribute("width", width);
  rectangle.setAttribute("x", x < 0 ? -width : 0);
}

/** The controls and the page show the given example. */
function fill() {
  for (const input of all("[data-z][type=range]")) widen(input, logits[input.dataset.z]);
  for (const input of all("[data-set]")) input.value = state[input.dataset.set];
  draw();
}

/** How far a slider goes: the distance between its ends must be finite too. */
function widen(input, z) {
  input.max = Number.isFinite(z) ? Math.min(Math.max(10, 2 * Math.abs(z)), 8e307) : 10;
  input.min = -input.max;
}

/** A control shows the state, but keeps what is being typed in it. */
function follow(input) {
  const z = state.z[Number(input.dataset.z)];
  if (document.activeElement === input && Number(input.value) === z) return;
  if (!Number.isFinite(z)) input.value = input.type === "range" ? "0" : "";
  else if (input.type === "number") input.value = Number(z.toPrecision(6));
  else {
    if (Math.abs(z) > Number(input.max)) widen(input, z);
    input.value = z;
  }
}

function say(words, wrong = false) {
  const status = main.querySelector("[role=status]");
  status.textContent = words;
  status.classList.toggle("wrong", wrong);
}

/** "a_2 = 0.0960, J = 2.3435." */
const result = () => `a_${state.y + state.first} = ${number(now.a[state.y])}, J = ${number(now.J)}.`;

const report = () => say(`After ${steps(state.taken)}: ${result()}`);

// --- descent ---

let timer = null;

function remember() {
  const [before, last] = state.trail.slice(-2);
  // Points this close are drawn as one, the newest.
  const near = last && Math.log1p(state.taken) - Math.log1p(before.step) < 0.005;
  if (near && !isRecorded(last.step)) state.trail.pop();
  state.trail.push({ step: state.taken, a: now.a[state.y], J: now.J });
}

/** Why no step is possible; empty where one is. */
function obstacle() {
  if (now.k === null) return "These outputs have no softmax, so no step is possible.";
  if (!(now.after[state.y] < Infinity)) return "A step of this size leads beyond the numbers of float64.";
  const same = now.after.every((value, n) => value === state.z[n]);
  return same ? "A step changes nothing that float64 can show." : "";
}

/** So many steps, or as many as the time allows; false at the end of the descent. */
function descend(count, milliseconds = Infinity) {
  const begun = performance.now();
  if (state.trail.length === 0) remember();
  for (let k = 0; k < count; k++) {
    if (obstacle()) return false;
    state.z = now.after;
    state.taken += 1;
    now = compute(state.z, state.y, state.T, state.step);
    remember();
    if (now.a[state.y] >= ENOUGH) return false;
    if (performance.now() - begun > milliseconds) break;
  }
  return true;
}

function stop() {
  clearInterval(timer);
  timer = null;
  showPlaying(false);
}

function showPlaying(playing) {
  const button = main.querySelector("[data-do=play]");
  button.textContent = playing ? "Pause" : "Play";
  button.setAttribute("aria-pressed", playing);
}

function play() {
  if (timer !== null) return stop();
  if (!mayStep()) return;
  if (state.z[state.y] === -Infinity) return say("No step moves the output of the true class away from −inf.");
  if (now.a[state.y] >= ENOUGH) {
    return say(`a_${state.y + state.first} = ${number(now.a[state.y])} already: there is nothing left to do.`);
  }
  showPlaying(true);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = () => {
    // The longer it plays, the more steps at once: the first are seen, the last take no time.
    const going = descend(calm ? 1000 : Math.max(1, Math.floor(state.taken / 25)), calm ? 1000 : 40);
    draw();
    report();
    if (!going || calm) stop();
  };
  timer = setInterval(frame, 60);
  if (calm) frame();
}

/** Whether a step is possible; says why where it is not. */
function mayStep() {
  const input = main.querySelector("[aria-invalid=true]");
  const words = input ? wrong(input) : obstacle();
  if (words) say(words, input !== null);
  return words === "";
}

/** After a change the example is another one, whose descent begins anew. */
function restart() {
  state.taken = 0;
  state.trail = [];
  state.path = path(state.z, state.y, state.T, state.step);
}

const actions = {
  step() {
    stop();
    if (!mayStep()) return;
    descend(1);
    draw();
    report();
  },
  play,
  reset() {
    stop();
    state = start();
    for (const input of all("[aria-invalid]")) mark(input, "");
    fill();
    say("As it was given.");
  },
};

const COLDEST = 0.001; // a temperature: below it the numbers soon overflow

/** Why the value of a field is wrong; empty where it is right. */
function wrong(input) {
  const value = input.value === "" ? NaN : Number(input.value);
  const { z, set } = input.dataset;
  if (z !== undefined) {
    if (!Number.isFinite(value)) return "An output must be a number.";
    return Number.isFinite(value / state.T) ? "" : "This output is too large for the temperature.";
  }
  if (set === "step") return value > 0 && value < Infinity ? "" : "The step size must be a number above 0.";
  if (set !== "T") return "";
  if (!(value >= COLDEST && value < Infinity)) return `The temperature must be a number, ${COLDEST} or more.`;
  const large = state.z.some((output) => Number.isFinite(output) && !Number.isFinite(output / value));
  return large ? "The temperature is too low for outputs of this size." : "";
}

function mark(input, words) {
  if (words) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

main.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do]();
});
main.addEventListener("input", (event) => {
  const input = event.target;
  const words = wrong(input);
  mark(input, words);
  if (words) {
    stop();
    return say(words, true);
  }
  const value = Number(input.value);
  if (input.dataset.z !== undefined) state.z[Number(input.dataset.z)] = value;
  else if (input.name === "y") state.y = value;
  else state[input.dataset.set] = value;
  if (input.dataset.set === "first") return draw();
  stop();
  restart();
  draw();
  say(result());
});

/** When an invalid output loses the focus, its field shows the valid one again. */
main.addEventListener("focusout", ({ target }) => {
  if (target.dataset.z === undefined || !target.hasAttribute("aria-invalid")) return;
  mark(target, "");
  target.value = "";
  follow(target);
  say("");
});

// --- the same quantity everywhere ---

function light(element) {
  for (const lit of all(".lit")) lit.classList.remove("lit");
  const found = element?.closest?.("[data-v]");
  if (!found) return;
  const same = { "plain-grad": "grad", "minus-z": state.T === 1 ? "z" : "minus-z" };
  const key = ({ v, n }) => `${same[v] ?? v} ${n === "y" ? state.y : n}`;
  for (const other of all("[data-v]")) {
    other.classList.toggle("lit", key(other.dataset) === key(found.dataset));
  }
}
main.addEventListener("pointerover", (event) => light(event.target));
main.addEventListener("pointerleave", () => light(null));

const controls = main.querySelector(".try");
if (controls) {
  controls.hidden = false;
  fill();
}
