/* Made from routechan/websocketbridge.mjs by scripts/bridge: change that file, not this one. */
(function () {
"use strict";

/* WebSocketBridge: JSON over a WebSocket that comes back by itself.
 *
 *   const bridge = new WebSocketBridge();
 *   bridge.connect("/ws/");
 *   bridge.listen((message, stream) => { ... });
 *   bridge.demultiplex("news", (payload, stream) => { ... });
 *   bridge.send({ text: "hello" });
 *   bridge.stream("news").send({ text: "hello" });
 *
 * This module is the source; scripts/bridge makes the plain scripts, whose global is channels.WebSocketBridge,
 * from it. The numbers (JS-08) are those of the specification, section 12.
 */

const DEFAULTS = {
  constructor: undefined, // the class of the sockets; without it the global WebSocket
  transports: ["websocket"], // what to connect with; after an attempt that fails, the next one
  minReconnectionDelay: 1500, // milliseconds, as all times here
  maxReconnectionDelay: 10000,
  reconnectionDelayGrowFactor: 1.3,
  connectionTimeout: 4000,
  maxRetries: Infinity,
  maxKeptMessages: 100, // of the bridge, while no socket is open
  maxKeptBytes: 1048576,
  debug: false,
};

const TRANSPORTS = ["websocket", "sse"];
const EVENTS = ["open", "message", "close", "error"];
const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

const MAX_UNSENT_BYTES = 16777216; // of an event stream; beyond it is closed, as where a browser's buffer is full
const BUSY_DELAY = 1000; // milliseconds until a message is posted again that the server could not take

/* The face of a WebSocket over an event stream: an EventSource, and posts to the address that it tells. */
class EventStreamSocket {
  constructor(url) {
    this.protocol = this.extensions = "";
    this.binaryType = "blob";
    this.bufferedAmount = 0;
    this.readyState = CONNECTING;
    this._listeners = {}; // one of each type is all that its owner needs
    this._unsent = [];
    this._source = new EventSource(String(url).replace(/^ws/, "http"), { withCredentials: true });
    this.url = this._source.url;
    const handlers = {
      address: ({ data }) => {
        if (this.readyState !== CONNECTING) return; // it is being closed
        this._address = new URL(data, this.url).href;
        this.readyState = OPEN;
        this._emit(new Event("open"));
      },
      message: (event) => this._emit(event),
      bytes: ({ data }) => this._emit(new MessageEvent("message", { data: this._bytes(data) })),
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

/* What `bridge.socket` is: the face of a WebSocket over one real socket after the other.
 *
 * At any time there is a socket that has not yet reported its end (`_live`), or a pause before the next one (`_pause`),
 * or neither: then it is closed for good.
 */
class ReconnectingSocket {
  constructor(url, protocols, options) {
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
    this._settings = settingsOf(options);
    // What is no protocol, such as {}, has always been taken for none; a browser refuses it.
    const named = typeof protocols === "string" || Array.isArray(protocols);
    this._arguments = named ? [url, protocols] : [url];
    this._listeners = new Map(EVENTS.map((type) => [type, new Map()]));
    this._binaryType = "blob";
    this._failures = 0;
    this._delay = 0; // of the pause before; 0 before the first one
    this._pause = null;
    this._live = false;
    this._wasOpen = false; // the socket there is now
    this._transport = 0; // which of those in the settings
    this._ended = false;
    this._kept = []; // what the bridge sends while no socket is open, as text
    this._keptBytes = 0;
    this._open();
  }

  get readyState() { return this._socket.readyState; }
  get url() { return this._socket.url; }
  get protocol() { return this._socket.protocol; }
  get extensions() { return this._socket.extensions; }
  get bufferedAmount() { return this._socket.bufferedAmount; }
  get binaryType() { return this._binaryType; }
  set binaryType(type) { this._binaryType = this._socket.binaryType = type; }

  /* Goes to the socket there is now. Nothing is kept for the next one (JS-14), unlike what the bridge sends. */
  send(data) { this._socket.send(data); }

  /* Send `text`, or keep it until a socket is open. */
  _sendOrKeep(text) {
    if (this.readyState === OPEN && this._live) {
      this._socket.send(text);
      return;
    }
    if (this._ended) {
      throw problem("ENOTCONN", "this message is not sent: the connection is closed for good; call connect() first");
    }
    const { maxKeptMessages, maxKeptBytes } = this._settings;
    const bytes = new TextEncoder().encode(text).length;
    if (this._kept.length >= maxKeptMessages || this._keptBytes + bytes > maxKeptBytes) {
      throw problem("ENOBUFS", `this message of ${bytes} bytes is not sent: there is no connection, and ` +
        `${this._kept.length} messages of ${this._keptBytes} bytes wait for one already, of at most ` +
        `${maxKeptMessages} (maxKeptMessages) and ${maxKeptBytes} bytes (maxKeptBytes)`);
    }
    this._kept.push(text);
    this._keptBytes += bytes;
  }

  /* What was kept, which is not kept any more. */
  _takeKept() {
    const kept = this._kept;
    this._kept = [];
    this._keptBytes = 0;
    return kept;
  }

  /* Close this socket, and come back unless `keepClosed` (JS-13). */
  close(code = 1000, reason = "", { keepClosed = false, fastClose = true, delay = 0 } = {}) {
    if (this._live) this._socket.close(code, reason); // first, because it refuses a bad code
    if (delay) this._delay = delay;
    if (keepClosed) {
      this._ended = true;
      this._takeKept();
      clearTimeout(this._pause);
    }
    if (this._live && fastClose) this._closed({ type: "close", code, reason, wasClean: true });
  }

  addEventListener(type, listener, options) {
    const listeners = this._listeners.get(type);
    if (listeners && listener && !listeners.has(listener)) {
      listeners.set(listener, Boolean(options && options.once));
    }
  }

  removeEventListener(type, listener) {
    const listeners = this._listeners.get(type);
    if (listeners) listeners.delete(listener);
  }

  _open() {
    const { constructor, transports, connectionTimeout } = this._settings;
    const Socket = transports[this._transport] === "sse" ? EventStreamSocket : constructor;
    const socket = new Socket(...this._arguments);
    this._wasOpen = false;
    this._log("connecting to", ...this._arguments);
    if (this._binaryType !== "blob") socket.binaryType = this._binaryType;
    this._socket = socket;
    this._live = true;
    // Ends with its attempt: one that fired later would close the healthy socket after it (OB-31).
    this._timeout = setTimeout(() => {
      socket.close();
      this._fail("ETIMEDOUT", `no connection within ${connectionTimeout} ms`);
    }, connectionTimeout);
    const handlers = {
      open: (event) => this._opened(event),
      close: (event) => this._closed(event),
      message: (event) => this._emit("message", event),
      error: (event) => this._emit("error", event),
    };
    for (const type of EVENTS) {
      // Of a socket that was given up nothing more is heard.
      socket.addEventListener(type, (event) => { if (this._live && socket === this._socket) handlers[type](event); });
    }
  }

  _opened(event) {
    this._log("open");
    clearTimeout(this._timeout);
    this._failures = 0;
    this._wasOpen = true;
    this._delay = this._firstDelay();
    for (const text of this._takeKept()) this._socket.send(text); // before what the listeners send
    this._emit("open", event);
  }

  _closed(event) {
    this._log("closed with", event.code, event.reason);
    clearTimeout(this._timeout);
    this._live = false;
    this._emit("close", event);
    if (this._ended) return;
    if (!this._wasOpen) this._transport = (this._transport + 1) % this._settings.transports.length;
    this._failures += 1;
    if (this._failures > this._settings.maxRetries) {
      this._ended = true;
      const lost = this._takeKept().length;
      this._fail("EHOSTDOWN", `gave up after ${this._failures} failed attempts${lost ? `; ${lost} messages were not sent` : ""}`);
      return;
    }
    // Grows from one failure to the next. It begins anew with each connection, and differs between browsers, which
    // lost their server together (JS-08).
    const { reconnectionDelayGrowFactor: factor, maxReconnectionDelay: longest } = this._settings;
    this._delay = Math.min(longest, this._delay ? this._delay * factor : this._firstDelay());
    this._log("next attempt in", this._delay, "ms");
    this._pause = setTimeout(() => this._open(), this._delay);
  }

  _firstDelay() {
    const { minReconnectionDelay: least } = this._settings;
    return least + Math.random() * least;
  }

  _fail(code, text) {
    this._log(code, text);
    this._emit("error", problem(code, text));
  }

  _emit(type, event) {
    const handler = this[`on${type}`];
    const called = typeof handler === "function" ? [handler] : [];
    for (const [listener, once] of this._listeners.get(type)) {
      called.push(listener);
      if (once) this.removeEventListener(type, listener);
    }
    for (const listener of called) {
      try {
        if (typeof listener === "function") listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        // As in a browser: it is reported, and neither the other listeners nor the next attempt suffer.
        setTimeout(() => { throw error; });
      }
    }
  }

  _log(...words) {
    if (this._settings.debug) console.log("WebSocketBridge:", ...words);
  }
}

function problem(code, text) {
  return Object.assign(new Error(text), { code });
}

function settingsOf(options) {
  const settings = {};
  for (const name of Object.keys(DEFAULTS)) {
    // Every object has a "constructor"; only one that was given is meant.
    const given = options && Object.prototype.hasOwnProperty.call(options, name) ? options[name] : undefined;
    settings[name] = given === undefined ? DEFAULTS[name] : given;
  }
  const { transports } = settings;
  if (!Array.isArray(transports) || !transports.length || !transports.every((name) => TRANSPORTS.includes(name))) {
    throw new TypeError(`transports is an array of ${TRANSPORTS.join(" and ")}, not ${JSON.stringify(transports)}`);
  }
  if (settings.constructor === undefined) settings.constructor = globalThis.WebSocket;
  if (transports.includes("websocket") && typeof settings.constructor !== "function") {
    throw new TypeError("there is no WebSocket here; give a class of sockets as the option 'constructor'");
  }
  return settings;
}

class WebSocketBridge {
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

for (const name of ["channels", "routechan"]) {
  globalThis[name] = Object.assign({}, globalThis[name], { WebSocketBridge });
}
})();
