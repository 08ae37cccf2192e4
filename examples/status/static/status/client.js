"use strict";

(() => {
  const form = document.getElementById("form");
  const field = document.getElementById("text");
  const button = form.querySelector("button");
  const received = document.getElementById("received");

  const socket = new LiveSocket(form.dataset.socket, {
    status: document.getElementById("connection"),
    onText: (text) => appendTo(received, make("li", "line", JSON.parse(text).message)),
    onOpen: () => { button.disabled = false; },
    onLost: () => { button.disabled = true; },
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value && socket.send(field.value)) field.value = "";
    field.focus();
  });
})();
