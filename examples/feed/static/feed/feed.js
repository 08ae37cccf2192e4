"use strict";

(() => {
  const form = document.getElementById("form");
  const field = document.getElementById("text");
  const list = document.getElementById("notices");
  const state = document.getElementById("connection");
  const outcome = document.getElementById("outcome");

  /* The newest comes first; one that the page shows already, because it was saved while the page was loaded, is left out. */
  function show(notice) {
    if (list.querySelector(`[data-id="${notice.id}"]`)) return;
    const line = make("li", "line", notice.text);
    line.dataset.id = notice.id;
    list.prepend(line);
  }

  function tell(text) {
    outcome.hidden = !text;
    outcome.textContent = text;
  }

  function status(value, text) {
    state.dataset.state = value;
    state.textContent = text;
  }

  async function reload() {
    const { notices } = await (await fetch(form.dataset.latest)).json();
    list.replaceChildren();
    notices.reverse().forEach(show);
    tell("You were away for so long that the list was loaded anew.");
  }

  const bridge = new routechan.WebSocketBridge();
  bridge.connect(form.dataset.socket, undefined, { recover: true, transports: [form.dataset.transport] });
  bridge.listen(show);
  bridge.socket.addEventListener("open", () => status("open", "Connected"));
  bridge.socket.addEventListener("close", () => status("lost", "Connection lost. Trying again…"));
  bridge.socket.addEventListener("recovered", () => tell("You were away, and have missed nothing."));
  bridge.socket.addEventListener("gap", reload);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new FormData(form);
    field.value = "";
    field.focus();
    await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "fetch" } });
  });
})();
