"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const [log, people, composer, field, nameField, problem] =
    ["log", "people", "composer", "message", "name", "problem"].map(byId);
  const user = composer.dataset.user;
  const waiting = []; // said while there was no connection
  let greeted = false;

  const myName = () => user || (nameField.value.trim() || "Anonymous");

  if (nameField) {
    nameField.value = composer.dataset.name || sessionStorage.getItem("chat-name") || "";
    const keep = () => sessionStorage.setItem("chat-name", nameField.value);
    keep();
    nameField.addEventListener("input", keep);
  }

  function note(text) {
    appendTo(log, make("li", "note", text));
  }

  function bubble({ message, username }) {
    const item = make("li", "bubble");
    if (username === myName() && username !== "Anonymous") item.classList.add("mine");
    let hue = 0;
    for (const letter of username) hue = (hue * 31 + letter.codePointAt(0)) % 360;
    item.style.setProperty("--hue", hue);
    const face = make("span", "face", [...username][0].toUpperCase());
    face.setAttribute("aria-hidden", "true");
    const who = make("span", "who");
    const now = new Date();
    const time = make("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    time.dateTime = now.toISOString();
    who.append(make("b", "", username), time);
    item.append(face, who, make("span", "said", message));
    appendTo(log, item);
  }

  function online(names) {
    people.replaceChildren(...names.map((name) => make("li", "", name)));
    byId("nobody").hidden = names.length > 0;
  }

  function put(element, text) {
    element.textContent = text;
    element.hidden = !text;
  }

  const complain = (text) => put(problem, text);

  const kinds = {
    connection_established(frame) {
      online(frame.online);
      if (!greeted) note(frame.message);
      greeted = true;
    },
    user_join(frame) {
      online(frame.online);
      note(`${frame.username} is here`);
    },
    user_leave(frame) {
      online(frame.online);
      note(`${frame.username} has left`);
    },
    bulk_messages(frame) {
      frame.messages.forEach(bubble);
    },
    error(frame) {
      complain(frame.message);
    },
  };

  const socket = new LiveSocket(composer.dataset.socket, {
    status: byId("connection"),
    onText(text) {
      const frame = JSON.parse(text);
      (kinds[frame.type] || bubble)(frame);
    },
    onOpen() {
      if (waiting.length) socket.send(JSON.stringify({ messages: waiting.splice(0) }));
      put(byId("waiting"), "");
      complain("");
    },
    onLost() {
      people.replaceChildren(); // nobody knows
    },
  });

  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    complain("");
    const said = { message: field.value, username: myName() };
    if (!socket.send(JSON.stringify(said))) {
      if (!said.message.trim()) return;
      if (waiting.length === 100) return complain("Too much to keep until the connection is back.");
      waiting.push(said);
      put(byId("waiting"), `To be sent when the connection is back: ${waiting.length}`);
    } else if (said.message.trim() && [...said.message].length > 1000) {
      return; // the server says why; keep the text, so that it can be made shorter
    }
    field.value = "";
    field.focus();
  });
})();
