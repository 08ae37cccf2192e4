"use strict";

/* A WebSocket that says how it is and comes back by itself.
 *
 *   const socket = new LiveSocket("/ws/chat/lobby/", {
 *     status: element,        // its text and data-state are kept up to date
 *     onText(text) {},        // a frame came
 *     onOpen() {},            // each time the connection is there
 *     onLost() {},            // it is gone, and we try again
 *     onClosed(event) {},     // it was closed on purpose, by either side: no further try
 *   });
 *   socket.send(text)         // false while there is no connection
 *   socket.close(); socket.open();
 */
class LiveSocket {
  static FIRST_DELAY = 500;
  static LONGEST_DELAY = 15000;
  // 1000: closed on purpose. Everything else (1006, 1001, 1012, 1013 ...) is worth another try.
  static ON_PURPOSE = 1000;

  constructor(path, { status = null, onText = () => {}, onOpen = () => {}, onLost = () => {}, onClosed = () => {} }) {
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    this.url = scheme + location.host + path;
    this.status = status;
    this.handlers = { onText, onOpen, onLost, onClosed };
    this.tries = 0;
    this.timer = null;
    this.socket = null;
    window.addEventListener("online", () => this.retryNow());
    window.addEventListener("offline", () => this.drop());
    document.addEventListener("visibilitychange", () => document.hidden || this.retryNow());
    window.addEventListener("pageshow", (event) => event.persisted && this.retryNow());
    this.open();
  }

  open() {
    this.forget();
    this.show("connecting", this.tries ? "Connection lost. Connecting again…" : "Connecting…");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    // Events of a socket we have given up are none of our business.
    const mine = (handler) => (event) => socket === this.socket && handler(event);
    socket.addEventListener("open", mine(() => {
      this.tries = 0;
      this.show("open", "Connected");
      this.handlers.onOpen();
    }));
    socket.addEventListener("message", mine((event) => this.handlers.onText(event.data)));
    socket.addEventListener("close", mine((event) => {
      if (event.code === LiveSocket.ON_PURPOSE) {
        this.socket = null;
        this.show("closed", "Closed");
        this.handlers.onClosed(event);
      } else {
        this.lost();
      }
    }));
  }

  send(text) {
    if (!this.isOpen) return false;
    this.socket.send(text);
    return true;
  }

  get isOpen() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  /* Close for good; open() begins anew. */
  close() {
    if (this.isOpen) {
      this.socket.close(LiveSocket.ON_PURPOSE);
      return;
    }
    this.forget();
    this.show("closed", "Closed");
    this.handlers.onClosed(null);
  }

  lost() {
    this.forget();
    this.show("lost", "Connection lost. Trying again…");
    this.handlers.onLost();
    // Twice the delay with each try, and never the same for all browsers: they lost the server together.
    const longest = Math.min(LiveSocket.LONGEST_DELAY, LiveSocket.FIRST_DELAY * 2 ** this.tries);
    this.tries += 1;
    this.timer = setTimeout(() => this.open(), longest * (0.5 + Math.random() / 2));
  }

  retryNow() {
    if (this.timer !== null) this.open();
  }

  /* The network went away: a socket would notice only minutes later. */
  drop() {
    if (this.socket !== null) this.lost();
  }

  forget() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) socket.close();
  }

  show(state, text) {
    if (this.status === null) return;
    this.status.dataset.state = state;
    if (this.status.textContent !== text) this.status.textContent = text;
  }
}

/* Append to a log that follows its end, unless the reader has scrolled up. */
function appendTo(log, item) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  log.append(item);
  while (log.children.length > 500) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/* An element with a class and text; text is never read as HTML. */
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
