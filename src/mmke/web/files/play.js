// The page where people edit a model: how it starts, and what its buttons do.

import { byId, call, el, file } from "./common.js";
import { prepareGallery, takeRecord } from "./gallery.js";
import { chooseEditors, chosenEditors } from "./editors.js";
import { prepareFiles, share } from "./files.js";
import { cleared, newCard, panelEvent, showStack } from "./answers.js";
import { newTab, page, say, setReady, show, work } from "./playing.js";

const POLL = 600; // milliseconds between two looks at whether the model is there

export function ask(question = byId("question").value, picture = page.picture) {
  byId("question").value = question;
  const card = newCard(question, picture, chosenEditors());
  work("ask", { question, picture, editors: chosenEditors(), most: page.most }, card.event);
}

function edit() {
  const editors = chosenEditors();
  if (editors.length === 0) return say("Choose at least one editor.");
  const made = { question: byId("question").value, target: byId("target").value, picture: page.picture };
  if (page.record?.question === made.question && page.record?.picture === made.picture) made.record = page.record.record;
  const card = newCard(made.question, made.picture, editors, made.target);
  work("edit", { edit: made, editors, most: page.most }, (event) => { card.event(event); panelEvent(event); });
}

function undo(all) {
  work("undo", { all }, (event) => {
    if (event.event !== "fingerprint") return;
    cleared();
    const told = event.same
      ? ["Undone. The model is bit for bit what it was at the start: fingerprint ", el("code", {}, event.value.slice(0, 12)), ", the same as then."]
      : ["The model's fingerprint is another one than at the start. This is a bug; please report it."];
    byId("fingerprint").replaceChildren(...told);
    byId("fingerprint").hidden = false;
  });
}

function repeat() {
  const editors = chosenEditors();
  work("repeat", { edits: page.edits, editors }, () => {});
}

async function ready() {
  for (;;) {
    const state = await call("/api/state").catch((error) => ({ state: "gone", message: error.message }));
    if (state.state === "ready") {
      byId("loading").hidden = true;
      byId("model").textContent = `${page.about.backbone} · ${page.about.device} · ${state.precision}`;
      chooseEditors(state.editors);
      return setReady(true);
    }
    byId("loading").textContent = state.state === "loading"
      ? `The model is being loaded (${state.message}). You can choose a picture meanwhile.`
      : state.message;
    if (state.state === "failed") return byId("loading").classList.add("care");
    await new Promise((wait) => setTimeout(wait, POLL));
  }
}

function prepare() {
  byId("ask-form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("edit-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (byId("question").reportValidity()) edit();
  });
  const clicks = {
    undo: () => undo(false), "undo-all": () => undo(true), share, stop: () => page.stop?.abort(), without: () => show(null, ""),
  };
  for (const [id, doing] of Object.entries(clicks)) byId(id).addEventListener("click", doing);
  addEventListener("pagehide", () => {
    if (page.tab) file("/api/leave", { tab: page.tab }, { keepalive: true }).catch(() => {});
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  prepareGallery(ask);
  prepareFiles();
}

async function start() {
  page.about = await call("/api/about");
  byId("model").textContent = `${page.about.backbone} · ${page.about.device}`;
  prepare();
  page.repeat = repeat;
  await newTab();
  await takeRecord(page.about.example);
  showStack(page.edits);
  await ready();
}

start().catch((error) => {
  byId("loading").textContent = error.message;
  byId("loading").classList.add("care");
});
