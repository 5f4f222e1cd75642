"use strict";
// Every table sorts by a click on a heading; the table of rows is filtered too.  Nothing is loaded from anywhere.
const UNITS = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, MB: 1, GB: 1e3 };
const NUMBER = /^[<>≈~= ]*(?:about )?(-?[\d.]+(?:e[-+]?\d+)?) *(ns|µs|ms|s|MB|GB)?(?![\w.])/;

// A line is a row, or, in the table of rows, a body of two: the row and what opens below it.
const linesOf = (table) => [...(table.id === "entries" ? table.tBodies : table.tBodies[0].rows)];
const cellsOf = (line) => (line.tagName === "TBODY" ? line.rows[0] : line).cells;

function valueOf(cell) {
  if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  const text = cell.textContent.trim();
  if (text === "" || text === "–") return null;
  const found = NUMBER.exec(text);
  return found ? Number(found[1]) * (UNITS[found[2]] ?? 1) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sort(table, column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const each of heading.parentNode.children) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const lines = linesOf(table).map((line) => [valueOf(cellsOf(line)[column]), line]);
  lines.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : down ? compare(b, a) : compare(a, b)));
  lines[0]?.[1].parentNode.append(...lines.map(([, line]) => line));
}

function fill(table) {
  // In a table that names a problem in its first row only, sorted rows would lose it.
  for (const column of [0, 1]) {
    let above = null;
    for (const row of table.tBodies[0].rows) {
      const cell = row.cells[column];
      if (cell && cell.textContent.trim() === "" && above) {
        cell.append(...[...above.childNodes].map((node) => node.cloneNode(true)));
        cell.classList.add("again");
      }
      above = cell;
    }
  }
}

for (const table of document.querySelectorAll("main table:not(.kernels)")) {
  if (!table.tHead || !table.tBodies.length) continue;
  if (table.id !== "entries") fill(table);
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (heading.textContent.trim() === "") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(table, column, heading));
    heading.append(button);
  });
}

const lines = linesOf(document.getElementById("entries"));
const words = document.getElementById("words");
const choices = [...document.querySelectorAll(".filters select")];

function filter() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const line of lines) {
    const cells = cellsOf(line);
    const text = line.rows[0].textContent.toLowerCase();
    const chosen = choices.every((each) => !each.value || cells[each.dataset.column].textContent.trim() === each.value);
    line.hidden = !(chosen && wanted.every((word) => text.includes(word)));
    shown += !line.hidden;
  }
  document.getElementById("count").textContent = `${shown} of ${lines.length} lines`;
}

function open(line, opened) {
  line.rows[1].hidden = !opened;
  line.querySelector(".opens").setAttribute("aria-expanded", opened);
}

function reveal() {
  // A line that someone's link leads to is shown whatever the filter, and opened.
  const line = document.getElementById(location.hash.slice(1));
  if (!lines.includes(line)) return;
  if (line.hidden) {
    words.value = "";
    for (const each of choices) each.value = "";
    filter();
  }
  open(line, true);
  line.scrollIntoView();
}

for (const line of lines) line.querySelector(".opens").addEventListener("click", () => open(line, line.rows[1].hidden));
words.addEventListener("input", filter);
for (const each of choices) each.addEventListener("change", filter);
addEventListener("hashchange", reveal);
filter();
reveal();
