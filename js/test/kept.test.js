/* What the bridge sends while no socket is open: it is kept for the next one, within bounds. */

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
  return bridge;
}

function sent() {
  return FakeSocket.made.map((socket) => socket.sent);
}

test("before the first socket is open: sent in order when it is, before what listeners send", () => {
  const bridge = connect();
  bridge.socket.onopen = () => bridge.send("from a listener");
  bridge.send("one");
  bridge.stream("news").send(2);
  bridge.send({ three: 3 });
  assert.deepEqual(sent(), [[]]);
  FakeSocket.last.opens();
  bridge.send("later");
  assert.deepEqual(sent(), [['"one"', '{"stream":"news","payload":2}', '{"three":3}', '"from a listener"', '"later"']]);
});

test("what is kept is what was sent, not what became of it", () => {
  const bridge = connect();
  const message = { a: 1 };
  bridge.send(message);
  message.a = 2;
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [['{"a":1}']]);
});

test("between two sockets: in the pause, in the next attempt and after failed ones; each is sent once", () => {
  const bridge = connect();
  FakeSocket.last.opens();
  FakeSocket.last.ends();
  bridge.send("in the pause");
  clock.pass(1950);
  bridge.send("in the attempt");
  FakeSocket.last.ends();
  bridge.stream("s").send("in the next pause");
  clock.pass(10000);
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [[], [], ['"in the pause"', '"in the attempt"', '{"stream":"s","payload":"in the next pause"}']]);
  FakeSocket.last.ends();
  clock.pass(1950);
  FakeSocket.last.opens();
  assert.deepEqual(FakeSocket.last.sent, []);
});

test("while a socket closes, where a browser would drop it silently", () => {
  const bridge = connect();
  FakeSocket.last.opens();
  bridge.socket.close(4001, "", { fastClose: false });
  bridge.send("closing");
  FakeSocket.last.ends(4001);
  clock.pass(1950);
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [[], ['"closing"']]);
});

test("in a close listener", () => {
  const bridge = connect();
  FakeSocket.last.opens();
  bridge.socket.onclose = () => bridge.send("closed");
  bridge.socket.close();
  clock.pass(1950);
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [[], ['"closed"']]);
});

test("while a socket times out", () => {
  const bridge = connect({ connectionTimeout: 500 });
  bridge.send("patience");
  clock.pass(500);
  FakeSocket.last.ends();
  clock.pass(1500);
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [[], ['"patience"']]);
});

test("at most maxKeptMessages: one more is an error that says so, and the others are sent", () => {
  const bridge = connect({ maxKeptMessages: 2 });
  bridge.send(1);
  bridge.send(2);
  const text = /3 bytes is not sent.* 2 messages of 2 bytes wait .* at most 2 \(maxKeptMessages\) and 1048576 bytes \(maxKeptBytes\)/;
  assert.throws(() => bridge.send("3"), { name: "Error", code: "ENOBUFS", message: text });
  assert.throws(() => bridge.stream("news").send(4), { code: "ENOBUFS" });
  FakeSocket.last.opens();
  bridge.send(5);
  assert.deepEqual(sent(), [["1", "2", "5"]]);
});

test("at most maxKeptBytes, of UTF-8; a smaller one still fits", () => {
  const bridge = connect({ maxKeptBytes: 8 });
  bridge.send("éé"); // with the quotes six bytes
  assert.throws(() => bridge.send("x"), { code: "ENOBUFS", message: /this message of 3 bytes/ });
  bridge.send(12);
  FakeSocket.last.opens();
  assert.deepEqual(sent(), [['"éé"', "12"]]);
});

test("by default a hundred messages and a mebibyte", () => {
  const bridge = connect();
  for (let number = 0; number < 100; number += 1) bridge.send(number);
  assert.throws(() => bridge.send(100), { code: "ENOBUFS" });
  assert.throws(() => connect().send("x".repeat(1048576)), { code: "ENOBUFS" });
  connect().send("x".repeat(1048574));
});

test("the bounds begin anew with each connection", () => {
  const bridge = connect({ maxKeptMessages: 1, maxKeptBytes: 4 });
  for (const number of [1, 2, 3]) {
    bridge.send(number);
    assert.throws(() => bridge.send(0), { code: "ENOBUFS" });
    FakeSocket.last.opens();
    FakeSocket.last.ends();
    clock.pass(10000);
  }
  assert.deepEqual(sent(), [["1"], ["2"], ["3"], []]);
});

test("0 keeps nothing", () => {
  const bridge = connect({ maxKeptMessages: 0 });
  assert.throws(() => bridge.send(1), { code: "ENOBUFS" });
  FakeSocket.last.opens();
  bridge.send(2);
  assert.deepEqual(sent(), [["2"]]);
});

for (const options of [{ keepClosed: true }, { keepClosed: true, fastClose: false }]) {
  test(`closed for good, ${JSON.stringify(options)}: nothing is kept, and a send says so`, () => {
    const bridge = connect();
    bridge.send("given up");
    bridge.socket.close(1000, "", options);
    FakeSocket.last.ends(1000);
    assert.throws(() => bridge.send("x"), { code: "ENOTCONN", message: /closed for good; call connect\(\) first/ });
    bridge.connect("ws://there");
    bridge.send("anew");
    FakeSocket.last.opens();
    assert.deepEqual(sent(), [[], ['"anew"']]);
  });
}

test("given up after maxRetries: the error says how many messages were not sent, and so does the next send", () => {
  const bridge = connect({ maxRetries: 0 });
  const errors = [];
  bridge.socket.onerror = (error) => errors.push(`${error.code}: ${error.message}`);
  bridge.send(1);
  bridge.send(2);
  FakeSocket.last.ends();
  assert.deepEqual(errors, ["EHOSTDOWN: gave up after 1 failed attempts; 2 messages were not sent"]);
  assert.throws(() => bridge.send(3), { code: "ENOTCONN" });
});

test("before connect() there is nothing to wait for", () => {
  const expected = { name: "TypeError", message: /call connect\(\) before send\(\)/ };
  assert.throws(() => new WebSocketBridge().send(1), expected);
  assert.throws(() => new WebSocketBridge().stream("news").send(1), expected);
});

test("what cannot be JSON is refused at once", () => {
  const circle = {};
  circle.circle = circle;
  assert.throws(() => connect().send(circle), TypeError);
});
