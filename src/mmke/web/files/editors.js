// The editors that can be chosen.

import { byId, el } from "./common.js";

const FIRST = ["ft-llm", "serac"]; // one that rewrites weights, and one that decides question by question

export function chooseEditors(editors) {
  const usable = editors.filter((each) => each.reason === null);
  const wanted = usable.filter((each) => FIRST.includes(each.name));
  const first = new Set((wanted.length ? wanted : usable.slice(0, 1)).map((each) => each.name));
  const boxes = editors.map(({ name, summary, reason }) =>
    el("label", { title: reason ?? summary },
      el("input", { type: "checkbox", name: "editor", value: name, disabled: reason !== null, checked: first.has(name) }), name));
  byId("no-editors").replaceWith(...boxes);
}

export function chosenEditors() {
  return [...document.querySelectorAll('input[name="editor"]:checked')].map((box) => box.value);
}
