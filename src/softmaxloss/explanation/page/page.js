import { COLDEST, compute, number, isRecorded, ENOUGH } from "./maths.js";
import { arrow, axis, curve, pushed, scaleOf, shareBar, stack, track } from "./drawing.js";
import { drawPath, steps } from "./chart.js";
import { another, changed, preset, read, start, withClass, withoutClass, written } from "./state.js";
import { facts, look, rest, show } from "./quantities.js";
import { fit } from "./rows.js";

// The page follows its state: `draw` shows it, the controls change it.

const main = document.querySelector(".softmaxloss");
const given = JSON.parse(document.querySelector("#example").textContent);
const all = (selector) => [...main.querySelectorAll(selector)];
const one = (selector) => main.querySelector(selector);
const shownFirst = all(".row:not(.rest)").map((row) => Number(row.dataset.n));
const logits = start(given).z;

let state = start(given);
let view = null; // of the state: what is shown
let scale = 4; // of the axis of the outputs
let guess = null; // the class that is to move most
let guessing = false; // whether the arrows are hidden until the next step

// --- showing the state ---

/** The name of a class in a sentence and in a formula. */
function names(n) {
  const position = state.from ? state.from[n] : n;
  return given.names?.[position] ?? [`class ${n + state.first}`, String(n + state.first)];
}

const place = (text) => view.roles[text] ?? (text === "first" ? 0 : Number(text));

function draw() {
  const listed = state.from ? [...state.z.keys()] : shownFirst;
  if (state.from) fit(main, listed.length);
  view = look(state, given, logits, listed);
  scale = Math.max(scale, scaleOf(listed.map((n) => state.z[n])));
  fillIn(all("[data-v]:not([data-ask]:not([open]) *)"));
  for (const element of all("[data-class]")) element.textContent = place(element.dataset.class) + state.first;
  for (const element of all("[data-name]")) element.textContent = names(place(element.dataset.name))[0];
  for (const element of all("[data-sub]")) element.textContent = names(place(element.dataset.sub))[1];
  // The rows of what is about the given example keep its true class and its names.
  for (const element of all("[data-known]:not(.given *)")) element.textContent = known(Number(element.dataset.known));
  for (const row of all("[data-n]:is(tr, .row):not(.given *)")) row.classList.toggle("true", row.dataset.n === String(state.y));
  for (const row of all(".row:not(.rest)")) label(row);
  for (const svg of all("[data-draw]")) picture(svg);
  for (const rectangle of all("[data-bar]")) drawBar(rectangle);
  for (const input of all("[data-z]")) follow(input);
  for (const button of all("[data-guess]")) {
    button.textContent = names(Number(button.dataset.guess))[0];
    button.setAttribute("aria-pressed", Number(button.dataset.guess) === guess);
  }
  for (const button of all("[data-remove]")) button.setAttribute("aria-label", `Remove ${names(Number(button.dataset.remove))[0]}`);
  for (const input of all("[name=y]")) input.checked = Number(input.value) === state.y;
  if (view.walk.length > 0) drawPath(main, view.walk, state.path, names(state.y)[0]);
  one(".stage").classList.toggle("guessing", guessing);
  const hold = facts(view);
  for (const element of all("[data-if]")) element.hidden = !hold[element.dataset.if];
}

/** Elements show their quantities. Answers wait until they are opened: with very many classes they take time. */
function fillIn(elements) {
  for (const element of elements) element.textContent = show(view, element.dataset);
}

/** The given name of a class after a space, for a table; empty where it has none. */
function known(n) {
  const name = given.names?.[state.from ? state.from[n] : n];
  return name ? ` ${name[0]}` : "";
}

function label(row) {
  const n = Number(row.dataset.n);
  const who = names(n)[0];
  row.querySelector(".tag").textContent = n === state.y ? "true class" : "";
  const words = { radio: `${who} is the true class`, range: `output of ${who}, dragged`, number: `output of ${who}, typed` };
  for (const input of row.querySelectorAll("input")) input.setAttribute("aria-label", words[input.type]);
}

/** −∂J/∂z; an output of −inf does not move. */
function move(n) {
  if (n === "rest") return -rest(view, view.now.grad);
  return state.z[n] === -Infinity && view.now.k !== null ? 0 : -view.now.grad[n];
}

function picture(svg) {
  const { draw: kind, n } = svg.dataset;
  const a = n === "rest" ? rest(view, view.now.a) : view.now.a[n];
  const drawings = {
    track: () => track(state.z[n], scale),
    axis: () => axis(scale),
    share: () => shareBar(a),
    arrow: () => arrow(move(n), state.T, Number(n) === state.y && move(n) > 0 ? parts(view.now.grad) : []),
    stack: () => stack(parts(view.now.a, true)),
    curve: () => curve(view.now.J),
  };
  svg.innerHTML = drawings[kind]();
  if (kind === "share") svg.setAttribute("aria-label", Number.isNaN(a) ? "no probability" : `probability ${svg.textContent}`);
  if (kind === "arrow") svg.setAttribute("aria-label", guessing ? "hidden until the next step" : pushed(move(n)));
}

/** The classes listed and the rest as parts of a whole, with the true class or without. */
function parts(values, withTrue = false) {
  const positions = view.listed.filter((n) => withTrue || n !== state.y);
  const found = positions.map((n) => [names(n)[1], values[n], n === state.y]);
  if (view.listed.length < state.z.length) found.push(["others", rest(view, values), false]);
  return found;
}

function drawBar(rectangle) {
  const { bar } = rectangle.dataset;
  const a = bar === "rest" ? rest(view, view.now.a) : view.now.a[bar];
  rectangle.setAttribute("width", Number.isNaN(a) ? 0 : Math.min(a, 1));
}

/** A control shows the state, but keeps what is being typed in it. */
function follow(input) {
  const z = state.z[Number(input.dataset.z)];
  if (input.type === "range") {
    [input.min, input.max, input.step] = [-scale, scale, scale / 80];
    input.value = Number.isFinite(z) ? z : 0;
    input.setAttribute("aria-valuetext", number(z));
  } else if (document.activeElement !== input || Number(input.value) !== z || input.value === "") {
    input.value = Number.isFinite(z) ? Number(z.toPrecision(Math.abs(z) < 100 ? 4 : 6)) : "";
    input.placeholder = Number.isFinite(z) ? "" : number(z);
  }
}

/** The settings and the page show the state. */
function fill() {
  for (const input of all("[data-set]")) input.value = state[input.dataset.set];
  for (const input of all("[aria-invalid]")) mark(input, "");
  scale = 4;
  draw();
}

function say(words, wrong = false) {
  const status = one("[role=status]");
  status.textContent = words;
  status.classList.toggle("wrong", wrong);
}

const result = () => `a of ${names(state.y)[0]} is ${number(view.now.a[state.y])}, J is ${number(view.now.J)}.`;

const report = () => say(`After ${steps(state.taken)}: ${result()}`);

// --- descent ---

let timer = null;

function remember() {
  const [before, last] = state.trail.slice(-2);
  // Points this close are drawn as one, the newest.
  const near = last && Math.log1p(state.taken) - Math.log1p(before.step) < 0.005;
  if (near && !isRecorded(last.step)) state.trail.pop();
  state.trail.push({ step: state.taken, a: view.now.a[state.y], J: view.now.J });
}

/** Why no step is possible; empty where one is. */
function obstacle() {
  const { now } = view;
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
    state.z = view.now.after;
    state.taken += 1;
    view.now = compute(state.z, state.y, state.T, state.step);
    remember();
    if (view.now.a[state.y] >= ENOUGH) return false;
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
  const button = one("[data-do=play]");
  button.textContent = playing ? "Pause" : "Play";
  button.setAttribute("aria-pressed", playing);
}

function play() {
  if (timer !== null) return stop();
  if (!mayStep()) return;
  if (state.z[state.y] === -Infinity) return say("No step moves the output of the true class away from −inf.");
  if (view.now.a[state.y] >= ENOUGH) {
    return say(`a of ${names(state.y)[0]} is ${number(view.now.a[state.y])} already: there is nothing left to do.`);
  }
  showPlaying(true);
  guessing = false;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = () => {
    // The longer it plays, the more steps at once: the first are seen, the last take no time.
    const going = descend(calm ? 1000 : Math.max(1, Math.floor(state.taken / 25)), calm ? 1000 : 40);
    draw();
    report();
    if (!going || calm) {
      stop();
      keep();
    }
  };
  timer = setInterval(frame, 60);
  if (calm) frame();
}

/** Whether a step is possible; says why where it is not. */
function mayStep() {
  const input = one("[aria-invalid=true]");
  const words = input ? wrong(input) : obstacle();
  if (words) say(words, input !== null);
  return words === "";
}

/** What came of the guess, after a step from z. */
function reveal(z) {
  const moved = (n) => (Number.isFinite(z[n]) ? state.z[n] - z[n] : 0);
  const by = (n) => (moved(n) < 0 ? "−" : "+") + number(Math.abs(moved(n)));
  const most = view.listed.reduce((best, n) => (Math.abs(moved(n)) > Math.abs(moved(best)) * (1 + 1e-9) ? n : best), state.y);
  const equal = view.listed.find((n) => n !== most && by(n).slice(1) === by(most).slice(1));
  const [name, told] = [names(most)[0], names(guess)[0]];
  const why = most === state.y ? ": as far as all the others together" : "";
  const right = guess === most || guess === equal;
  const verdict = equal === undefined
    ? `${right ? "Right" : `Not ${told}: it moved by ${by(guess)}`}. ${name} moved most, by ${by(most)}${why}.`
    : `${right ? "Right" : `Not ${told}`}. ${name} moved by ${by(most)}, ${names(equal)[0]} as far the other way.`;
  one(".verdict").textContent = verdict;
  guess = null;
}

// --- the controls ---

/** Another state; the descent begins anew. */
function become(next) {
  stop();
  state = next;
  guess = null;
  one(".verdict").textContent = "";
  fill();
  say(result());
  keep();
}

let keeping = null;

/** The address holds the state, a moment later: browsers limit how often it may change. */
function keep() {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const same = !facts(view).changed && state.first === given.first;
    history.replaceState(null, "", same ? location.href.split("#")[0] : written(state, given) || "#");
  }, 150);
}

/** The state that the address holds. */
function open() {
  if (location.hash.length < 2) return;
  const found = read(location.hash, given, shownFirst);
  if (found) become(found);
  else say("The address holds no outputs that fit this page.", true);
}

const actions = {
  step() {
    stop();
    if (!mayStep()) return;
    const { z } = state;
    descend(1);
    guessing = false;
    if (guess !== null) reveal(z);
    draw();
    report();
    keep();
  },
  play,
  reset() {
    guessing = false;
    become(start(given));
    say("As it was given.");
  },
  add: () => become(withClass(state)),
  another() {
    guessing = true;
    become(another(state));
    say("");
    one(".verdict").textContent = "The arrows are hidden until you step.";
  },
  numbers() {
    const button = one("[data-do=numbers]");
    const opened = button.getAttribute("aria-expanded") !== "true";
    for (const details of all("details.numbers")) details.open = opened;
    button.setAttribute("aria-expanded", opened);
    button.textContent = opened ? "Hide the numbers" : "Show the numbers";
  },
};

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

main.addEventListener("click", ({ target }) => {
  const { do: action, preset: example, remove, guess: chosen } = target.closest("button")?.dataset ?? {};
  if (action) actions[action]();
  else if (example) become(preset(state, example, given, view.listed));
  else if (remove) become(withoutClass(state, Number(remove)));
  else if (chosen) {
    guess = Number(chosen);
    one(".verdict").textContent = "Now step.";
    draw();
  }
});
main.addEventListener("input", (event) => {
  const input = event.target;
  const words = wrong(input);
  mark(input, words);
  if (words) {
    stop();
    return say(words, true);
  }
  stop();
  const value = Number(input.value);
  const { z, set } = input.dataset;
  if (set === "first") state.first = value;
  else if (z === undefined) state = changed(state, input.name === "y" ? { y: value } : { [set]: value });
  else state = changed(state, { z: state.z.with(Number(z), value) });
  draw();
  say(result());
  keep();
});

/** When an invalid output loses the focus, its field shows the valid one again. */
main.addEventListener("focusout", ({ target }) => {
  if (target.dataset.z === undefined || !target.hasAttribute("aria-invalid")) return;
  mark(target, "");
  target.value = "";
  follow(target);
  say("");
});

main.addEventListener("toggle", ({ target }) => fillIn(target.querySelectorAll("[data-v]")), true);
addEventListener("beforeprint", () => view && fillIn(all("[data-v]")));

// --- the same quantity everywhere ---

function light(element) {
  for (const lit of all(".lit")) lit.classList.remove("lit");
  const found = element?.closest?.("[data-v]");
  if (!found) return;
  const same = { "plain-grad": "grad", "z-short": "z" };
  const key = ({ v, n }) => `${same[v] ?? v} ${view.roles[n] ?? n}`;
  for (const other of all("[data-v]")) {
    other.classList.toggle("lit", key(other.dataset) === key(found.dataset));
  }
}
main.addEventListener("pointerover", (event) => light(event.target));
main.addEventListener("pointerleave", () => light(null));

if (one(".dock .buttons")) {
  main.classList.add("live");
  fill();
  open();
  addEventListener("hashchange", open);
}
