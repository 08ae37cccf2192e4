/* One socket after another. */

import { EventStreamSocket } from "./event_stream_socket.js";
import { asText, framed, offers, OUTCOMES, parse, pauseOf, PROTOCOL } from "./lines.js";
import { problem } from "./problem.js";
import { Questions } from "./questions.js";
import { settingsOf } from "./settings.js";
import { OPEN } from "./states.js";

const EVENTS = ["open", "message", "close", "error", ...OUTCOMES];

/* What `bridge.socket` is: the face of a WebSocket over one real socket after the other.
 *
 * At any time there is a socket that has not yet reported its end (`_live`), or a pause before the next one (`_pause`),
 * or neither: then it is closed for good.
 */
export class ReconnectingSocket {
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
