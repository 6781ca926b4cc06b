// The browser of records: filters, order, the list, the keyboard. The address behind # holds filters and record.

import { byId, el } from "./elements.js";
import { figure, points, prepared, summary, unpacked, way } from "./data.js";
import { showRecord } from "./record.js";

const FIELDS = { q: "search", benchmark: "by-place", editor: "by-editor", kind: "by-kind", metric: "by-metric", change: "by-change", order: "by-order" };
const AT_ONCE = 150;
const WAIT = 120;

let data;
let found = [];
let shown = AT_ONCE;
let current = null;

async function begin() {
  try {
    data = prepared(await unpacked());
  } catch (error) {
    byId("failed").textContent = `The records cannot be read (${error.message}). The browser is too old, or the file is cut off.`;
    byId("failed").hidden = false;
    return;
  }
  byId("browser").hidden = false;
  fill("by-place", places());
  fill("by-editor", [...new Set(data.runs.map((run) => run.editor))].map((name) => [name, name]));
  fill("by-kind", kinds());
  fill("by-metric", metrics());
  let timer;
  byId("filters").addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(changed, event.target.id === "search" ? WAIT : 0);
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { for (const id of Object.values(FIELDS)) byId(id).value = ""; changed(); });
  addEventListener("hashchange", follow);
  addEventListener("keydown", pressed);
  follow();
}

const places = () => [...new Set(data.runs.map((run) => run.place))].map((place) => [place, place]);
const asked = () => new Set(data.records.flatMap((record) => record.rows.map((row) => row.kind)));
const kinds = () => { const used = asked(); return Object.entries(data.kinds).filter(([name]) => used.has(name)).map(([name, kind]) => [name, kind.label]); };
function metrics() {
  const used = new Set(data.records.flatMap((record) => record.rows.map((row) => row.column)));
  return [...used].sort().map((name) => [name, data.columns[name] === undefined || data.columns[name].label === name ? name : `${name} (${data.columns[name].label})`]);
}

function fill(id, options) {
  byId(id).replaceChildren(el("option", { value: "" }, "all"), ...options.map(([value, label]) => el("option", { value }, label)));
  if (id === "by-metric") byId(id).firstChild.textContent = "each kind's own";
}

// ---- the address

function wanted() {
  return Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, byId(id).value]));
}

function address(record, filters = wanted()) {
  const parts = new URLSearchParams(Object.entries(filters).filter(([, value]) => value));
  if (record) parts.set("record", record.key);
  return `#${parts}`;
}

/** Show what the address says; an address such as #made is a place in the page and changes nothing. */
function follow() {
  const text = location.hash.slice(1);
  if (text && !text.includes("=")) { if (!found.length) search(); return; }
  const parts = new URLSearchParams(text);
  for (const [name, id] of Object.entries(FIELDS)) {
    byId(id).value = parts.get(name) ?? "";
    if (byId(id).selectedIndex === -1) byId(id).value = "";
  }
  shown = AT_ONCE;
  search();
  const key = parts.get("record");
  const record = data.byKey.get(key);
  open(record ?? found[0]?.record ?? null);
  if (key) byId("record").scrollIntoView({ block: "nearest" });
  if (key && !record) byId("count").textContent += ` The address names a record that is not here: ${key}.`;
}

function changed() {
  shown = AT_ONCE;
  search();
  const kept = found.find((item) => item.record === current) ?? found[0];
  history.replaceState(null, "", address(kept?.record));
  open(kept?.record ?? null);
}

// ---- what is found

function search() {
  const filters = wanted();
  found = data.records.filter((record) => inPlace(record, filters)).map((record) => item(record, filters)).filter((each) => each !== null);
  const orders = { worst: (a, b) => a.score - b.score, best: (a, b) => b.score - a.score, gain: (a, b) => b.change - a.change, loss: (a, b) => a.change - b.change };
  const order = orders[filters.order];
  if (order) {
    const field = filters.order === "gain" || filters.order === "loss" ? "change" : "score";
    const [known, rest] = [found.filter((each) => each[field] !== null), found.filter((each) => each[field] === null)];
    found = [...known.sort(order), ...rest];
  }
  list();
}

function inPlace(record, filters) {
  if (filters.benchmark && record.about.place !== filters.benchmark) return false;
  if (filters.editor && record.about.editor !== filters.editor) return false;
  return !filters.q || textsOf(record).includes(filters.q.toLowerCase());
}

function textsOf(record) {
  if (record.texts === null) {
    const edits = record.of.edits.flatMap((edit) => [edit.q, edit.to, edit.from]);
    const probes = record.of.probes.flatMap((probe) => [probe.q, probe.gold]);
    const said = record.answers.map((answer) => answer.text);
    const tags = record.of.probes.flatMap((probe) => Object.values(probe.tags));
    record.texts = [record.of.id, ...tags, ...[...edits, ...probes, ...said].filter((place) => place !== null).map((place) => data.texts[place])].join("\n").toLowerCase();
  }
  return record.texts;
}

/** Return the rows that the filters are about: of each kind its own metric, unless one is chosen. */
function rowsOf(record, filters) {
  return record.rows.filter((row) => (!filters.kind || row.kind === filters.kind) && (filters.metric ? row.column === filters.metric : row.column === row.kind));
}

function item(record, filters) {
  const rows = rowsOf(record, filters);
  if (!rows.length) return null;
  const about = summary(data, rows);
  const changes = { better: about.better, worse: about.worse, none: !about.better && !about.worse };
  if (filters.change && !changes[filters.change]) return null;
  return { record, ...about, column: rows[0].column };
}

// ---- the list

function list() {
  const total = data.records.length;
  const left = data.left ? ` ${data.left} further records are not in this file (--records).` : "";
  byId("count").textContent = `${found.length} of ${total} records.${left}`;
  const lines = found.slice(0, shown).map((each) => el("li", {}, entry(each)));
  if (found.length > shown) lines.push(el("li", { class: "rest" }, el("button", { type: "button", onclick: () => { shown += AT_ONCE; list(); mark(); } }, `Show more of the ${found.length - shown} others`)));
  byId("list").replaceChildren(...lines);
}

function entry({ record, score, change, column }) {
  const edit = record.of.edits[0];
  const number = edit?.pic ?? record.of.probes.find((probe) => probe.pic !== null)?.pic ?? null;
  const picture = number === null ? null : data.pictures[number];
  const thumb = picture?.src ? el("img", { class: "thumb", src: picture.src, alt: "", loading: "lazy" }) : el("span", { class: "thumb nothing" });
  const state = record.edits === undefined ? "" : `, after ${record.edits} edits`;
  return el("a", { href: address(record), onclick: (event) => { if (plainClick(event)) { event.preventDefault(); choose(record); } } },
    thumb,
    el("span", { class: "what" }, nameOf(record)),
    el("span", { class: "score" }, figure(data, column, score)),
    el("span", { class: "where" }, `${record.about.editor}${state} · ${record.about.place}`),
    el("span", { class: `change ${way(change)}` }, points(change)));
}

function nameOf(record) {
  const tags = record.of.probes[0]?.tags ?? {};
  if (tags.subject && tags.becomes) return `${tags.subject} → ${tags.becomes}`;
  const edit = record.of.edits[0];
  return edit ? data.texts[edit.to] : record.of.id;
}

const plainClick = (event) => !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;

// ---- one record

function choose(record) {
  history.replaceState(null, "", address(record));
  open(record);
}

function open(record) {
  current = record;
  byId("record").hidden = record === null;
  if (record !== null) {
    const siblings = data.records.filter((each) => each.case === record.case && each.edits === record.edits && each.about.place === record.about.place);
    const filters = wanted();
    const others = siblings.map((each) => ({ record: each, href: address(each), ...summary(data, rowsOf(each, filters)) }));
    byId("record").replaceChildren(...showRecord(data, record, { others, name: nameOf(record), kind: filters.kind, choose, link: () => location.href.split("#")[0] + address(record, {}) }));
  }
  mark();
}

function mark() {
  for (const [index, line] of [...byId("list").querySelectorAll("a")].entries()) {
    if (found[index]?.record === current) {
      line.setAttribute("aria-current", "true");
      inView(line);
    } else line.removeAttribute("aria-current");
  }
}

function inView(line) {
  const box = byId("list");
  const [top, bottom] = [line.offsetTop - box.offsetTop, line.offsetTop - box.offsetTop + line.offsetHeight];
  if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}

// ---- the keyboard

function pressed(event) {
  const typing = event.target.matches?.("input, select, textarea");
  if (event.key === "Escape" && event.target.id === "search") { event.target.blur(); return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (event.key === "/") { event.preventDefault(); byId("search").focus(); }
  else if (step) move(step);
  else if (event.key === "e") nextEditor();
}

function move(step) {
  const at = found.findIndex((each) => each.record === current);
  const next = found[at === -1 ? 0 : Math.min(Math.max(at + step, 0), found.length - 1)];
  if (!next) return;
  if (found.indexOf(next) >= shown) { shown += AT_ONCE; list(); }
  choose(next.record);
  byId("browser").scrollIntoView({ block: "nearest" });
}

function nextEditor() {
  if (current === null) return;
  const same = data.records.filter((each) => each.case === current.case && each.edits === current.edits && each.about.place === current.about.place);
  choose(same[(same.indexOf(current) + 1) % same.length]);
}

// ---- on paper: what is folded is unfolded

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")].filter((each) => !each.closest(".made"));
  for (const each of folded) each.open = true;
});
addEventListener("afterprint", () => { for (const each of folded) each.open = false; });

begin();
