/* A WebSocket where none gets through. */

import { problem } from "./problem.js";
import { CLOSED, CLOSING, CONNECTING, OPEN } from "./states.js";

const MAX_UNSENT_BYTES = 16777216; // of an event stream; beyond it is closed, as where a browser's buffer is full
const BUSY_DELAY = 1000; // milliseconds until a message is posted again that the server could not take

/* The face of a WebSocket over an event stream: an EventSource, and posts to the address that it tells. */
export class EventStreamSocket {
  /* `id` is the last one heard: an EventSource of the browser's sends only what it has heard itself. */
  constructor(url, id) {
    this.protocol = this.extensions = "";
    this.binaryType = "blob";
    this.bufferedAmount = 0;
    this.readyState = CONNECTING;
    this._listeners = {}; // one of each type is all that its owner needs
    this._unsent = [];
    const target = String(url).replace(/^ws/, "http");
    const since = id ? `${target.includes("?") ? "&" : "?"}lastEventId=${id}` : "";
    this._source = new EventSource(target + since, { withCredentials: true });
    this.url = this._source.url;
    const handlers = {
      address: ({ data }) => {
        if (this.readyState !== CONNECTING) return; // it is being closed
        this._address = new URL(data, this.url).href;
        this.readyState = OPEN;
        this._emit(new Event("open"));
      },
      message: (event) => this._emit(event),
      bytes: ({ data, lastEventId }) => {
        this._emit(new MessageEvent("message", { data: this._bytes(data), lastEventId }));
      },
      joined: (event) => this._emit(event),
      recovered: (event) => this._emit(event),
      gap: (event) => this._emit(event),
      retry: (event) => this._emit(event),
      close: ({ data }) => this._end(Number(data), true),
      error: () => this._end(1006, false),
    };
    for (const [type, handler] of Object.entries(handlers)) {
      this._source.addEventListener(type, (event) => { if (this.readyState !== CLOSED) handler(event); });
    }
  }

  addEventListener(type, listener) { this._listeners[type] = listener; }

  _emit(event) { this._listeners[event.type](event); }

  send(data) {
    if (this.readyState === CONNECTING) throw problem("ENOTCONN", "the event stream is not open yet");
    if (this.readyState !== OPEN) return; // as a WebSocket does
    const blob = new Blob([data]); // a copy, and without a type, which would say text
    this.bufferedAmount += blob.size;
    if (this.bufferedAmount > MAX_UNSENT_BYTES) {
      this._end(1006, false);
      return;
    }
    this._unsent.push([typeof data === "string" ? data : blob, blob.size]);
    if (this._unsent.length === 1) this._post();
  }

  /* Close once everything is sent; the server sees a page that has left. */
  close(code = 1000, reason = "") {
    if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException(`a page closes with 1000, or 3000 to 4999, not ${code}`, "InvalidAccessError");
    }
    if (this.readyState >= CLOSING) return;
    const clean = this.readyState === OPEN;
    this.readyState = CLOSING;
    this._closing = () => this._end(clean ? code : 1006, clean, clean ? reason : "");
    if (!this._unsent.length) setTimeout(this._closing);
  }

  /* One message after the other: requests that are under way together may overtake each other. */
  async _post() {
    while (this._unsent.length && this.readyState !== CLOSED) {
      const [data, size] = this._unsent[0];
      let status = 0;
      try {
        const body = typeof data === "string" ? data : await data.arrayBuffer();
        const options = { method: "POST", body, credentials: "include" };
        status = (await fetch(this._address, options)).status;
      } catch { /* whether it arrived is not known, as with a WebSocket that breaks */ }
      if (status === 204) {
        this._unsent.shift();
        this.bufferedAmount -= size;
      } else if (status === 429) {
        await new Promise((resolve) => { setTimeout(resolve, BUSY_DELAY); });
      } else {
        this._end(status === 413 ? 1009 : 1006, false);
      }
    }
    if (this.readyState === CLOSING) this._closing();
  }

  _bytes(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return this.binaryType === "blob" ? new Blob([bytes]) : bytes.buffer;
  }

  _end(code, wasClean, reason = "") {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    this._source.close();
    this._unsent = [];
    if (!wasClean) this._emit(new Event("error"));
    this._emit(Object.assign(new Event("close"), { code, reason, wasClean }));
  }
}
