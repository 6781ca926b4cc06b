// What the page knows of itself, and how work is done: one thing at a time, its events as they come.

import { byId, call, el, events, picture } from "./common.js";
import { showStack } from "./answers.js";

const TAB = "mmke-play-tab";
export const page = { about: null, tab: null, picture: null, record: null, edits: [], editors: [], ready: false, stop: null, most: 40, repeat: null };
const shown = new Map(); // addresses of pictures by their ids

/** Begin a tab, or go on with the one that was here before it was loaded again. */
export async function newTab() {
  const before = await mine(sessionStorage.getItem(TAB));
  const { tab, new: fresh, edits } = await call("/api/open", { tab: before });
  page.tab = tab;
  sessionStorage.setItem(TAB, tab);
  mine(tab);
  page.edits = fresh && !edits.length ? page.edits : edits;
}

/** Return the tab's name unless another tab, of which this one is a copy, still has it. */
function mine(name) {
  if (!name || !navigator.locks) return Promise.resolve(null);
  return new Promise((answer) => {
    navigator.locks.request(`mmke-play-${name}`, { ifAvailable: true }, (lock) => {
      answer(lock ? name : null);
      return lock ? new Promise(() => {}) : undefined; // held until the tab is closed
    });
  });
}

export function say(text) {
  byId("said").textContent = text;
}

export function setReady(ready) {
  page.ready = ready;
  allow();
}

function allow() {
  const idle = page.ready && page.stop === null;
  for (const id of ["ask", "edit", "undo", "undo-all", "save", "share", "open-file"]) byId(id).disabled = !idle;
  byId("stop").hidden = page.stop === null;
  for (const button of document.querySelectorAll("[data-asks]")) button.disabled = !idle;
}

/** Return an address for <img> of a picture by its id. */
export function address(id) {
  if (!shown.has(id)) shown.set(id, picture(`/api/picture?id=${id}`));
  return shown.get(id);
}

export function thumbnail(id, alt = "") {
  if (id === null) return null;
  const image = el("img", { alt });
  address(id).then((found) => { image.src = found; }, () => { image.classList.add("black"); });
  return image;
}

/** Put a picture before the person. */
export async function show(id, caption) {
  page.picture = id;
  byId("caption").textContent = caption;
  byId("picture").hidden = id === null;
  byId("no-picture").hidden = id !== null;
  byId("picture").alt = caption || "your picture";
  if (id !== null) byId("picture").src = await address(id);
}

/** Do one thing: send it, and hand on its events until it is done. */
export async function work(path, body, take, options = {}) {
  if (!page.ready || page.stop !== null) return;
  page.stop = new AbortController();
  byId("trouble").hidden = true;
  byId("fingerprint").hidden = true;
  say("");
  allow();
  try {
    await takeAll(path, body, take, { ...options, signal: page.stop.signal });
    say("");
  } catch (error) {
    take({ event: "ended" });
    if (error.name === "AbortError") say("Stopped.");
    else if (error.status === 410) await gone(error.message);
    else if (error.status === undefined) throw error;
    else trouble(error.message);
  } finally {
    page.stop = null;
    allow();
  }
}

async function takeAll(path, body, take, options, tries = 8) {
  try {
    for await (const event of events(`/api/${path}`, { tab: page.tab, ...body }, options)) {
      common(event);
      take(event);
    }
  } catch (error) {
    // What was stopped ends after its present step.
    if (error.status !== 409 || tries === 0) throw error;
    await new Promise((wait) => setTimeout(wait, 400));
    await takeAll(path, body, take, options, tries - 1);
  }
}

function common(event) {
  if (event.event === "waiting") say(`Waiting: ${event.before} before you.`);
  if (event.event === "say" && event.column === "panel") say(event.words);
  if (event.event === "stack") showStack(page.edits = event.edits);
  if (event.event === "failed") trouble(event.message);
}

export function trouble(message, button = null) {
  byId("trouble").replaceChildren(`${message} `, button ?? el("button", { onclick: () => { byId("trouble").hidden = true; } }, "All right"));
  byId("trouble").hidden = false;
}

/** Begin anew where the server put this tab's session away, and offer to make its edits again. */
async function gone(message) {
  const edits = page.edits;
  sessionStorage.removeItem(TAB);
  await newTab();
  page.edits = edits;
  showStack([]);
  const again = el("button", { id: "repeat", onclick: () => { byId("trouble").hidden = true; page.repeat(); } }, "Make them again");
  trouble(message, edits.length ? again : null);
}
