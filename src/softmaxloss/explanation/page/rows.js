// The rows of classes that are added and removed.

/** As many rows as there are classes, each a copy of the first but for its position. */
export function fit(main, count) {
  for (const selector of [".row", "section:not(.given) tr[data-n]", "[data-guess]", "[data-remove]"]) {
    for (const parent of new Set([...main.querySelectorAll(selector)].map((row) => row.parentElement))) {
      const rows = [...parent.children].filter((row) => row.matches(selector));
      for (const row of rows.slice(count)) row.remove();
      for (let n = rows.length; n < count; n++) {
        const copy = rows[0].cloneNode(true);
        for (const element of [copy, ...copy.querySelectorAll("*")]) renumber(element, n);
        rows[0].parentElement.insertBefore(copy, [...parent.children].filter((row) => row.matches(selector)).at(-1).nextSibling);
      }
    }
  }
}

function renumber(element, n) {
  for (const key of ["n", "z", "guess", "remove", "class", "name", "known", "bar"]) {
    if (element.dataset[key] === "0") element.dataset[key] = n;
  }
  if (element.type === "radio") element.value = n;
}
