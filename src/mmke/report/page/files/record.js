// One record: pictures, edit, and each question with its gold answer and what was said before and after.

import { el } from "./elements.js";
import { changeOf, compares, figure, points, way } from "./data.js";

/** Return what stands in the record's place; `about` has the same record of other editors, and what a click does. */
function showRecord(data, record, about) {
  const state = record.edits === undefined ? [] : [`${record.edits} edits in the model`];
  const copy = el("button", { type: "button", class: "plain copy", onclick: async (event) => copied(event.currentTarget, about.link()) }, "Copy link");
  const shownPictures = [...new Set(record.of.edits.map((edit) => edit.pic).filter((number) => number !== null))];
  const shared = tagsOfAll(record.of.probes);
  return [
    el("header", {},
      shownPictures.map((number) => picture(data, number, "the edit's picture")),
      el("div", { class: "title" },
        el("h3", { tabindex: "-1" }, about.name),
        el("p", { class: "muted" }, [record.about.editor, record.about.place, record.of.id, ...state].join(" · ")),
        record.of.edits.map((edit) => editOf(data, edit)),
        shared.size ? el("p", { class: "tags muted" }, tagged(shared)) : null),
      copy),
    about.others.length > 1 ? others(data, record, about) : null,
    ...groups(data, record, about, shared),
    unscored(data, record),
  ].filter((part) => part !== null);
}

async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The address bar has the link";
  }
}

function picture(data, number, what, small = false) {
  const { src, name, why } = data.pictures[number];
  if (!src) return el("div", { class: "missing" }, `No picture: ${why}.`, el("br"), name);
  return el("figure", { class: small ? "picture small" : "picture" }, el("img", { src, alt: `${what}: ${name}`, title: name }), small ? null : el("figcaption", {}, name));
}

function editOf(data, edit) {
  return el("div", { class: "edit" },
    el("p", { class: "muted" }, `Edit: ${data.texts[edit.q]}`),
    edit.from === null ? null : el("p", {}, el("span", { class: "unseen" }, "old answer: "), el("del", {}, data.texts[edit.from])),
    el("p", {}, el("span", { class: "unseen" }, "new answer: "), el("ins", {}, data.texts[edit.to])));
}

function others(data, record, about) {
  return el("nav", { class: "others", "aria-label": "The same record of other editors" }, about.others.map((other) =>
    el("a", { href: other.href, "aria-current": other.record === record ? "true" : null, onclick: (event) => { event.preventDefault(); about.choose(other.record); } },
      `${other.record.about.editor} ${other.score === null ? "" : figure(data, other.column ?? "", other.score)}`)));
}

const ROLES = [["recall", "The edit itself"], ["relation", "New knowledge"], ["locality", "Unrelated: should stay as it was"], ["hard locality", "Looks alike: should stay as it was"]];

function groups(data, record, about, shared) {
  const chosen = record.of.probes.map((probe, index) => ({ probe, index })).filter(({ probe }) => !about.kind || probe.kind === about.kind);
  return ROLES.map(([role, title]) => {
    const own = chosen.filter(({ probe }) => data.kinds[probe.kind]?.role === role);
    return own.length ? el("section", { class: "group" }, el("h4", {}, title), own.map(({ index }) => probeOf(data, record, index, shared))) : null;
  });
}

function probeOf(data, record, index, shared) {
  const probe = record.of.probes[index];
  const rows = record.rows.filter((row) => row.probe === index);
  const own = rows.find((row) => row.column === row.kind) ?? rows[0];
  const shown = record.of.edits.some((edit) => edit.pic === probe.pic);
  const tags = tagged(Object.entries(probe.tags).filter(([name]) => !shared.has(name)));
  return el("div", { class: "probe" },
    el("div", {},
      el("p", {}, el("span", { class: "chip" }, data.kinds[probe.kind].label), " ", el("span", { class: "ask" }, data.texts[probe.q])),
      probe.pic !== null && !shown ? picture(data, probe.pic, "the question's picture", true) : null),
    el("div", { class: "scores" }, own ? scoreOf(data, own) : null),
    el("dl", { class: "said" }, el("dt", {}, "gold"), el("dd", {}, data.texts[probe.gold]), ...answersOf(data, rows, own)),
    rows.length < 2 ? null : el("p", { class: "more-scores" }, rows.filter((row) => row !== own).map((row) => `${row.column} ${row.value === null ? "unscored" : figure(data, row.column, row.value)}${row.floor === null ? "" : ` (floor ${figure(data, row.column, row.floor)})`}`).join(" · ")),
    tags ? el("p", { class: "tags" }, tags) : null);
}

/** Return the tags that all questions have alike; they are told once. */
function tagsOfAll(probes) {
  const first = Object.entries(probes[0]?.tags ?? {});
  return new Map(first.filter(([name, value]) => probes.every((probe) => probe.tags[name] === value)));
}

const tagged = (tags) => [...tags].map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`).join(" · ");

function scoreOf(data, row) {
  if (row.value === null) return el("span", { class: "chip care" }, `unscored: ${row.reason === null ? "no reason given" : data.texts[row.reason]}`);
  const change = changeOf(data, row);
  const floor = row.floor === null ? "" : `, floor ${figure(data, row.column, row.floor)}`;
  return el("span", {}, el("strong", {}, figure(data, row.column, row.value)), el("span", { class: way(change) }, change === null ? "" : ` ${points(change)}`), el("span", { class: "muted" }, floor));
}

// What was said: first under the gold answer, then freely written. A model that only feeds a comparison is named too.
function* answersOf(data, rows, own) {
  const seen = new Set();
  for (const row of own ? [own, ...rows] : rows) {
    for (const [answer, side] of [[row.before, "before"], [row.after, "after"]]) {
      if (answer === undefined || seen.has(answer) || [...seen].some((other) => alike(other, answer))) continue;
      seen.add(answer);
      yield el("dt", {}, `${side}${answer.free ? ", written" : ""}${answer.fed ? ", on its own answer" : ""}`);
      yield el("dd", {}, said(data, answer, compares(data, row) && side === "after" ? row.same : null));
    }
  }
}

const alike = (one, two) => one.who === two.who && one.text === two.text && !one.free === !two.free && !one.fed === !two.fed;

function said(data, answer, same) {
  const marks = same ?? answer.right;
  const told = same !== null && same !== undefined ? "tokens as the unedited model says" : "tokens right";
  const parts = [];
  if (marks === undefined || marks === null) parts.push(data.texts[answer.text] || el("em", { class: "muted" }, "(nothing)"));
  else parts.push(data.texts[answer.text], el("span", { class: "strip", "aria-hidden": "true" }, " ", [...marks].map((mark) => el("span", { class: mark === "1" ? "right" : "wrong" }, mark === "1" ? "■" : "□"))));
  if (marks) parts.push(el("span", { class: "count" }, `${[...marks].filter((mark) => mark === "1").length} of ${marks.length} ${told}`));
  if (answer.image) parts.push(el("span", { class: "count" }, `asked about the picture ${answer.image}`));
  return parts;
}

function unscored(data, record) {
  const lines = Object.entries(record.of.unscored).map(([kind, reason]) => el("li", {}, `${data.kinds[kind]?.label ?? kind}: ${data.texts[reason]}`));
  return lines.length ? el("section", {}, el("h4", {}, "Not asked"), el("ul", {}, lines)) : null;
}
