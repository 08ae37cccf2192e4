/* A clock to move by hand, and sockets that do what a test tells them. */

export class Clock {
  constructor() {
    this.now = 0;
    this.timers = new Map();
    this.number = 0;
    this.real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    globalThis.setTimeout = (callback, delay = 0) => {
      this.timers.set(++this.number, { at: this.now + delay, callback });
      return this.number;
    };
    globalThis.clearTimeout = (number) => this.timers.delete(number);
  }

  restore() {
    Object.assign(globalThis, this.real);
  }

  /* When, from now, each of the timers fires. */
  get pending() {
    return [...this.timers.values()].map((timer) => Math.round(timer.at - this.now)).sort((a, b) => a - b);
  }

  pass(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due[0]);
      this.now = due[1].at;
      due[1].callback();
    }
    this.now = end;
  }
}

export class FakeSocket {
  static made = [];

  constructor(...args) {
    this.args = args;
    this.url = args[0];
    this.protocol = "chosen";
    this.extensions = "";
    this.bufferedAmount = 0;
    this.binaryType = "blob";
    this.readyState = 0;
    this.sent = [];
    this.closes = [];
    this.listeners = {};
    FakeSocket.made.push(this);
  }

  static get last() {
    return FakeSocket.made[FakeSocket.made.length - 1];
  }

  addEventListener(type, listener) {
    (this.listeners[type] ??= []).push(listener);
  }

  /* As a browser's: what is sent too late is dropped, and nobody is told. */
  send(data) {
    if (this.readyState === 0) throw new Error("still in CONNECTING state");
    if (this.readyState === 1) this.sent.push(data);
  }

  close(code, reason) {
    if (code === 999) throw new RangeError("a bad code");
    this.closes.push([code, reason]);
    this.readyState = 2;
  }

  /* What the browser would report. */
  reports(type, event = {}) {
    this.readyState = { open: 1, close: 3 }[type] ?? this.readyState;
    for (const listener of this.listeners[type] ?? []) listener({ type, ...event });
  }

  opens() {
    this.reports("open");
  }

  receives(value) {
    this.reports("message", { data: JSON.stringify(value) });
  }

  ends(code = 1006) {
    this.reports("close", { code, reason: "", wasClean: code !== 1006 });
  }
}
