// The verification page: which record is before whom, what the keys do, and what is sent.

import { byId, call, el, newKey, picture } from "./common.js";
import { dropDraft, keepDraft, readDraft } from "./drafts.js";
import { recordElements, showFindings, textsOf } from "./record.js";
import { Timer } from "./timer.js";

const NAME = "mmke-annotator";
const page = { start: null, person: null, view: null, editing: false, busy: false };
const timer = new Timer();
const main = byId("main");

// ---- calls -------------------------------------------------------------------------------------------------------

const send = (path, body) => call(`/api/${path}`, { annotator: page.person, ...body });

/** Do one step after the other; what goes wrong is shown, with a way to do it again where that can help. */
async function step(doing) {
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

// ---- what is shown -----------------------------------------------------------------------------------------------

function say(text) {
  byId("said").textContent = text;
}

function show(view, { editing = false, corrections = null } = {}) {
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

function draw(editing, corrections) {
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

const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function progress({ records, settled, decided, left }) {
  byId("progress").hidden = false;
  byId("bar").max = Math.max(decided + left, 1);
  byId("bar").value = decided;
  byId("count").textContent = `${decided} done, ${left} left for you`;
  byId("count").title = `${settled} of ${records} records are settled`;
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
    el("p", {}, `${settled} of ${records} records are settled.`),
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

// ---- verdicts ----------------------------------------------------------------------------------------------------

function decide(decision, { reasons = [], comment = "", corrections = {} } = {}) {
  const { record, content, mine, turn } = page.view;
  const body = {
    key: newKey(), record, content, turn, decision, reasons, comment, corrections,
    over: mine?.key ?? null, seconds: timer.seconds(),
  };
  return step(async () => {
    const next = await send("decide", body);
    dropDraft(page.person, content);
    const done = { accept: "Accepted", correct: "Correction saved", reject: "Rejected" }[decision];
    say(`${done} after ${Math.round(body.seconds)} s.`);
    show(next);
  });
}

function undo() {
  const last = page.view.progress.last;
  if (last === null) return;
  const key = newKey();
  step(async () => {
    const view = await send("undo", { key, last });
    say("Your last verdict is taken back.");
    show(view);
  });
}

function go(record) {
  if (record) step(async () => show(await send("record", { record })));
}

function following() {
  const { record, following: behind } = page.view;
  if (record === null) return;
  if (behind) go(behind);
  else step(async () => show(await send("next", { after: record })));
}

// ---- correcting --------------------------------------------------------------------------------------------------

/** Return the texts of the fields that differ from the record's. */
function corrections() {
  const texts = textsOf(page.view);
  const found = {};
  for (const { name, value } of main.querySelectorAll("textarea")) {
    if (value.trim() !== texts[name]) found[name] = value.trim();
  }
  // One field stands for both descriptions where they are the same.
  if (page.view.both && "target" in found) found.original = found.target;
  return found;
}

let checking = 0;

function typed() {
  if (!keepDraft(page.person, page.view.content, corrections())) say("This browser keeps no draft; save before you leave.");
  clearTimeout(checking);
  checking = setTimeout(check, 400);
}

async function check() {
  const { record } = page.view;
  try {
    const { findings } = await send("check", { record, corrections: corrections() });
    if (!page.editing || page.view.record !== record) return;
    showFindings(main, findings, page.view);
    say(findings.length ? `The rules find ${counted(findings.length, "thing")}. You may save; the export leaves the record out while they stand.` : "The rules find nothing.");
  } catch (error) {
    say(error.message);
  }
}

function save() {
  const changed = corrections();
  const empty = Object.keys(changed).find((name) => !changed[name]);
  if (empty) return say("A text is empty. Reject the record instead.");
  if (!Object.keys(changed).length) return say("Nothing is changed. Leave, and accept the record instead.");
  decide("correct", { corrections: changed });
}

function leave({ keep }) {
  clearTimeout(checking);
  if (!keep) dropDraft(page.person, page.view.content);
  const kept = keep && Object.keys(corrections()).length;
  draw(false, page.view.mine?.corrections ?? {});
  say(kept ? "The draft is kept; c goes on with it." : "");
  byId("record-title").focus();
}

function correct(from = null) {
  const draft = readDraft(page.person, page.view.content);
  draw(true, { ...(page.view.mine?.corrections ?? {}), ...(from ?? draft ?? {}) });
}

function takeSide(number) {
  const side = page.view.sides[number];
  if (side?.decision === "correct") correct(side.corrections);
}

// ---- rejecting, zoom, help ---------------------------------------------------------------------------------------

function reject() {
  const mine = page.view.mine?.decision === "reject" ? page.view.mine : { reasons: [], comment: "" };
  for (const box of byId("reasons").querySelectorAll("input")) box.checked = mine.reasons.includes(box.value);
  byId("comment").value = mine.comment;
  byId("reject-wrong").textContent = "";
  byId("reject-dialog").showModal();
  byId("reasons").querySelector("input")?.focus();
}

function rejectNow(event) {
  event.preventDefault();
  const reasons = [...byId("reasons").querySelectorAll("input:checked")].map((box) => box.value);
  if (!reasons.length && page.start.reasons.length) {
    byId("reject-wrong").textContent = "Choose at least one reason.";
    return;
  }
  byId("reject-dialog").close();
  decide("reject", { reasons, comment: byId("comment").value });
}

function zoom(role) {
  const pictures = page.view.pictures;
  const chosen = pictures.find((each) => each.role === role) ?? pictures[0];
  byId("zoom").dataset.role = chosen.role;
  byId("zoom-picture").dataset.role = chosen.role;
  byId("zoom-picture").alt = chosen.alt;
  byId("zoom-caption").textContent = `${chosen.title}: ${chosen.caption}`;
  load(byId("zoom-picture"));
  if (!byId("zoom").open) byId("zoom").showModal();
}

function zoomBeside(by) {
  const roles = page.view.pictures.map((each) => each.role);
  zoom(roles[(roles.indexOf(byId("zoom").dataset.role) + by + roles.length) % roles.length]);
}

// ---- keys --------------------------------------------------------------------------------------------------------

const LOOK = {
  a: () => decide("accept"), c: () => correct(), r: reject, u: undo, z: () => zoom(), ArrowRight: following,
  ArrowLeft: () => go(page.view.previous), 1: () => takeSide(0), 2: () => takeSide(1),
};
const NOTHING = { u: undo, ArrowLeft: () => go(page.view.previous) };

function pressed(event) {
  if (event.isComposing || event.altKey) return;
  if (byId("reject-dialog").open) return chooseReason(event);
  if (byId("zoom").open) return event.key === "ArrowRight" ? zoomBeside(1) : event.key === "ArrowLeft" ? zoomBeside(-1) : null;
  if (byId("help").open || !page.view) return;
  if (page.editing) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); save(); }
    if (event.key === "Escape") leave({ keep: true });
    return;
  }
  if (page.busy || event.ctrlKey || event.metaKey || event.target.matches("input, textarea")) return;
  if (event.key === "?") return byId("help").showModal();
  const doing = (page.view.record === null ? NOTHING : LOOK)[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (doing && !event.repeat) {
    event.preventDefault();
    doing();
  }
}

function chooseReason(event) {
  if (event.target === byId("comment") || event.ctrlKey || event.metaKey) return;
  const box = byId("reasons").querySelectorAll("input")[Number(event.key) - 1];
  if (box) {
    box.checked = !box.checked;
    box.focus();
  } else if (event.key === "Enter" && event.target.matches("input")) {
    rejectNow(event);
  }
}

// ---- start -------------------------------------------------------------------------------------------------------

function askName() {
  page.view = null;
  sessionStorage.removeItem(NAME);
  byId("actions").hidden = byId("person").hidden = byId("progress").hidden = true;
  const input = el("input", { id: "name", maxlength: "60", autocomplete: "name", required: true });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const begin = async (event) => {
    event.preventDefault();
    try {
      page.person = (await call("/api/name", { annotator: input.value })).annotator;
    } catch (error) {
      wrong.textContent = error.message;
      return;
    }
    step(async () => show(await send("next", {})));
  };
  main.replaceChildren(el("section", { class: "welcome card" },
    el("h1", {}, `Verify ${page.start.name}`),
    el("p", {}, `${counted(page.start.records, "record")} in all. Look at each: are the pictures, the description, the questions and their answers right?`),
    el("form", { onsubmit: begin },
      el("label", { for: "name" }, "Your name, for the log. Exports leave it out unless they are told to name people."),
      input, wrong, el("button", { class: "main" }, "Begin"))));
  input.focus();
}

function prepare() {
  byId("benchmark").textContent = page.start.name;
  byId("reasons").append(...page.start.reasons.map((reason, n) =>
    el("label", {}, el("input", { type: "checkbox", value: reason }), reason, n < 9 ? el("kbd", {}, `${n + 1}`) : null)));
  const clicks = {
    accept: () => decide("accept"), correct: () => correct(), reject, undo, previous: () => go(page.view.previous), following,
    save, leave: () => leave({ keep: true }), discard: () => leave({ keep: false }), person: askName,
    "reject-cancel": () => byId("reject-dialog").close(), "help-button": () => byId("help").showModal(),
  };
  for (const [id, doing] of Object.entries(clicks)) byId(id).addEventListener("click", doing);
  byId("reject-dialog").querySelector("form").addEventListener("submit", rejectNow);
  addEventListener("keydown", pressed);
  main.addEventListener("input", (event) => { if (event.target.matches("textarea")) typed(); });
  main.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.role) zoom(button.dataset.role);
    if (button?.dataset.side) takeSide(Number(button.dataset.side));
  });
}

step(async () => {
  page.start = await call("/api/start");
  prepare();
  page.person = sessionStorage.getItem(NAME) ?? page.start.annotator;
  if (page.person) show(await send("next", {}));
  else askName();
});
