/* How the socket comes back: the specification's section 12.2, JS-08 to JS-15. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { WebSocketBridge } from "../index.js";
import { Clock, FakeSocket } from "./world.js";

const { random } = Math;
let clock;

beforeEach(() => {
  clock = new Clock();
  FakeSocket.made = [];
  globalThis.WebSocket = FakeSocket;
  Math.random = () => 0;
});

afterEach(() => {
  clock.restore();
  Math.random = random;
});

function connect(options) {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here", undefined, options);
  bridge.errors = [];
  bridge.socket.onerror = (error) => bridge.errors.push(error);
  return bridge;
}

class FakeSource {
  static made = [];

  constructor(url) {
    this.url = url;
    this.listeners = {};
    FakeSource.made.push(this);
  }

  addEventListener(type, listener) { this.listeners[type] = listener; }
  close() {}
}

test("each transport is tried in turn until one opens", () => {
  globalThis.EventSource = FakeSource;
  FakeSource.made = [];
  const bridge = connect({ transports: ["websocket", "sse"], connectionTimeout: 1e6 });
  const opened = [];
  bridge.socket.onopen = () => opened.push(bridge.socket.url);
  FakeSocket.last.ends();
  clock.pass(10000);
  FakeSource.made[0].listeners.error({});
  clock.pass(10000);
  assert.equal(FakeSocket.made.length, 2);
  FakeSocket.last.ends();
  clock.pass(10000);
  FakeSource.made[1].listeners.address({ data: "?secret" });
  assert.deepEqual(opened, ["http://here"]);
  FakeSource.made[1].listeners.close({ data: "1012" });
  clock.pass(10000);
  assert.deepEqual([FakeSocket.made.length, FakeSource.made.length], [2, 3]);
});

test("without the option there are only WebSockets, and a wrong one is an error", () => {
  const bridge = connect();
  for (let number = 0; number < 3; number += 1) {
    FakeSocket.last.ends();
    clock.pass(10000);
  }
  assert.equal(FakeSocket.made.length, 4);
  bridge.socket.close(1000, "", { keepClosed: true });
  for (const transports of [[], "sse", ["webtransport"]]) {
    assert.throws(() => connect({ transports }), /transports is an array of websocket and sse, not/);
  }
});

/* The pause after a failure of the socket there is now; it is waited for. */
function pause() {
  FakeSocket.last.ends();
  const [milliseconds, ...others] = clock.pending;
  assert.deepEqual(others, []);
  const before = FakeSocket.made.length;
  clock.pass(milliseconds - 1);
  assert.equal(FakeSocket.made.length, before);
  clock.pass(2); // pauses are no whole numbers
  assert.equal(FakeSocket.made.length, before + 1);
  return milliseconds;
}

test("JS-08: the pause grows by the factor up to the longest one", () => {
  connect();
  const pauses = Array.from({ length: 9 }, pause);
  assert.deepEqual(pauses, [1500, 1950, 2535, 3296, 4284, 5569, 7240, 9412, 10000]);
});

test("JS-08: the first pause is random between the least and twice that", () => {
  for (const [drawn, expected] of [[0, 100], [0.5, 150], [0.999, 200]]) {
    Math.random = () => drawn;
    connect({ minReconnectionDelay: 100 });
    assert.equal(pause(), expected);
    clock.timers.clear();
  }
});

test("JS-08: a connection draws anew, and the first pause after it is that times the factor", () => {
  connect({ minReconnectionDelay: 100, reconnectionDelayGrowFactor: 2 });
  assert.deepEqual([pause(), pause(), pause()], [100, 200, 400]);
  FakeSocket.last.opens();
  Math.random = () => 0.5;
  assert.equal(pause(), 200);
  FakeSocket.last.opens();
  assert.equal(pause(), 300);
});

test("JS-09: more failures than maxRetries are one error, EHOSTDOWN, and no further attempt", () => {
  const bridge = connect({ maxRetries: 2 });
  pause();
  FakeSocket.last.opens(); // the count begins anew
  pause();
  pause();
  assert.deepEqual(bridge.errors, []);
  FakeSocket.last.ends();
  assert.deepEqual(bridge.errors.map((error) => [error instanceof Error, error.code]), [[true, "EHOSTDOWN"]]);
  clock.pass(1e6);
  assert.equal(FakeSocket.made.length, 4);
});

test("JS-10, JS-15: an attempt that takes too long is closed: an Error with ETIMEDOUT, then the next attempt", () => {
  const bridge = connect({ connectionTimeout: 500 });
  clock.pass(499);
  assert.deepEqual([FakeSocket.last.closes, bridge.errors], [[], []]);
  clock.pass(1);
  assert.equal(FakeSocket.last.closes.length, 1);
  assert.deepEqual(bridge.errors.map((error) => [error instanceof Error, error.code]), [[true, "ETIMEDOUT"]]);
  assert.equal(pause(), 1500);
});

test("JS-11 (OB-31): the time limit of a failed attempt ends with it, and closes no socket after it", () => {
  const bridge = connect({ minReconnectionDelay: 100 });
  clock.pass(1000);
  pause();
  FakeSocket.last.opens();
  clock.pass(1e6);
  assert.deepEqual([FakeSocket.made.length, FakeSocket.last.closes, bridge.errors], [2, [], []]);
});

test("JS-12: listeners, handlers and binaryType carry over; a socket that was given up is not heard", () => {
  const bridge = connect();
  const heard = [];
  bridge.socket.binaryType = "arraybuffer";
  bridge.socket.onopen = () => heard.push("onopen");
  bridge.socket.addEventListener("open", () => heard.push("listener"));
  bridge.socket.addEventListener("open", () => heard.push("once"), { once: true });
  bridge.listen((message) => heard.push(message));
  for (const number of [1, 2]) {
    FakeSocket.last.opens();
    FakeSocket.last.receives({ number });
    pause();
    FakeSocket.made[number - 1].receives({ late: number });
  }
  assert.deepEqual(heard, ["onopen", "listener", "once", { number: 1 }, "onopen", "listener", { number: 2 }]);
  assert.deepEqual(FakeSocket.made.map((socket) => socket.binaryType), Array(3).fill("arraybuffer"));
});

test("JS-12: a listener that throws is reported, and neither the others nor the next attempt suffer", () => {
  const bridge = connect();
  const heard = [];
  bridge.socket.onclose = () => { throw new Error("a mistake"); };
  bridge.socket.addEventListener("close", () => heard.push("listener"));
  FakeSocket.last.ends();
  assert.throws(() => clock.pass(0), /a mistake/);
  clock.pass(1500);
  assert.deepEqual([heard, FakeSocket.made.length], [["listener"], 2]);
});

test("JS-13: close tells its listeners at once, and comes back", () => {
  const bridge = connect();
  const heard = [];
  bridge.socket.onclose = (event) => heard.push(event);
  FakeSocket.last.opens();
  const [closed] = FakeSocket.made;
  bridge.socket.close(4001, "changed rooms");
  assert.deepEqual(closed.closes, [[4001, "changed rooms"]]);
  assert.deepEqual(heard, [{ type: "close", code: 4001, reason: "changed rooms", wasClean: true }]);
  closed.ends(4001); // its own event was anticipated
  assert.equal(heard.length, 1);
  clock.pass(1950);
  assert.equal(FakeSocket.made.length, 2);
});

test("JS-13: without fastClose the socket's own event is waited for; the defaults are code 1000 and no reason", () => {
  const bridge = connect();
  const heard = [];
  bridge.socket.onclose = (event) => heard.push(event.code);
  FakeSocket.last.opens();
  bridge.socket.close(undefined, undefined, { fastClose: false });
  assert.deepEqual([FakeSocket.last.closes, heard, clock.pending], [[[1000, ""]], [], []]);
  assert.equal(pause(), 1950);
  assert.deepEqual(heard, [1006]);
});

for (const fastClose of [true, false]) {
  test(`JS-13: keepClosed is the end, fastClose ${fastClose}`, () => {
    const bridge = connect();
    FakeSocket.last.opens();
    bridge.socket.close(1000, "", { keepClosed: true, fastClose });
    FakeSocket.last.ends(1000);
    clock.pass(1e6);
    assert.deepEqual([FakeSocket.made.length, bridge.errors], [1, []]);
  });
}

test("JS-13: keepClosed ends a pause too, and an attempt, and can be said by a close listener", () => {
  const paused = connect();
  FakeSocket.last.ends();
  paused.socket.close(1000, "", { keepClosed: true });
  connect().socket.close(1000, "", { keepClosed: true });
  const listening = connect();
  listening.socket.onclose = () => listening.socket.close(1000, "", { keepClosed: true });
  FakeSocket.last.ends();
  assert.deepEqual(clock.pending, []);
});

test("JS-13: a delay is what the next pause grows from", () => {
  const bridge = connect();
  FakeSocket.last.opens();
  bridge.socket.close(1000, "", { delay: 3000 });
  assert.deepEqual(clock.pending, [3900]);
});

test("JS-13: a code the browser refuses is refused, and the socket stays", () => {
  const bridge = connect();
  FakeSocket.last.opens();
  assert.throws(() => bridge.socket.close(999, "", { keepClosed: true }), RangeError);
  assert.equal(pause(), 1950);
});

test("JS-14: the socket itself keeps nothing while there is no connection", () => {
  const bridge = connect();
  assert.throws(() => bridge.socket.send("too early"), /CONNECTING/);
  FakeSocket.last.opens();
  FakeSocket.last.ends();
  bridge.socket.send("lost");
  clock.pass(1950);
  FakeSocket.last.opens();
  bridge.socket.send("sent");
  assert.deepEqual(FakeSocket.made.map((socket) => socket.sent), [[], ["sent"]]);
});

test("options: another class of sockets, and none at all", () => {
  class Other extends FakeSocket {}
  connect({ constructor: Other, maxRetries: undefined });
  assert.ok(FakeSocket.last instanceof Other);
  assert.equal(pause(), 1500);
  delete globalThis.WebSocket;
  assert.throws(() => connect(), { name: "TypeError", message: /option 'constructor'/ });
});

test("options: debug tells what happens, and nothing is told without it", (context) => {
  const log = context.mock.method(console, "log", () => {});
  connect();
  pause();
  assert.equal(log.mock.callCount(), 0);
  connect({ debug: true });
  FakeSocket.last.ends();
  const told = log.mock.calls.map((call) => call.arguments.join(" ").trim());
  assert.deepEqual(told, [
    "WebSocketBridge: connecting to ws://here",
    "WebSocketBridge: closed with 1006",
    "WebSocketBridge: next attempt in 1500 ms",
  ]);
});
