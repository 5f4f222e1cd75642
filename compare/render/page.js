"use strict";
// Every table sorts by a click on a heading.  The table of rows is made from the data beside this script, a part of it
// at a time, however many lines there are, and filtered too.  Nothing is loaded from anywhere.
const UNITS = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, MB: 1, GB: 1e3, x: 1 };
const NUMBER = /^[<>≈~= ]*(?:about )?(-?[\d.]+(?:e[-+]?\d+)?) *(ns|µs|ms|s|MB|GB|x)?(?![\w.])/;
const AT_ONCE = 200; // lines that are added to the table of rows
const TEXTS = new Intl.Collator("en", { numeric: true });

// ------------------------------------------------------------------------------------------------------- sorting

function valueOf(text) {
  if (text === "" || text === "–") return null;
  const found = NUMBER.exec(text);
  return found ? Number(found[1]) * (UNITS[found[2]] ?? 1) : text;
}

function ranked(values) {
  // Comparing texts takes long, so each one is placed once.
  const texts = [...new Set(values.filter((value) => typeof value === "string"))].sort(TEXTS.compare);
  const places = new Map(texts.map((text, place) => [text, place]));
  return values.map((value) => (typeof value === "string" ? [1, places.get(value)] : [value === null ? 2 : 0, value]));
}

function sorted(items, values, down) {
  // Numbers stand before texts and, which way ever they are sorted, both before what has no value.
  const keys = ranked(values);
  const order = items.map((_, at) => at);
  const way = down ? -1 : 1;
  order.sort((a, b) => {
    const [kind, value] = keys[a], [otherKind, other] = keys[b];
    if (kind === 2 || otherKind === 2) return kind - otherKind;
    return way * (kind - otherKind || value - other);
  });
  return order.map((at) => items[at]);
}

function turned(heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const each of heading.parentNode.children) each.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  return down;
}

function sortable(table, sort) {
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if (heading.textContent.trim() === "") return;
    const button = made("button", { type: "button" }, ...heading.childNodes);
    button.addEventListener("click", () => sort(column, turned(heading)));
    heading.append(button);
  });
}

function made(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// -------------------------------------------------------------------------------------------- tables of sections

function fill(table) {
  // A row that begins with empty cells goes on with the row above.  Sorted, it would lose what stands there.
  let above = null;
  for (const row of table.tBodies[0].rows) {
    for (const [column, cell] of above ? [...row.cells].entries() : []) {
      if (cell.textContent.trim() !== "") break;
      cell.append(...[...above.cells[column].childNodes].map((node) => node.cloneNode(true)));
      cell.classList.add("again");
    }
    above = row;
  }
}

for (const table of document.querySelectorAll("main table:not(#entries)")) {
  if (!table.tHead || !table.tBodies.length) continue;
  fill(table);
  sortable(table, (column, down) => {
    const rows = [...table.tBodies[0].rows];
    const values = rows.map((row) => valueOf(row.cells[column].textContent.trim()));
    table.tBodies[0].append(...sorted(rows, values, down));
  });
}

// ---------------------------------------------------------------------------------------------- the table of rows

const entries = document.getElementById("entries");
const words = document.getElementById("words");
const choices = [...document.querySelectorAll(".filters select")];
const further = document.getElementById("further");
const ADDRESS = "row-";
let lines = JSON.parse(document.getElementById("data").textContent).map(([key, cells, notes, kernels]) => ({
  id: ADDRESS + key, cells, notes, kernels, words: cells.map(([text]) => text).join(" ").toLowerCase(),
}));
const byId = new Map(lines.map((line) => [line.id, line]));
let found = lines; // what the filter lets through, and first of all the line that a link leads to
let linked = null;

function opened(line) {
  const notes = line.notes.map((note) => made("p", {}, note));
  const kernels = line.kernels.map(([name, kind, runs]) =>
    made("tr", {}, made("td", {}, made("code", {}, name)), made("td", {}, kind), made("td", {}, runs)));
  const table = kernels.length ? [made("table", { class: "kernels" }, made("tbody", {}, ...kernels))] : [];
  return made("tr", { class: "more" }, made("td", {}), made("td", { colspan: line.cells.length }, ...notes, ...table));
}

function body(line) {
  const address = made("a", { class: "link", href: "#" + line.id, "aria-label": "address of this line" }, "#");
  const cells = line.cells.map(([text, value]) => made("td", value === null ? {} : { class: "number" }, text));
  const opens = made("button", { type: "button", class: "opens", "aria-expanded": false }, line.cells[1][0]);
  cells[1].replaceChildren(opens);
  const whole = made("tbody", { id: line.id }, made("tr", {}, made("td", {}, address), ...cells));
  const toggle = () => {
    const open = whole.rows.length === 1;
    if (open) whole.append(opened(line));
    else whole.rows[1].remove();
    opens.setAttribute("aria-expanded", open);
  };
  opens.addEventListener("click", toggle);
  if (line === linked) toggle();
  return whole;
}

function add() {
  const shown = entries.tBodies.length;
  entries.append(...found.slice(shown, shown + AT_ONCE).map(body));
  further.hidden = entries.tBodies.length === found.length;
}

function show() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = choices.filter((each) => each.value).map((each) => [each.dataset.column - 1, each.value]);
  const fits = (line) =>
    wanted.every((word) => line.words.includes(word)) && chosen.every(([at, word]) => line.cells[at][0] === word);
  const fitting = lines.filter(fits);
  found = linked ? [linked, ...fitting.filter((line) => line !== linked)] : fitting;
  document.getElementById("count").textContent = `${fitting.length} of ${lines.length} lines`;
  for (const each of [...entries.tBodies]) each.remove();
  add();
}

function reveal() {
  // A line that someone's link leads to stands first, whatever the filter, and open.
  const line = byId.get(location.hash.slice(1));
  if (!line) return;
  linked = line;
  show();
  location.replace(location.hash); // only now there is something that it leads to
}

sortable(entries, (column, down) => {
  const values = lines.map(({ cells }) => {
    const [text, value] = cells[column - 1];
    return value === "" || text === "" ? null : value ?? text;
  });
  lines = sorted(lines, values, down);
  show();
});
words.addEventListener("input", show);
for (const each of choices) each.addEventListener("change", show);
further.addEventListener("click", add);
if ("IntersectionObserver" in window) {
  new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && add()).observe(further);
}
addEventListener("hashchange", reveal);
show();
reveal();
