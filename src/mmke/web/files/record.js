// A record as elements. `texts` are the texts as they stand with corrections; `editing` makes them fields.

import { el } from "./common.js";

const TURNS = { first: "First look", second: "Second look, blind", adjudication: "Adjudication" };
const DECISIONS = { accept: "Accept", correct: "Correct", reject: "Reject" };
const MINE = { accept: "You accepted this", correct: "You corrected this", reject: "You rejected this" };

/** Return every text of a record by its name. */
export function textsOf(view) {
  const texts = {};
  for (const prompt of view.prompts) texts[prompt.name] = prompt.text;
  texts.original = view.original.text;
  texts.target = view.target.text;
  for (const each of view.questions) {
    texts[`${each.key}.question`] = each.question;
    texts[`${each.key}.answer`] = each.answer;
  }
  return texts;
}

/** Return the elements of a record. */
export function recordElements(view, texts, editing) {
  const field = (name, label, marks) => textElement(view, texts, editing, name, label, marks);
  // Of a user's things nothing is replaced: both descriptions are the same, and one is enough to read.
  const both = view.both && texts.original === texts.target;
  return [
    head(view),
    ...notes(view),
    pictures(view),
    findingsElement(view, "record", ...view.pictures.map((each) => `pictures.${each.role}`)),
    view.sides.length ? sides(view) : null,
    el("section", { class: "card", "aria-label": "Edit" },
      el("div", { class: "told" },
        el("h3", {}, view.kind === "user" ? `What ${view.user} tells` : "Changed facts"),
        el("ul", { class: "facts" }, view.changes.map(change))),
      el("div", { class: "two" },
        both ? null : el("div", {}, el("h3", {}, "Description before"),
          field("original", "Description before the edit", { old: view.original.marks })),
        el("div", { class: both ? "both" : null }, el("h3", {}, both ? "Description" : "Description after"),
          field("target", "Description after the edit", { new: view.target.marks, replaced: view.replaced })),
        ...view.prompts.map((prompt) => el("div", {}, el("h3", {}, prompt.label), field(prompt.name, prompt.label))))),
    el("section", { class: "card", "aria-label": "Questions" },
      el("ol", { class: "questions" }, view.questions.map((each) => question(view, each, field)))),
    tags(view),
  ].filter((part) => part !== null);
}

function head(view) {
  const swapped = view.kind !== "user";
  return el("div", { class: "head" },
    el("h1", { tabindex: "-1", id: "record-title" }, view.subject,
      swapped ? el("span", { class: "arrow" }, ` in the picture of ${view.pictured}`) : null),
    el("span", { class: "chip strong", id: "turn" }, TURNS[view.turn]),
    el("span", { class: "chip" }, view.type),
    view.user ? el("span", { class: "chip" }, `user: ${view.user}`) : null,
    view.mine ? el("span", { class: "chip", id: "mine" }, MINE[view.mine.decision]) : null,
    el("span", { class: "muted" }, `${view.place} of ${view.progress.records}`));
}

function notes(view) {
  const told = [];
  if (view.party) told.push("You are one of the two who disagree; nobody else takes part.");
  if (view.stale) told.push("This record has changed since somebody decided on it, so it is asked again.");
  if (view.mine?.decision === "reject") {
    told.push(`Your reasons: ${[...view.mine.reasons, view.mine.comment].filter(Boolean).join("; ")}.`);
  }
  const made = told.map((text) => el("p", { class: "note" }, text));
  if (view.findings.length) {
    made.push(el("p", { class: "note care" },
      "A rule finds something here (▲). The export leaves this record out unless a correction changes that."));
  }
  return made;
}

function pictures(view) {
  const wide = (role) => (role === "one_hop" ? "wide" : role === "edit" ? "edited" : "");
  return el("ul", { class: "pictures", "aria-label": "Pictures" }, view.pictures.map((each) =>
    el("li", { class: wide(each.role) },
      el("button", { class: "picture", "data-role": each.role, "aria-label": `Zoom: ${each.alt}` },
        el("img", { alt: each.alt, "data-role": each.role })),
      el("p", { class: "caption" }, el("strong", {}, each.title), each.caption))));
}

function change({ relation, before, after }) {
  return el("li", {}, el("span", { class: "relation" }, relation),
    before ? [el("mark", { class: "old" }, before), " → "] : null, el("mark", {}, after));
}

function question(view, each, field) {
  const pointed = view.pictures.find((picture) => picture.role === each.picture);
  return el("li", {},
    el("div", { class: "kind" }, each.label,
      el("div", {}, pointed ? `picture: ${pointed.title.toLowerCase()}` : "no picture")),
    el("div", {}, field(`${each.key}.question`, `Question: ${each.label}`)),
    el("div", { class: "answer" }, field(`${each.key}.answer`, `Gold answer: ${each.label}`),
      each.before ? el("span", { class: "before" }, `before: ${each.before}`) : null),
    findingsElement(view, `${each.key}.question`, `${each.key}.answer`, each.key));
}

function textElement(view, texts, editing, name, label, marks) {
  const original = textsOf(view)[name];
  const own = name.includes(".") ? null : findingsElement(view, name);
  if (editing) {
    const rows = CSS.supports("field-sizing", "content") ? 1 : Math.ceil(texts[name].length / 50) || 1;
    const area = el("textarea", { name, "aria-label": label, rows, spellcheck: "true" });
    area.value = texts[name];
    return el("div", {}, area, own);
  }
  const shown = marked(texts[name], marks ?? {});
  return el("div", {},
    el("p", { class: "words", "data-text": name }, name.endsWith(".answer") ? el("b", {}, shown) : shown),
    texts[name] === original ? null : el("p", { class: "was" }, el("span", { class: "unseen" }, "was: "), original),
    own);
}

/** Return a text in pieces, with the values of each class marked. Longer values go first. */
function marked(text, marks) {
  const classes = Object.entries(marks).flatMap(([name, values]) => values.map((value) => [value.toLowerCase(), name]));
  const values = classes.map(([value]) => value).sort((one, other) => other.length - one.length);
  if (!values.length) return [text];
  const escaped = values.map((value) => value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  // Not within a longer word: "Oman" is not marked in "woman".
  const pieces = text.split(new RegExp(`(?<![\\p{L}\\p{N}])(${escaped.join("|")})(?![\\p{L}\\p{N}])`, "giu"));
  const known = new Map(classes);
  return pieces.map((piece, n) => (n % 2 ? el("mark", { class: known.get(piece.toLowerCase()) }, piece) : piece));
}

/** Return the list of what the rules say at one of these places; `showFindings` fills it anew. */
function findingsElement(view, ...places) {
  const list = el("ul", { class: "findings", "data-places": places.join(" ") });
  fill(list, view.findings, view);
  return list;
}

function fill(list, findings, view) {
  const places = list.dataset.places.split(" ");
  const known = new Set([...Object.keys(textsOf(view)), ...view.questions.map((each) => each.key),
    ...view.pictures.map((each) => `pictures.${each.role}`)]);
  const here = findings.filter(({ place }) => places.includes(known.has(place) ? place : "record"));
  list.replaceChildren(...here.map(({ rule, place, message }) => {
    const of = view.pictures.find((each) => place === `pictures.${each.role}`);
    return el("li", {}, `${of ? `${of.title}: ` : ""}${message} `, el("span", { class: "chip" }, rule));
  }));
}

/** Show what the rules say of a correction at its places. */
export function showFindings(root, findings, view) {
  for (const list of root.querySelectorAll("[data-places]")) fill(list, findings, view);
}

function sides(view) {
  return el("section", { class: "card", "aria-label": "Disagreement" },
    el("h2", {}, "They disagree. You decide."),
    el("div", { class: "sides" }, view.sides.map((side, n) => el("div", { class: "side", id: `side-${n + 1}` },
      el("p", {}, `Side ${n + 1}: `, el("span", { class: `decision ${side.decision}` }, DECISIONS[side.decision])),
      side.reasons.length ? el("p", {}, side.reasons.join("; ")) : null,
      side.comment ? el("p", { class: "muted" }, `“${side.comment}”`) : null,
      Object.entries(side.corrections).map(([name, text]) =>
        el("p", {}, el("span", { class: "muted" }, `${labelOf(view, name)}: `), text)),
      side.decision === "correct"
        ? el("button", { "data-side": n, "aria-keyshortcuts": `${n + 1}` }, "Begin with this correction ", el("kbd", {}, `${n + 1}`))
        : null))));
}

function labelOf(view, name) {
  const [key, part] = name.split(".");
  const of = view.questions.find((each) => each.key === key);
  return of ? `${of.label}, ${part}` : { target: "Description after", original: "Description before" }[name] ?? name;
}

function tags(view) {
  const entries = Object.entries(view.tags);
  if (!entries.length) return null;
  return el("p", { class: "head", "aria-label": "Tags" },
    entries.map(([name, value]) => el("span", { class: "chip" }, `${name}: ${value}`)));
}
