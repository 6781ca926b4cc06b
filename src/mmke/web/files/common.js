// What every page of mmke shares: calls to the server with the token of this start, and building elements.

export { byId, el } from "./elements.js";

const TOKEN = "mmke-token";

// The token comes in the address, behind #. It is kept for this tab and taken out of the address.
const given = location.hash.slice(1);
if (given) {
  sessionStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}
// The same tab can be sent to the address of a later start; only its # differs, so that nothing would be loaded.
addEventListener("hashchange", () => location.reload());

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // 0: the server does not answer
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, told.message ?? `The server answered ${answer.status}.`);
}

const carried = () => ({ "x-mmke-token": sessionStorage.getItem(TOKEN) ?? "" });

/** Return what the server answers; with `body` it is sent as JSON. Throws Refused. */
export async function call(path, body) {
  const options = body === undefined
    ? { headers: carried() }
    : { method: "POST", headers: { ...carried(), "content-type": "application/json" }, body: JSON.stringify(body) };
  return (await ask(path, options)).json();
}

/** Return an address of a picture that <img> can show; images cannot carry the token themselves. */
export async function picture(path) {
  return URL.createObjectURL(await (await ask(path, { headers: carried() })).blob());
}

/** Return a random key, which makes a step that is sent twice count once. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return what the server answers to a call in JSON, as it comes: a file. */
export const file = (path, body, options = {}) => ask(path,
  { method: "POST", headers: { ...carried(), "content-type": "application/json" }, body: JSON.stringify(body), ...options });

/** Send a file, whatever it calls itself. */
export const upload = (path, content, { headers = {}, ...options } = {}) => ask(path,
  { method: "POST", headers: { ...carried(), "content-type": "application/octet-stream", ...headers }, body: content, ...options });

/** Return the events of a long piece of work, one line of JSON each; leaving the loop stops the work. */
export async function* events(path, body, { file: content, headers, signal } = {}) {
  const answer = await (content ? upload(path, content, { headers, signal }) : file(path, body, { signal }));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read().catch((error) => { throw error.name === "AbortError" ? error : new Refused(0, "The server does not answer."); });
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines.map(JSON.parse);
  }
}
