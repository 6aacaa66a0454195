import { fixed, isRecorded, number } from "./maths.js";

// The picture of the steps, as chart.py draws it, and the same in numbers. walk: the steps in it,
// [{step, a, J}]; path: those that are ahead from where the walk began, for the scales.

export const steps = (count) => `${count} ${count === 1 ? "step" : "steps"}`;

/** The last step of the axis. */
export function longest(walk, path) {
  return Math.max(1, path.at(-1)?.step ?? 1, walk.at(-1)?.step ?? 1);
}

/** i: the number of the true class. */
export function drawPath(main, walk, path, i) {
  const chart = main.querySelector(".chart");
  if (!chart) return;
  chart.replaceChildren(...lines(walk, path, chart.namespaceURI));
  const [first, last] = [walk[0], walk.at(-1)];
  chart.setAttribute(
    "aria-label",
    `Over ${steps(last.step)} of descent the probability of class ${i} goes from `
      + `${number(first.a)} to ${number(last.a)}, the loss from ${number(first.J)} to ${number(last.J)}.`,
  );
  const rows = walk.filter((point) => isRecorded(point.step) || point === last);
  main.querySelector(".path tbody").replaceChildren(...rows.map(numbers));
}

function lines(walk, path, namespace) {
  const svg = (tag, attributes, words = "") => {
    const element = document.createElementNS(namespace, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = words;
    return element;
  };
  const most = longest(walk, path);
  const top = [...path, ...walk].reduce((largest, point) => Math.max(largest, point.J), 1e-9);
  const x = (step) => 40 + (370 * Math.log1p(step)) / Math.log1p(most);
  const y = (share) => 12 + 178 * (1 - share);
  const tenths = (place) => fixed(place, 1);
  const children = [0, 0.5, 1].flatMap((share) => [
    svg("text", { x: 34, y: tenths(y(share) + 4), class: "tick a end" }, String(share)),
    svg("text", { x: 416, y: tenths(y(share) + 4), class: "tick J" }, number(top * share, top >= 100 ? 0 : 2)),
    svg("line", { class: "grid", x1: 40, x2: 410, y1: tenths(y(share)), y2: tenths(y(share)) }),
  ]);
  const ticks = [0, 1, 10, 100, 1000, 10_000, 100_000].filter((step) => step < most);
  if (ticks.length > 1 && x(most) - x(ticks.at(-1)) < 48) ticks.pop();
  for (const step of [...ticks, most]) {
    children.push(svg("text", { x: tenths(x(step)), y: 210, class: "tick middle" }, String(step)));
  }
  for (const [name, share] of [["a", (point) => point.a], ["J", (point) => point.J / top]]) {
    const points = walk.map((point) => `${tenths(x(point.step))},${tenths(y(share(point)))}`).join(" ");
    children.push(svg("polyline", { "data-line": name, class: name, points }));
  }
  return children;
}

/** A row of the table. */
function numbers({ step, a, J }) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = String(step);
  row.append(head);
  for (const x of [a, J]) row.insertCell().textContent = number(x);
  return row;
}
