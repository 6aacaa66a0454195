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

/** x to so many decimals, halves to the even digit, as Python rounds. */
function fixed(x, decimals) {
  const exact = Math.abs(x).toFixed(60); // a half that a float64 can hold has fewer digits
  const cut = exact.length - 60 + decimals;
  const down = exact.slice(0, cut);
  const isHalf = /^50*$/.test(exact.slice(cut));
  const even = "02468".includes(down.at(-1));
  const text = isHalf && even ? down : Math.abs(x).toFixed(decimals);
  return x < 0 ? `-${text}` : text;
}

/** "1.5e-7" as "1.50e-07". */
function exponent(text) {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

/** A number for reading: some decimals where they suffice, else the exponent form. */
export function number(x, decimals = 4) {
  if (Number.isNaN(x)) return "nan";
  if (x === Infinity) return "inf";
  if (x === -Infinity) return "-inf";
  if (x === 0) return (0).toFixed(decimals);
  const size = Math.abs(x);
  if (size < 1e-3) return exponent(x.toExponential(decimals - 2));
  if (size < 1e9) return fixed(x, decimals);
  const digits = decimals + 6;
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  const short = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  return Number(power) < digits ? short(x.toFixed(digits - 1 - Number(power)))
    : exponent(`${short(mantissa)}e${power}`);
}
