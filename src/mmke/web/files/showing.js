// What is before the person: the state of the page, steps that can fail, a record or the end, and the way between.

import { byId, call, el, picture } from "./common.js";
import { readDraft } from "./drafts.js";
import { recordElements, textsOf } from "./record.js";
import { Timer } from "./timer.js";
import { check } from "./deciding.js";

export const NAME = "mmke-annotator"; // where a tab keeps who sits there
export const page = { start: null, person: null, view: null, editing: false, busy: false };
export const timer = new Timer();
export const main = byId("main");

export const send = (path, body) => call(`/api/${path}`, { annotator: page.person, ...body });

/** Do one step after the other; what goes wrong is shown, with a way to do it again where that can help. */
export async function step(doing) {
  if (page.busy) return;
  page.busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    await doing();
    byId("trouble").hidden = true;
  } catch (error) {
    await trouble(error, doing);
  } finally {
    page.busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

async function trouble(error, doing) {
  if (error.status === undefined) throw error;
  const again = error.status === 0 || error.status >= 500;
  const more = error.status === 0 ? " Nothing is lost: start the command again and open its address, or try again." : "";
  byId("trouble").replaceChildren(`${error.message}${more} `, again
    ? el("button", { onclick: () => step(doing) }, "Try again")
    : el("button", { onclick: () => { byId("trouble").hidden = true; } }, "All right"));
  byId("trouble").hidden = false;
  if (error.status === 409) await showNow();
  if (again) byId("trouble").querySelector("button").focus();
}

/** Show what is there now, after something was refused because it had changed. */
async function showNow() {
  const record = page.view?.record;
  try {
    show(await send("record", { record }));
  } catch {
    show(await send("next", {}));
  }
}

export function say(text) {
  byId("said").textContent = text;
}

export function show(view, { editing = false, corrections = null } = {}) {
  page.view = view;
  page.person = view.annotator;
  sessionStorage.setItem(NAME, view.annotator);
  byId("person").textContent = view.annotator;
  byId("person").hidden = false;
  progress(view.progress);
  if (view.record === null) return showNothing(view);
  view.both = view.original.text === view.target.text;
  const draft = readDraft(page.person, view.content);
  timer.restart();
  if (draft && !editing) say("Your draft is here again.");
  draw(editing || draft !== null, { ...(view.mine?.corrections ?? {}), ...(corrections ?? draft ?? {}) });
  scrollTo(0, 0);
  if (!page.editing) byId("record-title").focus();
}

export function draw(editing, corrections) {
  page.editing = editing;
  const texts = { ...textsOf(page.view), ...corrections };
  main.replaceChildren(...recordElements(page.view, texts, editing));
  byId("actions").hidden = false;
  byId("look-buttons").hidden = editing;
  byId("edit-buttons").hidden = !editing;
  allow(true);
  for (const image of main.querySelectorAll("img[data-role]")) load(image);
  if (editing) {
    main.querySelector('textarea[name="target"]').focus();
    check();
  }
}

/** Switch the buttons on that can do something; without a record only what leads back. */
function allow(record) {
  for (const id of ["accept", "correct", "reject", "following"]) byId(id).disabled = !record;
  byId("undo").disabled = page.view.progress.last === null;
  byId("previous").disabled = page.view.previous === null;
}

export const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function progress({ records, settled, decided, left }) {
  byId("progress").hidden = false;
  byId("bar").max = Math.max(decided + left, 1);
  byId("bar").value = decided;
  byId("count").textContent = `${decided} done, ${left} left for you`;
  byId("count").title = `${settled} of ${records} records settled`;
}

async function load(image) {
  const query = new URLSearchParams({ record: page.view.record, role: image.dataset.role });
  try {
    image.src = await picture(`/api/picture?${query}`);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  } catch (error) {
    image.alt = `${image.alt} (${error.message})`;
    image.parentElement.classList.add("gone");
  }
}

function showNothing(view) {
  page.editing = false;
  const { records, settled, waiting, disputed, left } = view.progress;
  const told = [];
  if (left) told.push(`Before other people now, and then perhaps for you: ${counted(left, "record")}. Look again in a while.`);
  const share = `verify.double in build.toml is ${view.double}`;
  if (waiting > 0) told.push(`Waiting for a second person: ${counted(waiting, "record")} (${share}).`);
  const own = view.own_disputes.length;
  const more = own
    ? "Nobody but its two sides has ever come, so you may decide yourself; the log says that it was you."
    : "Somebody who is not one of the two sides has to decide.";
  if (disputed) told.push(`Waiting for an adjudication: ${counted(disputed, "record")}. ${more}`);
  main.replaceChildren(el("section", { class: "welcome card" },
    el("h1", { tabindex: "-1", id: "record-title" }, left ? "Nothing is free for you now" : "That was all for you. Thank you."),
    el("p", {}, `${settled} of ${records} records settled.`),
    ...told.map((text) => el("p", { class: "note" }, text)),
    el("div", { class: "buttons" },
      own ? el("button", { class: "main", id: "own-dispute", onclick: () => ownDispute(view.own_disputes[0]) }, "Decide myself") : null,
      el("button", { id: "again", onclick: () => step(async () => show(await send("next", {}))) }, "Look again"))));
  byId("actions").hidden = false;
  byId("look-buttons").hidden = false;
  byId("edit-buttons").hidden = true;
  allow(false);
  byId("record-title").focus();
}

const ownDispute = (record) => step(async () => show(await send("record", { record, own_dispute: true })));

export function go(record) {
  if (record) step(async () => show(await send("record", { record })));
}

export function following() {
  const { record, following: behind } = page.view;
  if (record === null) return;
  if (behind) go(behind);
  else step(async () => show(await send("next", { after: record })));
}

export function zoom(role) {
  const pictures = page.view.pictures;
  const chosen = pictures.find((each) => each.role === role) ?? pictures[0];
  byId("zoom").dataset.role = chosen.role;
  byId("zoom-picture").dataset.role = chosen.role;
  byId("zoom-picture").alt = chosen.alt;
  byId("zoom-caption").textContent = `${chosen.title}: ${chosen.caption}`;
  load(byId("zoom-picture"));
  if (!byId("zoom").open) byId("zoom").showModal();
}

export function zoomBeside(by) {
  const roles = page.view.pictures.map((each) => each.role);
  zoom(roles[(roles.indexOf(byId("zoom").dataset.role) + by + roles.length) % roles.length]);
}
