// Pictures of one's own, and edits as files: chosen, dropped, pasted, saved.

import { byId, call, el, file, upload } from "./common.js";
import { ideas } from "./gallery.js";
import { chosenEditors } from "./editors.js";
import { page, say, show, trouble, work } from "./playing.js";

export function prepareFiles() {
  byId("own").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", () => { takePicture(byId("file").files[0]); byId("file").value = ""; });
  byId("open-file").addEventListener("click", () => byId("edits-file").click());
  byId("edits-file").addEventListener("change", () => { openEdits(byId("edits-file").files[0]); byId("edits-file").value = ""; });
  byId("save").addEventListener("click", chooseSaved);
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    const dropped = event.dataTransfer.files[0];
    if (dropped?.name.endsWith(".safetensors")) openEdits(dropped);
    else takePicture(dropped);
  });
  addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (pasted) { event.preventDefault(); takePicture(pasted); }
  });
}

async function takePicture(chosen) {
  if (!chosen) return;
  say("Reading the picture …");
  try {
    const { picture } = await (await upload("/api/upload", chosen)).json();
    page.record = null;
    ideas([]);
    await show(picture, chosen.name || "pasted picture");
    byId("trouble").hidden = true;
  } catch (error) {
    trouble(error.message);
  }
  say("");
}

function openEdits(chosen) {
  if (!chosen) return;
  work("load", {}, (event) => {
    if (event.event === "loaded") for (const box of document.querySelectorAll('input[name="editor"]')) box.checked = box.value === event.column;
    if (event.event === "done") say("The edits are in the model; ask it.");
  }, { file: chosen, headers: { "x-mmke-tab": page.tab } });
}

function chooseSaved() {
  const names = chosenEditors();
  if (names.length === 1) return save(names[0]);
  byId("save-buttons").replaceChildren(...names.map((name) => el("button", { onclick: () => { byId("save-dialog").close(); save(name); } }, name)));
  byId("save-dialog").showModal();
}

const save = (editor) => download("/api/save", { tab: page.tab, editor }, `edits-${page.about.backbone.replace(/[^\w.-]+/g, "-")}-${editor}.safetensors`);

export const share = () => download("/api/share", { tab: page.tab }, "mmke-play.html");

async function download(path, body, name) {
  say("Writing the file …");
  try {
    const address = URL.createObjectURL(await (await file(path, body)).blob());
    el("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    say(`Saved as ${name}.`);
  } catch (error) {
    trouble(error.message);
    say("");
  }
}
