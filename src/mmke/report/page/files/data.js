// The records, unpacked: JSON, compressed with gzip, in base64 in the page. And what is computed of them.

import { byId } from "./elements.js";

const CLOSE = 1e-9;
const USUAL = { unit: "per cent", higher: true }; // what a column is that run.json does not describe, as in tables

async function unpacked() {
  const packed = byId("data").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

/** Return the data with what is shown of each record: its name in addresses, its place, and its rows by name. */
function prepared(data) {
  const about = ["source", "backbone", "benchmark", "hop", "protocol", "schedule", "order", "seed", "editor"];
  const several = about.filter((name) => new Set(data.runs.map((run) => run[name])).size > 1);
  for (const run of data.runs) {
    const words = { hop: `hop ${run.hop}`, seed: `seed ${run.seed}`, order: run.order === null ? "" : `order ${run.order}` };
    run.parts = several.filter((name) => run[name] !== null).map((name) => String(run[name]));
    run.place = several.filter((name) => name !== "editor").map((name) => words[name] ?? String(run[name])).filter(Boolean).join(", ") || run.benchmark;
  }
  for (const record of data.records) {
    record.about = data.runs[record.run];
    record.of = data.cases[record.case];
    record.rows = record.rows.map(([probe, column, value, floor, before, after, reason, same]) =>
      ({ probe, column, value, floor, before: record.answers[before], after: record.answers[after], reason, same, kind: kindOf(data, record, probe, column) }));
    const state = record.edits === undefined ? [] : [`${record.edits} edits`];
    record.key = [...record.about.parts, record.of.id, ...state].join("/");
    record.texts = null;
  }
  // Editors first: the unedited model's own records are looked at last.
  data.records.sort((a, b) => (a.about.editor === "none") - (b.about.editor === "none"));
  data.byKey = new Map(data.records.map((record) => [record.key, record]));
  return data;
}

function kindOf(data, record, probe, column) {
  return probe === null ? (data.columns[column]?.kind ?? column) : record.of.probes[probe].kind;
}

/** Whether a row compares two models: its value says how much stayed as it was. */
function compares(data, row) {
  return (data.kinds[row.kind]?.role ?? "").includes("locality");
}

/** Return by how much a row changed for the better: over the floor, or away from "nothing moved"; null: not known. */
function changeOf(data, row) {
  const column = data.columns[row.column] ?? USUAL;
  if (row.value === null) return null;
  const sign = column.higher ? 1 : -1;
  if (row.floor !== null) return sign * (row.value - row.floor);
  if (!compares(data, row)) return null;
  return column.unit === "per cent" && column.higher ? row.value - 1 : column.higher ? null : -row.value;
}

/** Return score and change of a record over some of its rows; null where none has one. */
function summary(data, rows) {
  const scored = rows.filter((row) => row.value !== null);
  const changes = scored.map((row) => changeOf(data, row)).filter((change) => change !== null);
  return { score: mean(scored.map((row) => row.value)), change: mean(changes), better: changes.some((c) => c > CLOSE), worse: changes.some((c) => c < -CLOSE) };
}

function mean(values) {
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

/** Return a figure of a column as text. */
function figure(data, column, value) {
  if (value === null || value === undefined) return "–";
  return (data.columns[column] ?? USUAL).unit === "per cent" ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
}

function points(change) {
  if (change === null) return "";
  const rounded = (100 * change).toFixed(1);
  return Number(rounded) === 0 ? "±0" : `${change > 0 ? "+" : "−"}${rounded.replace("-", "")}`;
}

function way(change) {
  return change === null || Math.abs(change) < 0.0005 ? "flat" : change > 0 ? "up" : "down";
}
