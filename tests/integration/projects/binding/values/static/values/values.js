"use strict";
const table = document.getElementById("values");
const state = document.getElementById("status");
const row = (pk) => table.querySelector(`[data-pk="${pk}"]`);

// All of it arrives as strings; the binding's deserializer converts them (UE-08).
const bridge = new channels.WebSocketBridge();
bridge.connect("/values/stream/");
bridge.listen();
bridge.demultiplex("values", ({action, pk, data}, stream) => {
  if (action === "delete") {
    row(pk).remove();
    return;
  }
  let line = row(pk);
  if (!line) {
    line = document.createElement("tr");
    line.dataset.pk = pk;
    line.innerHTML = '<td class="name"></td><td><input type="number"></td>' +
      '<td><button type="button">Delete</button></td>';
    table.append(line);
  }
  line.querySelector(".name").textContent = data.name;
  line.querySelector("input").value = data.value;
  line.querySelector("input").setAttribute("aria-label", data.name);
});
bridge.demultiplex("counting", (payload) => {
  if ("you" in payload) document.getElementById("me").textContent = payload.you || "nobody";
  else document.getElementById("counted").textContent = payload.characters;
});
bridge.socket.onopen = () => { state.textContent = "Connected"; };
bridge.socket.onclose = () => { state.textContent = "Not connected"; };

table.addEventListener("change", ({target}) => {
  const pk = target.closest("tr").dataset.pk;
  bridge.stream("values").send({action: "update", pk, data: {value: target.value}});
});
table.addEventListener("click", ({target}) => {
  if (target.tagName !== "BUTTON") return;
  bridge.stream("values").send({action: "delete", pk: target.closest("tr").dataset.pk});
});
document.getElementById("new").addEventListener("submit", (event) => {
  event.preventDefault();
  const {name, value} = Object.fromEntries(new FormData(event.target));
  bridge.stream("values").send({action: "create", data: {name, value}});
  event.target.reset();
});
document.getElementById("count").addEventListener("input", ({target}) => {
  bridge.stream("counting").send({text: target.value});
});
