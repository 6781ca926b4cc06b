// What a person decides: verdicts, corrections in place with the rules beside them, reasons of a rejection, undo.

import { byId, newKey } from "./common.js";
import { dropDraft, keepDraft, readDraft } from "./drafts.js";
import { showFindings, textsOf } from "./record.js";
import { counted, draw, main, page, say, send, show, step, timer } from "./showing.js";

export function decide(decision, { reasons = [], comment = "", corrections = {} } = {}) {
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

export function undo() {
  const last = page.view.progress.last;
  if (last === null) return;
  const key = newKey();
  step(async () => {
    const view = await send("undo", { key, last });
    say("Your last verdict is taken back.");
    show(view);
  });
}

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

export function typed() {
  if (!keepDraft(page.person, page.view.content, corrections())) say("This browser keeps no draft; save before you leave.");
  clearTimeout(checking);
  checking = setTimeout(check, 400);
}

export async function check() {
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

export function save() {
  const changed = corrections();
  const empty = Object.keys(changed).find((name) => !changed[name]);
  if (empty) return say("A text is empty. Reject the record instead.");
  if (!Object.keys(changed).length) return say("Nothing is changed. Leave, and accept the record instead.");
  decide("correct", { corrections: changed });
}

export function leave({ keep }) {
  clearTimeout(checking);
  if (!keep) dropDraft(page.person, page.view.content);
  const kept = keep && Object.keys(corrections()).length;
  draw(false, page.view.mine?.corrections ?? {});
  say(kept ? "The draft is kept; c goes on with it." : "");
  byId("record-title").focus();
}

export function correct(from = null) {
  const draft = readDraft(page.person, page.view.content);
  draw(true, { ...(page.view.mine?.corrections ?? {}), ...(from ?? draft ?? {}) });
}

export function takeSide(number) {
  const side = page.view.sides[number];
  if (side?.decision === "correct") correct(side.corrections);
}

export function reject() {
  const mine = page.view.mine?.decision === "reject" ? page.view.mine : { reasons: [], comment: "" };
  for (const box of byId("reasons").querySelectorAll("input")) box.checked = mine.reasons.includes(box.value);
  byId("comment").value = mine.comment;
  byId("reject-wrong").textContent = "";
  byId("reject-dialog").showModal();
  byId("reasons").querySelector("input")?.focus();
}

export function rejectNow(event) {
  event.preventDefault();
  const reasons = [...byId("reasons").querySelectorAll("input:checked")].map((box) => box.value);
  if (!reasons.length && page.start.reasons.length) {
    byId("reject-wrong").textContent = "Choose at least one reason.";
    return;
  }
  byId("reject-dialog").close();
  decide("reject", { reasons, comment: byId("comment").value });
}
