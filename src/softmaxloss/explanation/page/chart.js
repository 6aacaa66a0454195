import { fixed, isRecorded, number } from "./maths.js";

// The picture of the steps, as chart.py draws it, and the same in numbers. walk: the steps in it,
// [{step, a, J}]; path: those ahead from where the walk began, for the scales.

export const steps = (count) => `${count} ${count === 1 ? "step" : "steps"}`;

/** The last step of the axis. */
export function longest(walk, path) {
  return Math.max(1, path.at(-1)?.step ?? 1, walk.at(-1)?.step ?? 1);
}

/** name: of the true class. */
export function drawPath(main, walk, path, name) {
  const chart = main.querySelector(".chart");
  if (!chart) return;
  chart.innerHTML = lines(walk, path);
  const [first, last] = [walk[0], walk.at(-1)];
  chart.setAttribute(
    "aria-label",
    `Over ${steps(last.step)} of descent the probability of ${name} goes from `
      + `${number(first.a)} to ${number(last.a)}, the loss from ${number(first.J)} to ${number(last.J)}.`,
  );
  main.querySelector(".path tbody").innerHTML = walk
    .filter((point) => isRecorded(point.step) || point === last)
    .map(({ step, a, J }) => `<tr><th scope="row">${step}</th><td>${number(a)}</td><td>${number(J)}</td></tr>`)
    .join("");
}

function lines(walk, path) {
  const most = longest(walk, path);
  const top = [...path, ...walk].reduce((largest, point) => Math.max(largest, point.J), 1e-9);
  const x = (step) => 40 + (370 * Math.log1p(step)) / Math.log1p(most);
  const at = (share, lower = 0) => fixed(12 + 178 * (1 - share) + lower, 1);
  const sides = [0, 0.5, 1].map((share) =>
    `<text x="34" y="${at(share, 4)}" class="tick a end">${share}</text>`
    + `<text x="416" y="${at(share, 4)}" class="tick J">${number(top * share, top >= 100 ? 0 : 2)}</text>`
    + `<line class="grid" x1="40" x2="410" y1="${at(share)}" y2="${at(share)}"/>`);
  const ticks = [0, 1, 10, 100, 1000, 10_000, 100_000].filter((step) => step < most);
  if (ticks.length > 1 && x(most) - x(ticks.at(-1)) < 48) ticks.pop();
  const marks = [...ticks, most].map((step) =>
    `<text x="${fixed(x(step), 1)}" y="210" class="tick middle">${step}</text>`);
  const line = (name, scale) => {
    const points = walk.map((point) => `${fixed(x(point.step), 1)},${at(point[name] / scale)}`);
    return `<polyline data-line="${name}" class="${name}" points="${points.join(" ")}"/>`;
  };
  return [...sides, ...marks, line("a", 1), line("J", top)].join("");
}
