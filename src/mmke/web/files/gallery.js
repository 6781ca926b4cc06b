// The pictures that come with the package, by category; choosing one takes its record's edit with it.

import { byId, call, el } from "./common.js";
import { page, show, thumbnail, trouble } from "./playing.js";

let asking = null;

export function prepareGallery(ask) {
  asking = ask;
  const kinds = page.about.gallery;
  const buttons = kinds.map((kind) => el("button", { "aria-pressed": "false", onclick: () => open(kind) }, kind.label));
  byId("kinds").append(...buttons);
  byId("choose").addEventListener("click", () => {
    if (!byId("shelf").childElementCount) open(kinds[0]);
    byId("gallery").showModal();
  });
  byId("gallery-close").addEventListener("click", () => byId("gallery").close());
  function open(kind) {
    buttons.forEach((button, n) => button.setAttribute("aria-pressed", String(kinds[n] === kind)));
    byId("shelf").replaceChildren(...kind.types.map(({ type, records }) =>
      el("section", { class: "shelf-type" }, el("h3", {}, type), el("div", { class: "shelf" }, ...records.map(tile)))));
  }
}

function tile({ record, subject, picture }) {
  return el("button", { "data-record": record, onclick: () => takeRecord(record) }, thumbnail(picture), subject);
}

/** Take a record: its picture, its edit, and the questions that it should change. */
export async function takeRecord(name) {
  try {
    const record = await call("/api/record", { record: name });
    byId("gallery").close();
    page.record = record;
    await show(record.picture, record.subject);
    byId("question").value = record.question;
    byId("target").value = record.target;
    ideas(record.questions);
  } catch (error) {
    byId("gallery").close();
    trouble(error.message);
  }
}

export function ideas(questions) {
  byId("ideas").hidden = questions.length === 0;
  byId("ideas").replaceChildren(...questions.map(({ kind, question, answer, picture }) =>
    el("li", {}, el("button", { type: "button", "data-asks": true, disabled: !page.ready, title: `${kind}; after the edit: ${answer}`, onclick: () => asking(question, picture) },
      picture && picture !== page.picture ? [thumbnail(picture), " "] : null, question))));
}
