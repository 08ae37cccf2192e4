"use strict";
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(`${scheme}//${location.host}/chat/stream/`);
const rooms = document.getElementById("rooms");
const joined = document.getElementById("joined");
const error = document.getElementById("error");
const state = document.getElementById("status");

const send = (command, room, more) => socket.send(JSON.stringify({command, room, ...more}));
const section = (room) => joined.querySelector(`[data-room="${room}"]`);
const button = (room) => rooms.querySelector(`[data-room="${room}"] button`);

function open(room, title) {
  const made = document.getElementById("room").content.cloneNode(true).firstElementChild;
  made.dataset.room = room;
  made.querySelector("h2").textContent = title;
  made.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const input = made.querySelector("input");
    send("send", room, {message: input.value});
    input.value = "";
  });
  joined.append(made);
  button(room).textContent = "Leave";
}

function show(content) {
  const into = section(content.room);
  if (!into) return;
  const line = document.createElement("li");
  if (content.event) {
    line.className = "note";
    line.textContent = `${content.username} ${content.event}`;
  } else {
    line.textContent = `${content.username}: ${content.message}`;
  }
  into.querySelector(".messages").append(line);
}

socket.onopen = () => { state.textContent = "Connected"; };
socket.onclose = () => { state.textContent = "Disconnected"; };
socket.onmessage = ({data}) => {
  const content = JSON.parse(data);
  error.textContent = content.error || "";
  if (content.join) {
    open(content.join, content.title);
  } else if (content.leave) {
    section(content.leave).remove();
    button(content.leave).textContent = "Join";
  } else if (content.room) {
    show(content);
  }
};
rooms.addEventListener("click", ({target}) => {
  if (target.tagName !== "BUTTON") return;
  const room = target.closest("li").dataset.room;
  send(section(room) ? "leave" : "join", room);
});
