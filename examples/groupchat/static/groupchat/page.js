"use strict";

(() => {
  const form = document.getElementById("form");
  const field = document.getElementById("text");
  const send = form.querySelector("button");
  const leave = document.getElementById("leave");
  const log = document.getElementById("log");

  function connected(yes) {
    send.disabled = !yes;
    if (leave) leave.disabled = false;
  }

  const socket = new LiveSocket(form.dataset.socket, {
    status: document.getElementById("connection"),
    onText: (text) => appendTo(log, make("li", "line", text)),
    onOpen() {
      connected(true);
      if (leave) leave.textContent = "Leave";
    },
    onLost: () => connected(false),
    onClosed() {
      connected(false);
      appendTo(log, make("li", "note", "You have left."));
      if (leave) leave.textContent = "Join again";
    },
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value && socket.send(field.value)) field.value = "";
    field.focus();
  });
  if (leave) leave.addEventListener("click", () => (leave.textContent === "Leave" ? socket.close() : socket.open()));
})();
