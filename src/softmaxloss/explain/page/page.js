import { compute, number } from "./maths.js";

// The page follows the numbers: every element with data-v shows a quantity, which `show` looks up.

const main = document.querySelector(".softmaxloss");
const given = JSON.parse(document.querySelector("#example").textContent);
const all = (selector) => [...main.querySelectorAll(selector)];

const bytes = Uint8Array.from(atob(given.logits), (character) => character.charCodeAt(0));
const view = new DataView(bytes.buffer);
const logits = Float64Array.from({ length: bytes.length / 8 }, (_, n) => view.getFloat64(8 * n, true));

const shown = all("[data-z][type=number]").map((input) => Number(input.dataset.z));
const listed = new Set(shown);

const start = () => ({
  z: logits.slice(), y: given.target, T: 1, step: given.step, first: given.first,
  taken: 0, trail: [],
});
let state = start();
let now = null; // of state: what compute gives
let next = null; // after a step

// --- what each quantity is ---

const signed = (x) => (x > 0 ? `+${number(x)}` : number(x));
const push = (x) => (x < 0 ? "↑ up" : x > 0 ? "↓ down" : "");
const sum = (values) => values.reduce((total, value) => total + value, 0);
const tidy = (x) => number(Math.round(x * 1e9) / 1e9);

/** The sum over the classes that are not listed. */
function rest(values) {
  let total = 0;
  for (let n = 0; n < values.length; n++) if (!listed.has(n)) total += values[n];
  return total;
}

const perClass = {
  z: (at) => number(at(state.z)),
  scaled: (at) => number(at(state.z) / state.T),
  exp: (at) => number(at(now.exp)),
  a: (at) => number(at(now.a)),
  term: (at, n) => (n === state.y ? number(at(now.term)) : `(${number(at(now.term))})`),
  inv: (at, n) => (n === state.y ? number(now.inv) : "0"),
  jac: (at) => number(at(now.jac)),
  grad: (at) => signed(at(now.grad)),
  "plain-grad": (at) => number(at(now.grad)),
  push: (at) => push(at(now.grad)),
  z1: (at) => number(at(next.z)),
  a1: (at) => number(at(next.a)),
};
const scalars = {
  J: () => number(now.J),
  J1: () => number(next.J),
  J2: () => number(-(state.z[state.y] / state.T) + now.lse),
  bits: () => number(now.J / Math.LN2),
  lse: () => number(now.lse),
  m: () => number(now.m),
  den: () => number(now.den),
  lnC: () => number(Math.log(now.C)),
  rank: () => String(1 + state.z.filter((value) => value > state.z[state.y]).length),
  step: () => String(state.step),
  T: () => String(state.T),
  "sum-a": () => number(sum(now.a)),
  "sum-jac": () => tidy(sum(now.jac)),
  "sum-grad": () => tidy(sum(now.grad)),
};

function show({ v, n }) {
  if (n === undefined) return scalars[v]();
  if (n === "rest") return perClass[v](rest, n);
  const position = n === "y" ? state.y : Number(n);
  return perClass[v]((values) => values[position], position);
}

// --- showing the state ---

function draw() {
  now = compute(state.z, state.y, state.T, state.step);
  next = compute(now.after, state.y, state.T, state.step);
  for (const element of all("[data-v]")) element.textContent = show(element.dataset);
  for (const element of all("[data-class]")) {
    const { class: n } = element.dataset;
    const position = n === "y" ? state.y : n === "first" ? 0 : Number(n);
    element.textContent = String(position + state.first);
  }
  for (const element of all("[data-n]:is(tr, .knob)")) {
    element.classList.toggle("true", Number(element.dataset.n) === state.y);
  }
  const name = main.querySelector("[data-name=y]");
  const known = given.names === null ? "" : ` ${given.names[state.y]}`;
  name.textContent = `${state.y + state.first}${known}`;
  for (const rectangle of all("[data-bar]")) drawBar(rectangle);
  for (const input of all("[data-z]")) follow(input);
  for (const input of all("[name=y]")) input.checked = Number(input.value) === state.y;
  drawTrail();
  const changed = state.taken > 0 || state.y !== given.target || state.T !== 1
    || state.step !== given.step || state.first !== given.first
    || state.z.some((value, n) => !Object.is(value, logits[n]));
  for (const element of all(".stale")) element.hidden = !changed;
  for (const element of all(".warm")) element.hidden = state.T === 1;
}

function drawBar(rectangle) {
  const { bar, n } = rectangle.dataset;
  const values = now[bar];
  const x = n === "rest" ? rest(values) : values[Number(n)];
  const width = Number.isNaN(x) ? 0 : Math.min(Math.abs(x), 1);
  rectangle.setAttribute("width", width);
  if (bar === "grad") rectangle.setAttribute("x", x < 0 ? -width : 0);
}

/** A control shows the state, but what is being typed in it stays. */
function follow(input) {
  const z = state.z[Number(input.dataset.z)];
  if (document.activeElement === input && Number(input.value) === z) return;
  if (!Number.isFinite(z)) input.value = input.type === "range" ? "0" : "";
  else {
    if (input.type === "range") {
      if (Math.abs(z) > Number(input.max)) [input.min, input.max] = [-2 * Math.abs(z), 2 * Math.abs(z)];
      input.value = z;
    } else input.value = Number(z.toPrecision(6));
  }
}

/** The chart shows the steps that were taken here, once there are some; until then those given. */
const chart = main.querySelector(".chart");
const lines = chart ? [...chart.querySelectorAll("polyline")] : [];
const drawn = lines.map((line) => line.getAttribute("points"));
const described = chart?.getAttribute("aria-label");
const ticks = chart ? [...chart.querySelectorAll(".tick.middle")] : [];
const heights = chart ? [...chart.querySelectorAll(".tick.J")] : []; // of J: none, half, all
const marked = ticks.map((tick) => Number(tick.textContent));

function drawTrail() {
  if (!chart) return;
  const walked = state.trail.length > 1;
  // The same scales as in chart.py, unless these steps go beyond it.
  const most = Math.max(Number(chart.dataset.most), state.taken);
  const losses = walked ? state.trail.map((point) => point.J).filter(Number.isFinite) : [];
  const top = losses.reduce((most, J) => Math.max(most, J), Number(chart.dataset.top));
  const x = (step) => 40 + (396 * Math.log1p(step)) / Math.log1p(most);
  const y = (share) => 12 + 178 * (1 - Math.min(Math.max(share, 0), 1));
  ticks.forEach((tick, k) => {
    const step = k === ticks.length - 1 ? most : marked[k];
    tick.textContent = String(step);
    tick.setAttribute("x", x(step).toFixed(1));
  });
  heights.forEach((tick, k) => (tick.textContent = number((top * k) / 2, 2)));
  chart.setAttribute("aria-label", walked ? summary() : described);
  if (!walked) {
    lines.forEach((line, k) => line.setAttribute("points", drawn[k]));
    return;
  }
  for (const line of lines) {
    const share = line.dataset.line === "a" ? (point) => point.a : (point) => point.J / top;
    line.setAttribute("points", state.trail.map((point) => `${x(point.step).toFixed(1)},${y(share(point)).toFixed(1)}`).join(" "));
  }
}

function say(words) {
  main.querySelector("[role=status]").textContent = words;
}

function summary() {
  const i = state.y + state.first;
  return `After ${state.taken} ${state.taken === 1 ? "step" : "steps"}: a_${i} = ${number(now.a[state.y])}, J = ${number(now.J)}.`;
}

function report() {
  say(summary());
}

// --- descent ---

const ENOUGH = 0.99; // of the probability for the true class: there playing ends
let timer = null;

function remember() {
  const before = state.trail.at(-2);
  // Points as near as this are drawn as one: the newest stands for them.
  if (before && Math.log1p(state.taken) - Math.log1p(before.step) < 0.005) state.trail.pop();
  state.trail.push({ step: state.taken, a: now.a[state.y], J: now.J });
}

/** So many steps, or as many as the time allows; false where they change nothing any more. */
function descend(count, milliseconds = Infinity) {
  const begun = performance.now();
  if (state.trail.length === 0) remember();
  for (let k = 0; k < count; k++) {
    if (now.after.every((value, n) => Object.is(value, state.z[n]) || Number.isNaN(value))) return false;
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
  const button = main.querySelector("[data-do=play]");
  button.textContent = "Play";
  button.setAttribute("aria-pressed", "false");
}

function play() {
  if (timer !== null) {
    stop();
    return;
  }
  const button = main.querySelector("[data-do=play]");
  button.textContent = "Pause";
  button.setAttribute("aria-pressed", "true");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = () => {
    // The longer it plays, the more steps at once: the first are seen, the last not waited for.
    const going = descend(calm ? 1000 : Math.max(1, Math.floor(state.taken / 25)), calm ? 1000 : 40);
    draw();
    report();
    if (!going || calm) stop();
  };
  timer = setInterval(frame, 60);
  if (calm) frame();
}

/** What was typed makes another example of it, whose descent begins anew. */
function restart() {
  state.taken = 0;
  state.trail = [];
}

const actions = {
  step() {
    stop();
    descend(1);
    draw();
    report();
  },
  play,
  reset() {
    stop();
    state = start();
    for (const input of all("[data-set]")) input.value = { step: state.step, T: 1, first: state.first }[input.dataset.set];
    draw();
    say("As it was given.");
  },
};

const settings = {
  step: (value) => value > 0 && (state.step = value),
  T: (value) => value > 0 && (state.T = value),
  first: (value) => (state.first = value),
};

main.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do]();
});
main.addEventListener("input", (event) => {
  const input = event.target;
  const value = Number(input.value);
  if (input.value === "" || !Number.isFinite(value)) return;
  if (input.dataset.z !== undefined) state.z[Number(input.dataset.z)] = value;
  else if (input.name === "y") state.y = value;
  else if (input.dataset.set !== undefined) settings[input.dataset.set](value);
  else return;
  if (input.dataset.set !== "first") {
    stop();
    restart();
  }
  draw();
  if (input.dataset.set !== "first") say(`a_${state.y + state.first} = ${number(now.a[state.y])}, J = ${number(now.J)}.`);
});

// --- the same quantity everywhere ---

function light(element) {
  for (const lit of all(".lit")) lit.classList.remove("lit");
  const found = element?.closest?.("[data-v]");
  if (!found) return;
  const same = { "plain-grad": "grad", scaled: state.T === 1 ? "z" : "scaled" };
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
  draw();
}
