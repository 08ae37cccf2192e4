/* WebSocketBridge: JSON over a WebSocket that comes back by itself.
 *
 *   const bridge = new WebSocketBridge();
 *   bridge.connect("/ws/");
 *   bridge.listen((message, stream) => { ... });
 *   bridge.demultiplex("news", (payload, stream) => { ... });
 *   bridge.send({ text: "hello" });
 *   bridge.stream("news").send({ text: "hello" });
 *   const answer = await bridge.ask({ text: "who?" });
 *
 * The numbers (JS-08) are those of docs/spec/consumer-api.rst, section 12.
 */

import { problem } from "./problem.js";
import { ReconnectingSocket } from "./reconnecting_socket.js";

export class WebSocketBridge {
  #answer = null;

  constructor(options) {
    this.socket = null;
    this.streams = {};
    this.default_cb = null;
    this.options = Object.assign({}, options);
  }

  /* Connect to `url`: a path of this page's host, or anything a WebSocket takes (JS-02). */
  connect(url, protocols, options) {
    let target = url;
    if (!url || (typeof url === "string" && url.startsWith("/"))) {
      const { protocol, host } = globalThis.location;
      target = `${protocol === "https:" ? "wss" : "ws"}://${host}${url || ""}`;
    }
    this.socket = new ReconnectingSocket(target, protocols, options);
    if (this.#answer) this.answer(this.#answer);
  }

  /* From now on `callback(message, null)` takes what belongs to no stream, and those of `demultiplex` the rest. */
  listen(callback) {
    if (this.socket === null) throw new TypeError("there is no socket to listen to yet: call connect() before listen()");
    this.default_cb = callback;
    this.socket.onmessage = (event) => this._dispatch(JSON.parse(event.data));
  }

  /* `callback(payload, stream)` takes what comes on `stream`, in place of the one before. */
  demultiplex(stream, callback) {
    this.streams[stream] = callback;
  }

  /* Send `message` as JSON; while no socket is open it is kept for the next one, within bounds. */
  send(message) {
    if (this.socket === null) throw new TypeError("there is no socket to send on yet: call connect() before send()");
    this.socket._sendOrKeep(JSON.stringify(message));
  }

  /* What sends on `stream`. */
  stream(stream) {
    return { send: (payload) => this.send({ stream, payload }) };
  }

  /* A promise of the answer that a consumer gives to `question`; with the option `recover` only. */
  async ask(question, { timeout = 10000 } = {}) {
    if (this.socket === null) throw new TypeError("there is no socket to ask on yet: call connect() before ask()");
    const text = JSON.stringify(question);
    if (text === undefined) throw new TypeError(`a question is a value that JSON has, and ${String(question)} is no JSON`);
    const answer = await this.socket._ask(text, timeout);
    try {
      return JSON.parse(answer);
    } catch {
      throw problem("EFAILED", `the answer is not JSON: ${answer.slice(0, 100)}`);
    }
  }

  /* `callback(question)` answers what consumers ask, with a value or a promise of one; what it throws is told to them. */
  answer(callback) {
    this.#answer = callback;
    if (this.socket === null) return; // connect() does the rest
    this.socket._answer = async (text) => JSON.stringify(await callback(JSON.parse(text))) ?? "null";
  }

  _dispatch(message) {
    // null is JSON too, and has no properties
    const stream = message === null ? undefined : message.stream;
    if (stream === undefined) {
      if (this.default_cb) this.default_cb(message, null);
    } else if (Object.prototype.hasOwnProperty.call(this.streams, stream)) {
      const callback = this.streams[stream];
      if (callback) callback(message.payload, stream);
    }
  }
}
