/* The lines of routechan.v1, which stand before the body of each frame: the specification is docs/spec/client-protocol.rst. */

import { LONGEST_TIMER } from "./settings.js";

export const PROTOCOL = "routechan.v1";

/* What became of what a client missed. */
export const OUTCOMES = ["joined", "recovered", "gap"];

/* The subprotocols to offer: `protocols` of the page, ours, and the last `id`, if there is one. */
export function offers(protocols, id) {
  const ours = id ? [PROTOCOL, `${PROTOCOL}.since.${id}`] : [PROTOCOL];
  const named = typeof protocols === "string" || Array.isArray(protocols) ? [].concat(protocols) : [];
  return ours.concat(named.filter((name) => name !== PROTOCOL)); // a browser refuses a list that names one twice
}

/* The frame `data`, a string or an ArrayBuffer, as `word`, `argument` and `body`; a message has the word "" and an id or "". */
export function parse(data) {
  let line, body;
  if (typeof data === "string") {
    const end = data.indexOf("\n");
    [line, body] = end < 0 ? [data, ""] : [data.slice(0, end), data.slice(end + 1)];
  } else {
    const found = new Uint8Array(data).indexOf(10);
    const end = found < 0 ? data.byteLength : found;
    [line, body] = [asText(data.slice(0, end)), data.slice(end + 1)];
  }
  if (!line.startsWith("!")) return { word: "", argument: line, body };
  const [word, argument = ""] = line.slice(1).split(" ");
  return { word, argument, body };
}

/* The `seconds` of a `!retry` in milliseconds; null where they are none, so that nobody comes back at once because of it. */
export function pauseOf(seconds) {
  return /^\d+(\.\d+)?$/.test(seconds) ? Math.min(Number(seconds) * 1000, LONGEST_TIMER) : null;
}

/* `data` behind `line`. */
export function framed(line, data) {
  return typeof data === "string" ? `${line}\n${data}` : new Blob([`${line}\n`, data]);
}

/* A body, a string or an ArrayBuffer, as text. */
export function asText(body) {
  return typeof body === "string" ? body : new TextDecoder().decode(body);
}
