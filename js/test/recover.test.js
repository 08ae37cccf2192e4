/* The bridge on routechan.v1, as docs/spec/client-protocol.rst says. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { WebSocketBridge } from "../index.js";
import { Clock, FakeSocket } from "./world.js";

let clock;

/* A socket whose server selects what is offered. */
class Speaking extends FakeSocket {
  opens(protocol = "routechan.v1") {
    this.protocol = protocol;
    super.opens();
  }

  says(frame) {
    this.reports("message", { data: frame, origin: "ws://here" });
  }
}

beforeEach(() => {
  clock = new Clock();
  FakeSocket.made = [];
  globalThis.WebSocket = Speaking;
});

afterEach(() => clock.restore());

function connected(options = {}, protocols = undefined) {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here", protocols, { recover: true, ...options });
  FakeSocket.last.opens();
  const heard = [];
  bridge.listen((message) => heard.push(message));
  for (const type of ["joined", "recovered", "gap"]) bridge.socket.addEventListener(type, () => heard.push(type));
  return { bridge, heard };
}

/* What the connection offers that follows a lost one. */
function comesBack() {
  FakeSocket.last.ends();
  clock.pass(10_000);
  return FakeSocket.last.args[1];
}

const bytes = (text) => new TextEncoder().encode(text).buffer;

test("without the option nothing is offered, and lines are part of the text", () => {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here");
  assert.deepEqual(FakeSocket.last.args, ["ws://here"]);
  FakeSocket.last.opens();
  const heard = [];
  bridge.socket.onmessage = ({ data }) => heard.push(data);
  FakeSocket.last.says("\n1");
  bridge.socket.send("text");
  assert.deepEqual([heard, FakeSocket.last.sent], [["\n1"], ["text"]]);
});

test("the protocol is offered beside those of the page, and the last id to come back with", () => {
  const { heard } = connected({}, "chat");
  assert.deepEqual(FakeSocket.last.args, ["ws://here", ["routechan.v1", "chat"]]);
  FakeSocket.last.says("!joined a0");
  FakeSocket.last.says('a1\n{"text": "a\\nb"}');
  FakeSocket.last.says("\n2");
  assert.deepEqual(heard, ["joined", { text: "a\nb" }, 2]);
  assert.deepEqual(comesBack(), ["routechan.v1", "routechan.v1.since.a1", "chat"]);
});

test("a page that offers the protocol by itself too offers it once", () => {
  connected({}, ["routechan.v1", "chat"]); // a browser refuses a list that names one twice
  assert.deepEqual(FakeSocket.last.args[1], ["routechan.v1", "chat"]);
});

for (const outcome of ["joined", "recovered", "gap"]) {
  test(`the page is told of !${outcome}, and its id is the last`, () => {
    const { bridge, heard } = connected();
    bridge.socket[`on${outcome}`] = ({ type }) => heard.push(`on${type}`);
    FakeSocket.last.says(`!${outcome} b7`);
    assert.deepEqual(heard, [`on${outcome}`, outcome]);
    FakeSocket.last.says(`!${outcome}`); // one that brings no id takes none away
    assert.deepEqual(comesBack(), ["routechan.v1", "routechan.v1.since.b7"]);
  });
}

test("a listener that fails does not keep the id from being the last", () => {
  const { bridge } = connected();
  const failures = [];
  globalThis.setTimeout = (callback) => failures.push(callback);
  bridge.socket.addEventListener("message", () => { throw new Error("of the page"); });
  FakeSocket.last.says("c1\n1");
  clock.restore();
  assert.equal(failures.length, 1);
  assert.equal(bridge.socket._id, "c1");
});

test("bytes come as the page wants them", async () => {
  const { bridge } = connected();
  const heard = [];
  bridge.socket.onmessage = ({ data }) => heard.push(data);
  FakeSocket.last.says(bytes("d1\nabc"));
  bridge.socket.binaryType = "arraybuffer";
  FakeSocket.last.says(bytes("\nde\n"));
  assert.equal(FakeSocket.last.binaryType, "arraybuffer");
  assert.equal(await heard[0].text(), "abc");
  assert.equal(new TextDecoder().decode(heard[1]), "de\n");
  assert.equal(bridge.socket._id, "d1");
});

test("what the page sends goes behind an empty line, what was kept too", async () => {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here", undefined, { recover: true });
  bridge.send({ kept: 1 });
  FakeSocket.last.opens();
  bridge.send([2]);
  bridge.socket.send("3");
  bridge.socket.send(bytes("4"));
  assert.deepEqual(FakeSocket.last.sent.slice(0, 3), ['\n{"kept":1}', "\n[2]", "\n3"]);
  assert.equal(await FakeSocket.last.sent[3].text(), "\n4");
});

test("where the server selects another protocol, frames are as they are", async () => {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here", ["chat"], { recover: true });
  FakeSocket.last.opens("chat");
  const heard = [];
  bridge.listen((message) => heard.push(message));
  FakeSocket.last.says("5");
  bridge.send(6);
  assert.deepEqual([heard, FakeSocket.last.sent], [[5], ["6"]]);
  await assert.rejects(bridge.ask(7), { code: "ENOTSUP" });
});

test("!retry says when to come back, once", () => {
  const { bridge } = connected();
  FakeSocket.last.says("!retry 7.25");
  FakeSocket.last.ends(1012);
  assert.deepEqual(clock.pending, [7250]);
  clock.pass(7250);
  FakeSocket.last.opens();
  FakeSocket.last.ends();
  assert.ok(clock.pending[0] < 6000);
  assert.equal(bridge.socket.readyState, 3);
});

for (const seconds of ["", " ", " soon", " -1", " Infinity"]) {
  test(`!retry${seconds} says nothing: the pause is our own`, () => {
    connected();
    FakeSocket.last.says(`!retry${seconds}`);
    FakeSocket.last.ends(1012);
    assert.ok(clock.pending[0] >= 1500);
  });
}

test("!retry with more than a timer can have waits for the longest time, not for none", () => {
  connected();
  FakeSocket.last.says("!retry 99999999999");
  FakeSocket.last.ends(1012);
  assert.deepEqual(clock.pending, [2 ** 31 - 1]);
});

test("words that are not known are passed over", () => {
  const { heard } = connected();
  for (const frame of ["!later 5", "!", "!answer 99\n1", "!failed 99\nno"]) FakeSocket.last.says(frame);
  assert.deepEqual(heard, []);
});

test("an answer ends the promise of its question", async () => {
  const { bridge } = connected();
  const answers = [bridge.ask({ text: "one" }), bridge.ask(2)];
  assert.deepEqual(FakeSocket.last.sent, ['!ask 1\n{"text":"one"}', "!ask 2\n2"]);
  FakeSocket.last.says("!answer 2\n[22]");
  FakeSocket.last.says(bytes('!answer 1\n{"a": 1}'));
  assert.deepEqual(await Promise.all(answers), [{ a: 1 }, [22]]);
  assert.deepEqual(clock.pending, []);
});

for (const timeout of [0, -1, NaN, Infinity, 2 ** 31, "50", null]) {
  test(`a timeout of ${timeout} is refused, not taken for none`, async () => {
    const { bridge } = connected();
    await assert.rejects(bridge.ask("?", { timeout }), { name: "TypeError", message: /timeout is a number of milliseconds/ });
    assert.deepEqual(FakeSocket.last.sent, []);
  });
}

test("a question that is no JSON is refused; an answer that is none fails it", async () => {
  const { bridge } = connected();
  await assert.rejects(bridge.ask(undefined), { name: "TypeError", message: /no JSON/ });
  const asked = assert.rejects(bridge.ask("?"), { code: "EFAILED", message: /not JSON: yes/ });
  FakeSocket.last.says("!answer 1\nyes");
  await asked;
});

const FAILURES = {
  EFAILED: () => FakeSocket.last.says("!failed 1\nNobody answers."),
  ETIMEDOUT: () => clock.pass(50),
  ECONNRESET: () => FakeSocket.last.ends(),
};

for (const [code, fail] of Object.entries(FAILURES)) {
  test(`a question fails with ${code}, and a late answer changes nothing`, async () => {
    const { bridge, heard } = connected();
    const asked = assert.rejects(bridge.ask("?", { timeout: 50 }), (error) => error.code === code && error.message !== "");
    const socket = FakeSocket.last;
    fail();
    socket.says("!answer 1\n1");
    await asked;
    assert.deepEqual(heard, []);
  });
}

test("a question is not kept: without a connection it fails, and beyond a hundred", async () => {
  const { bridge } = connected();
  const open = Array.from({ length: 100 }, () => bridge.ask("?"));
  await assert.rejects(bridge.ask("?"), { code: "ENOBUFS" });
  FakeSocket.last.ends();
  for (const { reason } of await Promise.allSettled(open)) assert.equal(reason.code, "ECONNRESET");
  await assert.rejects(bridge.ask("?"), { code: "ENOTCONN" });
  const plain = new WebSocketBridge();
  await assert.rejects(plain.ask("?"), { message: /call connect\(\) before ask\(\)/ });
  plain.connect("ws://here");
  FakeSocket.last.opens("");
  await assert.rejects(plain.ask("?"), { code: "ENOTSUP", message: /recover: true/ });
});

const ANSWERS = [
  ["a value", () => ({ width: 5 }), '!answer 3\n{"width":5}'],
  ["a promise", async (question) => question.text, '!answer 3\n"how?"'],
  ["nothing", () => undefined, "!answer 3\nnull"],
  ["an error", () => { throw new Error("not now"); }, "!failed 3\nnot now"],
];

for (const [name, callback, frame] of ANSWERS) {
  test(`a question of the server is answered with ${name}`, async () => {
    const { bridge } = connected();
    bridge.answer(callback);
    FakeSocket.last.says('!ask 3\n{"text": "how?"}');
    await new Promise(setImmediate);
    assert.deepEqual(FakeSocket.last.sent, [frame]);
  });
}

test("a page that answers nothing says so; a bridge may be told how to answer before it connects", async () => {
  connected();
  FakeSocket.last.says("!ask 8\n1");
  await new Promise(setImmediate);
  assert.deepEqual(FakeSocket.last.sent, ["!failed 8\nthis page answers no questions"]);
  const early = new WebSocketBridge();
  early.answer((question) => question + 1);
  early.connect("ws://here", undefined, { recover: true });
  FakeSocket.last.opens();
  FakeSocket.last.says("!ask 9\n1");
  await new Promise(setImmediate);
  assert.deepEqual(FakeSocket.last.sent, ["!answer 9\n2"]);
});

test("an answer is for the socket of its question", async () => {
  const { bridge } = connected();
  let done;
  bridge.answer(() => new Promise((resolve) => { done = resolve; }));
  const asking = FakeSocket.last;
  asking.says("!ask 1\n1");
  await new Promise(setImmediate);
  comesBack();
  FakeSocket.last.opens();
  done(5);
  await new Promise(setImmediate);
  assert.deepEqual([asking.sent, FakeSocket.last.sent], [[], []]);
});
