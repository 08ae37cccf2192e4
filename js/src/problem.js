/* Errors of the bridge: an `Error` with a `code`. */

export function problem(code, text) {
  return Object.assign(new Error(text), { code });
}
