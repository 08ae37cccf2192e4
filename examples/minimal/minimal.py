"""A chat in one file, without Django: ``uvicorn minimal:app``."""

from __future__ import annotations

from routechan import Group, Message, application, route

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>routechan in one file</title>
<link rel="icon" href="data:,">
<style>
  * { box-sizing: border-box; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 0 auto; padding: 1.5rem 1rem; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; min-width: 0; }
  input, button { font: inherit; padding: .5rem 1rem; min-height: 44px; border: 1px solid #888; border-radius: 9px; }
  button { background: #2457c5; border-color: #2457c5; color: #fff; font-weight: 600; }
  ol { padding: 0; list-style: none; }
  li { padding: .4rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere; }
</style>
<h1>routechan in one file</h1>
<p id="status" role="status" aria-live="polite">Connecting…</p>
<form><input aria-label="Message" placeholder="Say something to everybody here" autofocus><button>Send</button></form>
<ol id="log" role="log" aria-live="polite"></ol>
<script>
  const [form, field, status, log] = ["form", "input", "#status", "#log"].map((s) => document.querySelector(s));
  let socket;
  function open() {
    socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/chat/");
    socket.onopen = () => { status.textContent = "Connected"; };
    socket.onmessage = ({ data }) => {
      const item = document.createElement("li");
      item.textContent = data;
      log.prepend(item);
    };
    socket.onclose = () => {
      status.textContent = "Connection lost. Trying again…";
      setTimeout(open, 500 + Math.random() * 1500);
    };
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    if (field.value && socket.readyState === WebSocket.OPEN) {
      socket.send(field.value);
      field.value = "";
    }
  };
  open();
</script>
</html>
"""


def page(message: Message) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    message.reply_channel.send({"status": 200, "headers": headers, "content": PAGE.encode()})


def ws_connect(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("everyone").add(message.reply_channel)


async def ws_receive(message: Message) -> None:
    Group("everyone").send({"text": message.get("text") or "(bytes)"})


def ws_disconnect(message: Message) -> None:
    Group("everyone").discard(message.reply_channel)


app = application(
    [
        route("http.request", page, path=r"^/$"),
        route("websocket.connect", ws_connect, path=r"^/chat/$"),
        route("websocket.receive", ws_receive, path=r"^/chat/$"),
        route("websocket.disconnect", ws_disconnect, path=r"^/chat/$"),
    ]
)
