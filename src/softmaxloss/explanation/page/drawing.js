import { amount, fixed, number, percent, short } from "./maths.js";

// The pictures, as drawing.py draws them. A share is [name, size, whether it is the true class's].

const LARGEST = 8e307;
const UNIT = 30;
const ROOM = 4;
const TOP = 5;

/** Text in HTML; quotes too, for attributes. */
export function escaped(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  return text.replace(/[&<>"']/g, (sign) => signs[sign]);
}

function fits(name, share, width) {
  const cells = [...name].reduce((sum, sign) => sum + (sign.codePointAt(0) < 0x2e80 ? 6.5 : 13), 0);
  return cells + 4 <= share * width;
}

function roundUp(x) {
  const power = Math.floor(Math.log10(x));
  const steps = [1, 2, 5].map((digit) => Number(`${digit}e${power}`));
  return Math.min(steps.find((step) => step >= x) ?? Number(`1e${power + 1}`), LARGEST);
}

/** Where the axis of the outputs ends, on both sides. */
export function scaleOf(outputs) {
  const largest = Math.max(0, ...outputs.filter(Number.isFinite).map(Math.abs));
  return largest <= 4 ? 4 : roundUp(Math.max(largest, 10));
}

/** An output on the axis, filled from zero. */
export function track(z, scale) {
  const lines = [0, 25, 50, 75, 100].map((x) =>
    `<line class="grid${x === 50 ? " zero" : ""}" x1="${x}%" x2="${x}%" y1="0" y2="100%"/>`).join("")
    + '<line class="rail" x1="0" x2="100%" y1="50%" y2="50%"/>';
  if (!Number.isFinite(z)) return `${lines}<text x="0" y="50%" dx="6" dy="-8">${number(z)}</text>`;
  const x = fixed(50 + 50 * Math.max(-1, Math.min(z / scale, 1)), 2);
  return `${lines}<line class="fill" x1="50%" x2="${x}%" y1="50%" y2="50%"/><circle cx="${x}%" cy="50%" r="10"/>`;
}

/** The numbers below the outputs; where they are long, only the ends and zero. */
export function axis(scale) {
  const all = [[0, -1], [25, -0.5], [50, 0], [75, 0.5], [100, 1]];
  const ends = short(scale / 2).length > ROOM ? all.filter((_, k) => k % 2 === 0) : all;
  return ends.map(([x, part]) => `<text class="middle" x="${x}%" y="14">${short(scale * part)}</text>`).join("");
}

/** A probability as a bar, with its number. */
export function shareBar(a) {
  const room = '<rect class="room" width="100%" height="100%" rx="3"/>';
  if (Number.isNaN(a)) return room;
  const x = fixed(100 * a, 2);
  const place = a > 0.7 ? 'class="inside" text-anchor="end" dx="-8"' : 'dx="8"';
  return `${room}<rect class="part" width="${x}%" height="100%" rx="3"/>`
    + `<text ${place} x="${x}%" y="50%" dy=".36em">${escaped(percent(a))}</text>`;
}

/** How an output moves: to the right if it is raised. T: the temperature; parts: see drawing.py. */
export function arrow(move, T, parts) {
  const lines = '<line class="grid zero" x1="50%" x2="50%" y1="0" y2="100%"/>';
  if (Number.isNaN(move)) return lines;
  const unit = UNIT * Math.min(1, T);
  const size = unit * Math.abs(move);
  const start = move < 0 ? 50 - size : 50;
  const tip = fixed(50 + unit * move, 2);
  let shaft = `<rect class="part" x="${fixed(start, 2)}%" width="${fixed(size, 2)}%" y="50%" height="14"/>`;
  if (parts.length > 0) {
    shaft = "";
    let at = 50;
    for (const [name, share] of parts) {
      const width = unit * Math.abs(share);
      shaft += `<rect class="part" x="${fixed(at, 2)}%" width="${fixed(width, 2)}%" y="50%" height="14"/>`;
      if (fits(name, width / 100, 340)) {
        shaft += `<text class="inside middle" x="${fixed(at + width / 2, 2)}%" y="50%" dy=".34em">${escaped(name)}</text>`;
      }
      at += width;
    }
  }
  if (move === 0) return `${lines}<text x="50%" y="50%" dx="8" dy=".36em">0</text>`;
  const [head, side] = move < 0
    ? ["M0 -7 L-9 0 L0 7z", 'text-anchor="end" dx="-14"']
    : ["M0 -7 L9 0 L0 7z", 'dx="14"'];
  return `${lines}${shaft}<svg x="${tip}%" y="50%" overflow="visible"><path class="part" d="${head}"/></svg>`
    + `<text ${side} x="${tip}%" y="50%" dy=".36em">${amount(move)}</text>`;
}

/** Probabilities that share one bar. */
export function stack(shares) {
  let at = 0;
  let drawn = "";
  for (const [name, size, isTrue] of shares) {
    if (Number.isNaN(size)) continue;
    const width = 100 * size;
    const kind = isTrue ? "true" : "part";
    drawn += `<rect class="${kind}" x="${fixed(at, 2)}%" width="${fixed(width, 2)}%" height="100%"/>`;
    if (fits(name, size, 320)) {
      drawn += `<text class="inside middle${isTrue ? " true" : ""}" x="${fixed(at + width / 2, 2)}%" y="50%" dy=".36em">${escaped(name)}</text>`;
    }
    at += width;
  }
  return drawn;
}

/** The loss as a point on the curve −log a. */
export function curve(loss) {
  const top = TOP < loss / 0.9 && loss / 0.9 < Infinity ? roundUp(loss / 0.9) : TOP;
  const at = (J) => [fixed(26 + 186 * Math.exp(-J), 1), fixed(8 + 92 * (1 - J / top), 1)];
  const points = Array.from({ length: 65 }, (_, k) => at(top * (1 - k / 64) ** 2).join(","));
  const drawn = `<path class="axes" d="M26 4 V100 H216"/><polyline points="${points.join(" ")}"/>`
    + '<text x="18" y="16" class="end">J</text><text x="18" y="104" class="end">0</text>'
    + '<text x="216" y="115" class="end">a → 1</text>';
  if (!Number.isFinite(loss)) return drawn;
  const [x, y] = at(loss);
  return `${drawn}<path class="drop" d="M${x} ${y} V100"/><circle cx="${x}" cy="${y}" r="6"/>`;
}

/** What an arrow shows, in words. */
export function pushed(move) {
  if (Number.isNaN(move)) return "no direction";
  if (move === 0) return "not moved";
  return `${move > 0 ? "raised" : "lowered"} by ${amount(move).slice(1)} times the step size`;
}
