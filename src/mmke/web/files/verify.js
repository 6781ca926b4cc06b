// The verification page: how it starts, and what the keys do.

import { byId, call, el } from "./common.js";
import { correct, decide, leave, reject, rejectNow, save, takeSide, typed, undo } from "./deciding.js";
import { counted, following, go, main, NAME, page, send, show, step, zoom, zoomBeside } from "./showing.js";

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
