/* The questions of a page that wait for an answer of the server. */

import { problem } from "./problem.js";
import { LONGEST_TIMER } from "./settings.js";

const MAX_OPEN = 100;

export class Questions {
  /* `write(number, text)` sends a question. */
  constructor(write) {
    this._write = write;
    this._open = new Map();
    this._number = 0;
  }

  /* A promise of the answer to `text`, as text; it fails after `timeout` milliseconds. */
  ask(text, timeout) {
    if (typeof timeout !== "number" || !(timeout > 0 && timeout <= LONGEST_TIMER)) {
      const expected = `timeout is a number of milliseconds above 0, at most ${LONGEST_TIMER}`;
      return Promise.reject(new TypeError(`${expected}, not ${String(timeout)}`));
    }
    if (this._open.size >= MAX_OPEN) {
      return Promise.reject(problem("ENOBUFS", `${MAX_OPEN} questions wait for their answers already`));
    }
    const number = String(++this._number);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this._close(number).reject(problem("ETIMEDOUT", `no answer within ${timeout} ms`));
      }, timeout);
      this._open.set(number, { resolve, reject, timer });
      try {
        this._write(number, text);
      } catch (error) {
        this._close(number).reject(error);
      }
    });
  }

  /* The question `number` has this answer. False where it is not open any more. */
  answered(number, text) {
    const question = this._close(number);
    if (question) question.resolve(text);
    return question !== undefined;
  }

  /* The question `number` has no answer, for this reason. False as above. */
  failed(number, reason) {
    const question = this._close(number);
    if (question) question.reject(problem("EFAILED", reason));
    return question !== undefined;
  }

  /* The socket is gone, and no answer will come. */
  lost() {
    for (const number of [...this._open.keys()]) {
      this._close(number).reject(problem("ECONNRESET", "the connection was lost before the answer came"));
    }
  }

  _close(number) {
    const question = this._open.get(number);
    if (question) {
      clearTimeout(question.timer);
      this._open.delete(number);
    }
    return question;
  }
}
