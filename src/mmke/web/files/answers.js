// What came of it: a card for each question with its columns, the edits, and what else changed.

import { byId, el } from "./common.js";
import { thumbnail } from "./playing.js";

const BEFORE = "before";
const MOST_CARDS = 20;

/** Put a card for a question on top, and return what takes its events. */
export function newCard(question, picture, editors, target = null) {
  const columns = new Map([BEFORE, ...editors].map((name) => [name, column(name)]));
  const title = target === null ? [el("h2", {}, question)] : [el("h2", {}, question), el("span", { class: "muted" }, `edit: ${target}`)];
  const card = el("article", { class: "card said-card" },
    el("header", {}, thumbnail(picture), el("div", {}, ...title)),
    el("div", { class: "columns" }, ...[...columns.values()].map((each) => each.element)));
  byId("answers").prepend(card);
  while (byId("answers").children.length > MOST_CARDS) byId("answers").lastChild.remove();
  const event = (told) => {
    if (told.column !== undefined) columns.get(told.column)?.take(told);
    if (told.event === "ended" || told.event === "failed") for (const each of columns.values()) each.end();
  };
  return { event };
}

function column(name) {
  const words = el("p", { class: "words" });
  const state = el("p", { class: "state" });
  const bar = el("progress", { max: "1", value: "0", hidden: true, "aria-label": `steps of ${name}` });
  const tag = el("span", { class: "tag", hidden: true });
  const element = el("section", { class: "column", "data-column": name }, el("h3", {}, name === BEFORE ? "before" : name, tag), words, bar, state);
  let done = false;
  const tell = (text, cls = "") => { tag.textContent = text; tag.className = `tag ${cls}`; tag.hidden = false; };
  const takes = {
    say: ({ words: text }) => { state.textContent = `${text} …`; },
    step: ({ done: n, total, loss }) => {
      bar.hidden = false;
      bar.max = total;
      bar.value = n;
      state.textContent = `step ${n} of ${total}${loss === null ? "" : `, loss ${loss.toPrecision(3)}`}`;
    },
    text: ({ text }) => { words.textContent = text; },
    refused: ({ message }) => { done = true; element.classList.add("refused"); bar.hidden = true; state.textContent = message; },
    answer: ({ text, cut, moved }) => {
      done = true;
      words.textContent = text + (cut ? " …" : "");
      if (!text) words.append(el("span", { class: "muted" }, "(nothing)"));
      bar.hidden = true;
      state.textContent = cut ? "cut here; it would write more" : "";
      if (moved !== undefined) tell(moved ? "changed" : "as before", moved ? "moved" : "");
      element.classList.toggle("moved", moved === true);
    },
  };
  return {
    element,
    take: (event) => takes[event.event]?.(event),
    end: () => { if (!done) { bar.hidden = true; state.textContent = "stopped"; } },
  };
}

export function showStack(edits) {
  byId("stack-card").hidden = edits.length === 0;
  byId("stack").replaceChildren(...edits.map((edit) =>
    el("li", {}, thumbnail(edit.picture), el("span", {}, edit.question, el("span", { class: "arrow" }, " → "), el("strong", {}, edit.target)))));
}

let rows = [];

/** Show what was asked besides, and mark where the answer moved. */
export function panelEvent(event) {
  if (event.event === "panel") {
    rows = event.rows.map((row) => el("tr", {},
      el("td", {}, el("div", { class: "asked" }, thumbnail(row.picture), el("span", {}, row.question, el("span", { class: "kind" }, row.words)))),
      el("td", { "data-column": "before" }, row.before || "(nothing)")));
    byId("panel").replaceChildren(
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "question"), el("th", { scope: "col" }, "before"))), el("tbody", {}, ...rows));
    byId("panel-said").textContent = "";
    byId("panel-card").hidden = false;
  }
  if (event.event === "panel-after") {
    byId("panel").querySelector("thead tr").append(el("th", { scope: "col" }, event.column));
    event.answers.forEach(({ text, moved }, n) => rows[n].append(
      el("td", { class: moved ? "moved" : null, "data-column": event.column }, text || "(nothing)", moved ? el("span", { class: "tag bad" }, "moved") : null)));
    const moved = event.answers.filter((answer) => answer.moved).length;
    const told = `${event.column}: ${moved} of ${event.answers.length} moved`;
    byId("panel-said").textContent = [byId("panel-said").textContent, told].filter(Boolean).join(" · ");
  }
}

/** Take away what an undone edit changed. */
export function cleared() {
  byId("panel-card").hidden = true;
}
