/* WebSocketBridge: the specification's section 12, JS-01 to JS-07, and the tests of 1.x (Appendix A). */

import assert from "node:assert/strict";
import fs from "node:fs";
import vm from "node:vm";
import { afterEach, beforeEach, test } from "node:test";

import { WebSocketBridge } from "../index.js";
import { Clock, FakeSocket } from "./world.js";

let clock;

beforeEach(() => {
  clock = new Clock();
  FakeSocket.made = [];
  globalThis.WebSocket = FakeSocket;
  globalThis.location = { protocol: "http:", host: "example.com:8000" };
});

afterEach(() => clock.restore());

function connected(...args) {
  const bridge = new WebSocketBridge();
  bridge.connect(...args);
  FakeSocket.last.opens();
  return bridge;
}

test("JS-01: the properties of a new bridge", () => {
  const options = { one: 1 };
  const bridge = new WebSocketBridge(options);
  assert.deepEqual({ ...bridge }, { socket: null, streams: {}, default_cb: null, options: { one: 1 } });
  assert.notEqual(bridge.options, options);
  assert.deepEqual(new WebSocketBridge().options, {});
});

test("JS-02: a path, or nothing, is of this page's host; anything else is taken as it is", () => {
  for (const [url, protocol, expected] of [
    ["/ws/chat/?a=1", "http:", "ws://example.com:8000/ws/chat/?a=1"],
    ["/ws/", "https:", "wss://example.com:8000/ws/"],
    [undefined, "https:", "wss://example.com:8000"],
    ["", "http:", "ws://example.com:8000"],
    ["ws://elsewhere/path", "https:", "ws://elsewhere/path"],
    ["relative", "http:", "relative"],
  ]) {
    globalThis.location.protocol = protocol;
    connected(url);
    assert.equal(FakeSocket.last.url, expected);
  }
});

test("JS-02: protocols are handed on; what are none, such as {}, counts as none", () => {
  for (const [protocols, expected] of [
    ["chat", ["ws://here", "chat"]],
    [["a", "b"], ["ws://here", ["a", "b"]]],
    [{}, ["ws://here"]],
    [null, ["ws://here"]],
    [undefined, ["ws://here"]],
  ]) {
    connected("ws://here", protocols);
    assert.deepEqual(FakeSocket.last.args, expected);
  }
});

test("JS-02: connecting again leaves the socket before it alone", () => {
  const bridge = connected("ws://one");
  const before = bridge.socket;
  bridge.connect("ws://two");
  assert.notEqual(bridge.socket, before);
  assert.deepEqual(FakeSocket.made.map((socket) => [socket.url, socket.closes]), [["ws://one", []], ["ws://two", []]]);
});

test("JS-03: listening before there is a socket is refused", () => {
  assert.throws(() => new WebSocketBridge().listen(), { name: "TypeError", message: /connect\(\) before listen\(\)/ });
});

test("JS-04: the default callback gets (message, null)", () => {
  const bridge = connected("ws://here");
  const heard = [];
  bridge.listen((...args) => heard.push(args));
  const messages = [{ type: "test", payload: "message 1" }, [1], "text", 5, null];
  for (const message of messages) FakeSocket.last.receives(message);
  assert.deepEqual(heard, messages.map((message) => [message, null]));
});

test("JS-04: a frame that is no JSON throws in the handler, and the next one is taken", () => {
  const bridge = connected("ws://here");
  const heard = [];
  bridge.listen((message) => heard.push(message));
  assert.throws(() => bridge.socket.onmessage({ data: "{" }), SyntaxError);
  FakeSocket.last.reports("message", { data: "{" });
  assert.throws(() => clock.pass(0), SyntaxError); // reported, as a browser would
  FakeSocket.last.receives({ ok: 1 });
  assert.deepEqual(heard, [{ ok: 1 }]);
});

test("JS-04: streams that nobody registered are ignored, stream null and the names every object has among them", () => {
  const bridge = connected("ws://here");
  const heard = [];
  bridge.listen((...args) => heard.push(args));
  for (const stream of ["stream1", null, "__lookupGetter__", "", 0]) FakeSocket.last.receives({ stream, payload: 1 });
  assert.deepEqual([heard, clock.pending], [[], []]); // nor is an error to be reported
});

test("JS-04, JS-05: with a stream its callback alone is called; listen needs no callback", () => {
  const bridge = connected("ws://here");
  const heard = [];
  bridge.demultiplex("stream1", () => heard.push("replaced"));
  bridge.demultiplex("stream1", (...args) => heard.push(["one", ...args]));
  bridge.listen();
  bridge.demultiplex("stream2", (...args) => heard.push(["two", ...args]));
  FakeSocket.last.receives({ type: "test", payload: "no stream" });
  FakeSocket.last.receives({ stream: "stream1", payload: { type: "test", payload: "message 1" } });
  FakeSocket.last.receives({ stream: "stream2", payload: [2] });
  assert.deepEqual(heard, [["one", { type: "test", payload: "message 1" }, "stream1"], ["two", [2], "stream2"]]);
});

test("JS-04: with a default callback too, each frame reaches one of them", () => {
  const bridge = connected("ws://here");
  const heard = [];
  bridge.listen((message, stream) => heard.push([message, stream]));
  bridge.demultiplex("stream1", (payload, stream) => heard.push([payload, stream]));
  FakeSocket.last.receives({ stream: "stream1", payload: 1 });
  FakeSocket.last.receives({ other: 2 });
  assert.deepEqual(heard, [[1, "stream1"], [{ other: 2 }, null]]);
});

test("JS-06: what is sent is JSON; a stream's is wrapped, in this order of keys", () => {
  const bridge = connected("ws://here");
  bridge.send({ type: "test", payload: "message 1" });
  bridge.send([1, null]);
  bridge.stream("stream1").send({ type: "test", payload: "message 2" });
  assert.deepEqual(FakeSocket.last.sent, [
    '{"type":"test","payload":"message 1"}',
    "[1,null]",
    '{"stream":"stream1","payload":{"type":"test","payload":"message 2"}}',
  ]);
});

test("JS-07: the socket takes listeners of both kinds, in order, each once", () => {
  const bridge = new WebSocketBridge();
  bridge.connect("ws://here");
  const heard = [];
  const note = () => heard.push("listener");
  bridge.socket.addEventListener("open", note);
  bridge.socket.addEventListener("open", note);
  bridge.socket.addEventListener("open", { handleEvent: (event) => heard.push(event.type) });
  bridge.socket.addEventListener("nonsense", note);
  bridge.socket.onopen = function () { heard.push(this === bridge.socket ? "onopen" : "another this"); };
  bridge.socket.onmessage = (event) => heard.push(event.data);
  bridge.socket.onclose = (event) => heard.push(event.code);
  bridge.socket.onerror = (event) => heard.push(event.type);
  FakeSocket.last.opens();
  bridge.socket.removeEventListener("open", note);
  FakeSocket.last.opens();
  FakeSocket.last.receives(5);
  FakeSocket.last.reports("error");
  FakeSocket.last.ends(1001);
  assert.deepEqual(heard, ["onopen", "listener", "open", "onopen", "open", "5", "error", 1001]);
});

test("the socket has the properties of a WebSocket", () => {
  const { socket } = connected("ws://here");
  assert.deepEqual(
    [socket.readyState, socket.url, socket.protocol, socket.extensions, socket.bufferedAmount, socket.binaryType],
    [1, "ws://here", "chosen", "", 0, "blob"],
  );
});

for (const path of ["channels/js/websocketbridge.js", "routechan/websocketbridge.js"]) {
  test(`${path} is a plain script: the globals of 1.x and ours, beside what they held`, () => {
    const source = new URL(`../../routechan_django/static/${path}`, import.meta.url);
    const page = vm.createContext({ channels: { other: 1 }, WebSocket: FakeSocket, setTimeout, clearTimeout });
    vm.runInContext(fs.readFileSync(source, "utf8"), page);
    assert.equal(typeof page.channels.WebSocketBridge, "function");
    assert.equal(page.routechan.WebSocketBridge, page.channels.WebSocketBridge);
    assert.deepEqual([Object.keys(page.channels), Object.keys(page.routechan)], [["other", "WebSocketBridge"], ["WebSocketBridge"]]);
    const bridge = vm.runInContext("const bridge = new channels.WebSocketBridge(); bridge.connect('ws://here'); bridge", page);
    assert.equal(bridge.socket.url, "ws://here");
    assert.deepEqual(Object.keys(page), ["channels", "WebSocket", "setTimeout", "clearTimeout", "routechan"]);
  });
}
