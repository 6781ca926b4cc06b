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
  } catch {
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
