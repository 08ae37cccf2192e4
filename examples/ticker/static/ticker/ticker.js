"use strict";

for (const card of document.querySelectorAll(".counter")) {
  const find = (selector) => card.querySelector(selector);
  const [number, running, progress, ask, again, log] =
    ["[data-number]", "[data-running]", "progress", "[data-ask]", "[data-again]", ".log"].map(find);

  const socket = new LiveSocket(card.dataset.socket, {
    status: find(".connection"),
    onText(text) {
      const frame = JSON.parse(text);
      if ("number" in frame) {
        number.textContent = frame.number;
        running.textContent = `of ${frame.of}, the function is running`;
        progress.max = frame.of;
        progress.value = frame.number;
      } else if (frame.finished) {
        running.textContent = "the function has ended";
        again.disabled = false;
      } else {
        appendTo(log, make("li", "line", `${frame.answer} — at ${number.textContent}`));
      }
    },
    onOpen() {
      ask.disabled = false;
      again.disabled = true;
    },
    onLost() {
      ask.disabled = true;
      running.textContent = "the connection is lost";
    },
  });

  ask.addEventListener("click", () => socket.send("I am here"));
  again.addEventListener("click", () => socket.open());
}
