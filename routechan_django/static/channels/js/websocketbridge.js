/* Made from js/ by scripts/bridge: change those files, not this one. */
(function () {
"use strict";

/* The states of a socket, as a browser numbers them. */

const CONNECTING = 0;
const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/* Errors of the bridge: an `Error` with a `code`. */

function problem(code, text) {
  return Object.assign(new Error(text), { code });
}

/* What may be said to `connect`, and what holds otherwise. */

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
  recover: false, // be given what was missed, on routechan.v1
  debug: false,
};

/* Milliseconds that a timer can have; one with more fires at once. */
const LONGEST_TIMER = 2147483647;

const TRANSPORTS = ["websocket", "sse"];

/* The settings that `options` make, checked. */
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

/* The lines of routechan.v1, which stand before the body of each frame: the specification is docs/spec/client-protocol.rst. */

const PROTOCOL = "routechan.v1";

/* What became of what a client missed. */
const OUTCOMES = ["joined", "recovered", "gap"];

/* The subprotocols to offer: `protocols` of the page, ours, and the last `id`, if there is one. */
function offers(protocols, id) {
  const ours = id ? [PROTOCOL, `${PROTOCOL}.since.${id}`] : [PROTOCOL];
  const named = typeof protocols === "string" || Array.isArray(protocols) ? [].concat(protocols) : [];
  return ours.concat(named.filter((name) => name !== PROTOCOL)); // a browser refuses a list that names one twice
}

/* The frame `data`, a string or an ArrayBuffer, as `word`, `argument` and `body`; a message has the word "" and an id or "". */
function parse(data) {
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
function pauseOf(seconds) {
  return /^\d+(\.\d+)?$/.test(seconds) ? Math.min(Number(seconds) * 1000, LONGEST_TIMER) : null;
}

/* `data` behind `line`. */
function framed(line, data) {
  return typeof data === "string" ? `${line}\n${data}` : new Blob([`${line}\n`, data]);
}

/* A body, a string or an ArrayBuffer, as text. */
function asText(body) {
  return typeof body === "string" ? body : new TextDecoder().decode(body);
}

/* The questions of a page that wait for an answer of the server. */

const MAX_OPEN = 100;

class Questions {
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

/* A WebSocket where none gets through. */

const MAX_UNSENT_BYTES = 16777216; // of an event stream; beyond it is closed, as where a browser's buffer is full
const BUSY_DELAY = 1000; // milliseconds until a message is posted again that the server could not take

/* The face of a WebSocket over an event stream: an EventSource, and posts to the address that it tells. */
class EventStreamSocket {
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

/* One socket after another. */

const EVENTS = ["open", "message", "close", "error", ...OUTCOMES];

/* What `bridge.socket` is: the face of a WebSocket over one real socket after the other.
 *
 * At any time there is a socket that has not yet reported its end (`_live`), or a pause before the next one (`_pause`),
 * or neither: then it is closed for good.
 */
class ReconnectingSocket {
  constructor(url, protocols, options) {
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
    this.onjoined = this.onrecovered = this.ongap = null;
    this._settings = settingsOf(options);
    this._url = url;
    this._protocols = protocols;
    this._listeners = new Map(EVENTS.map((type) => [type, new Map()]));
    this._binaryType = "blob";
    this._failures = 0;
    this._delay = 0; // of the pause before; 0 before the first one
    this._pause = null;
    this._live = false;
    this._wasOpen = false; // the socket there is now
    this._transport = 0; // which of those in the settings
    this._ended = false;
    this._id = ""; // of what was heard last, to come back with
    this._speaks = false; // whether each frame of the socket begins with a line
    this._retry = null; // milliseconds until the server wants to see us again
    this._questions = new Questions((number, text) => this._socket.send(framed(`!ask ${number}`, text)));
    this._answer = null; // takes the text of a question of the server
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
  set binaryType(type) {
    this._binaryType = type;
    if (!this._speaks) this._socket.binaryType = type;
  }

  /* Goes to the socket there is now. Nothing is kept for the next one (JS-14), unlike what the bridge sends. */
  send(data) { this._socket.send(this._speaks ? framed("", data) : data); }

  /* Send `text`, or keep it until a socket is open. */
  _sendOrKeep(text) {
    if (this.readyState === OPEN && this._live) {
      this.send(text);
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

  /* A promise of the server's answer to `text`; questions are not kept for the next socket. */
  _ask(text, timeout) {
    if (this.readyState !== OPEN || !this._live) {
      return Promise.reject(problem("ENOTCONN", "this question is not sent: there is no connection"));
    }
    if (!this._speaks) {
      return Promise.reject(problem("ENOTSUP", this._settings.recover
        ? `this question is not sent: the server does not speak ${PROTOCOL} on this socket`
        : `this question is not sent: connect() with {recover: true}, which asks the server to speak ${PROTOCOL}`));
    }
    return this._questions.ask(text, timeout);
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
    const streams = transports[this._transport] === "sse";
    const Socket = streams ? EventStreamSocket : constructor;
    const given = streams ? [this._url, this._id] : this._arguments();
    const socket = new Socket(...given);
    this._wasOpen = this._speaks = false;
    this._retry = null;
    this._log("connecting to", ...given);
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
      message: (event) => this._received(event),
      error: (event) => this._emit("error", event),
      retry: ({ data }) => { this._retry = pauseOf(data); }, // of an event stream, as are the outcomes
    };
    for (const word of OUTCOMES) handlers[word] = ({ lastEventId }) => this._told(word, lastEventId);
    for (const type of Object.keys(handlers)) {
      // Of a socket that was given up nothing more is heard.
      socket.addEventListener(type, (event) => { if (this._live && socket === this._socket) handlers[type](event); });
    }
  }

  /* What a WebSocket is made of. */
  _arguments() {
    if (this._settings.recover) return [this._url, offers(this._protocols, this._id)];
    // What is no protocol, such as {}, has always been taken for none; a browser refuses it.
    const named = typeof this._protocols === "string" || Array.isArray(this._protocols);
    return named ? [this._url, this._protocols] : [this._url];
  }

  _opened(event) {
    this._log("open");
    clearTimeout(this._timeout);
    this._failures = 0;
    this._wasOpen = true;
    this._speaks = this._settings.recover && this._socket.protocol === PROTOCOL;
    if (this._speaks) this._socket.binaryType = "arraybuffer"; // a Blob could not be parsed before the next event
    this._delay = this._firstDelay();
    for (const text of this._takeKept()) this.send(text); // before what the listeners send
    this._emit("open", event);
  }

  /* The listeners first, then the id: so that no page claims to have what it has not. */
  _received(event) {
    if (!this._speaks) {
      this._emit("message", event);
      if (this._settings.recover && event.lastEventId) this._id = event.lastEventId;
      return;
    }
    const { word, argument, body } = parse(event.data);
    if (word === "") {
      this._emit("message", new MessageEvent("message", { data: this._shaped(body), origin: event.origin }));
      if (argument) this._id = argument;
    } else if (OUTCOMES.includes(word)) {
      this._told(word, argument);
    } else if (word === "retry") {
      this._retry = pauseOf(argument);
    } else if (word === "ask") {
      this._asked(argument, asText(body));
    } else if (word === "answer") {
      if (!this._questions.answered(argument, asText(body))) this._log("an answer came too late:", asText(body));
    } else if (word === "failed") {
      if (!this._questions.failed(argument, asText(body))) this._log("a question failed too late:", asText(body));
    }
  }

  /* A body as the page wants to have it. */
  _shaped(body) {
    return typeof body === "string" || this._binaryType === "arraybuffer" ? body : new Blob([body]);
  }

  _told(outcome, id) {
    if (!this._settings.recover) return; // an event stream tells it to everybody
    this._log(outcome);
    this._emit(outcome, new Event(outcome));
    if (id) this._id = id;
  }

  /* Answer the question `number` of the server, on the socket that it came on. */
  async _asked(number, text) {
    const socket = this._socket;
    let line = `!answer ${number}`, body;
    try {
      if (this._answer === null) throw new Error("this page answers no questions");
      body = await this._answer(text);
    } catch (error) {
      [line, body] = [`!failed ${number}`, String(error instanceof Error ? error.message : error)];
    }
    if (socket === this._socket && this._live && this.readyState === OPEN) socket.send(framed(line, body));
    else this._log("an answer is too late:", body);
  }

  _closed(event) {
    this._log("closed with", event.code, event.reason);
    clearTimeout(this._timeout);
    this._live = false;
    this._questions.lost();
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
    const pause = this._retry === null ? this._delay : this._retry;
    this._log("next attempt in", pause, "ms");
    this._pause = setTimeout(() => this._open(), pause);
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

class WebSocketBridge {
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

for (const name of ["channels", "routechan"]) {
  globalThis[name] = Object.assign({}, globalThis[name], { WebSocketBridge });
}
})();
