// The maths of one example, as softmaxloss.formula has it, and numbers as words.
// z is a Float64Array of logits, y the position of the true class, counted from 0.

/** Everything about softmax(z / T) and its loss. Sums leave out the largest term, which is 1. */
export function compute(z, y, T = 1, step = 0.1) {
  const C = z.length;
  const scaled = T === 1 ? z : z.map((value) => value / T);
  let k = 0;
  let undefinedRow = false;
  for (let n = 0; n < C; n++) {
    if (Number.isNaN(scaled[n]) || scaled[n] === Infinity) undefinedRow = true;
    if (scaled[n] > scaled[k]) k = n;
  }
  const m = undefinedRow || scaled[k] === -Infinity ? NaN : scaled[k];
  const exp = scaled.map((value) => Math.exp(value - m));
  let S = m - m; // NaN where the row has no softmax
  for (let n = 0; n < C; n++) if (n !== k) S += exp[n];
  const log1pS = Math.log1p(S);
  const a = exp.map((value) => value / (1 + S));
  const term = scaled.map((value) => m - value + log1pS);
  // The true class as the others' sum: a_y − 1 would cancel where the model is right.
  let others = 0;
  for (let n = 0; n < C; n++) if (n !== y) others += a[n];
  const grad = a.map((value, n) => (n === y ? 0 - others : value) / T);
  const J = term[y];
  return {
    C, y, T, m, S, exp, a, term, grad, J,
    z, k: Number.isNaN(m) ? null : k,
    den: 1 + S,
    lse: m + log1pS,
    inv: -Math.exp(J),
    jac: grad.map((value) => -a[y] * value),
    after: z.map((value, n) => value - step * grad[n]),
  };
}

export const ENOUGH = 0.99; // of the probability for the true class: there a path ends
export const COLDEST = 0.001; // a temperature: below it the numbers soon overflow
const MOST_STEPS = 1000;
const MOST_WORK = 400_000; // steps · classes: some 40 ms

/** Whether a path is recorded after so many steps: 0, 1, 2, 5, 10, 20, 50, … */
export function isRecorded(taken) {
  return taken === 0 || /^[125]0*$/.test(String(taken));
}

/** Descent until a_y is 0.99, as `explain` follows it: [{step, a, J}], empty where there is none.
 * The last point also has a_n, all probabilities. */
export function path(z, y, T, step) {
  const points = [];
  for (let taken = 0; ; taken++) {
    const now = compute(z, y, T, step);
    if (!Number.isFinite(now.J) || taken * z.length > MOST_WORK) return [];
    const a = Math.exp(-now.J);
    const same = now.after.every((value, n) => value === z[n]);
    const last = a >= ENOUGH || same || !Number.isFinite(now.after[y]) || taken === MOST_STEPS;
    if (last || isRecorded(taken)) points.push({ step: taken, a, J: now.J });
    if (last) {
      points.at(-1).a_n = now.a;
      return points;
    }
    z = now.after;
  }
}

// Of two roundings that are equally near, Python takes the even one, JavaScript the larger. A number
// is halfway between two multiples of 10^-place if it is an odd multiple of half of that. Powers of
// two are exact; of those of ten, a float that lies halfway allows only exact ones.

/** The digits to which JavaScript rounds a size at a decimal place, as Python rounds it. */
function toEven(digits, size, place) {
  const unit = 10 ** -place;
  const halfway = place < 0 ? size % unit === unit / 2 : (size * 2 ** (place + 1)) % 2 === 1;
  return halfway && "13579".includes(digits.at(-1)) ? digits.slice(0, -1) + (digits.at(-1) - 1) : digits;
}

export const fixed = (size, decimals) => toEven(size.toFixed(decimals), size, decimals);

/** "1.50e-07" as its parts, "1.50" and -7. */
function exponential(size, decimals) {
  const [digits, power] = size.toExponential(decimals).split("e");
  return [toEven(digits, size, decimals - power), Number(power)];
}

function exponent(power) {
  return `e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** A number for reading: some decimals where they suffice, else the exponent form. */
export function number(x, decimals = 4) {
  if (Number.isNaN(x)) return "nan";
  const size = Math.abs(x);
  const sign = x < 0 ? "−" : "";
  if (size === Infinity) return `${sign}inf`;
  if (size === 0) return fixed(0, decimals);
  if (size < 1e-3) {
    const [mantissa, power] = exponential(size, decimals - 2);
    return sign + mantissa + exponent(power);
  }
  if (size < 1e9) return sign + fixed(size, decimals);
  const digits = decimals + 6;
  const [mantissa, power] = exponential(size, digits - 1);
  if (power < digits) return sign + fixed(size, digits - 1 - power);
  return sign + mantissa.replace(/\.?0+$/, "") + exponent(power);
}

/** A number with at most so many digits, as Python's format "g" has it. */
export function general(x, digits = 6) {
  const size = Math.abs(x);
  const sign = x < 0 ? "-" : "";
  if (size === 0) return "0";
  const [mantissa, power] = exponential(size, digits - 1);
  const bare = (shown) => (shown.includes(".") ? shown.replace(/\.?0+$/, "") : shown);
  if (power < -4 || power >= digits) return sign + bare(mantissa) + exponent(power);
  return sign + bare(fixed(size, digits - 1 - power));
}

/** A number with as few digits as it needs. */
export const short = (x) => (Number.isFinite(x) ? (x < 0 ? "−" : "") + general(Math.abs(x)) : number(x));

/** A share with three digits. What is not all and not nothing is not shown as such. */
export function percent(share) {
  const shown = general(100 * share, 3);
  return shown === "100" && share < 1 ? "more than 99.9 %" : `${shown} %`;
}

/** How far an output moves, with its sign. */
export function amount(move) {
  if (move === 0) return "0";
  const size = Math.abs(move);
  return (move < 0 ? "−" : "+") + number(size, size >= 0.01 ? 2 : 3);
}

/** Numbers with as many decimals as f needs to give the result that is shown; null where there are none. */
export function operands(values, f, result) {
  if (!Number.isFinite(result)) return null;
  for (let decimals = 4; decimals <= 8; decimals++) {
    const shown = values.map((x) => number(x, decimals));
    const again = f(...shown.map((x) => Number(x.replace("−", "-"))));
    if (number(again) === number(result)) return shown;
  }
  return null;
}
