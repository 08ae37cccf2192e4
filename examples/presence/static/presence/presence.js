"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const [place, people, log] = ["place", "people", "log"].map(byId);

  new LiveSocket(place.dataset.socket, {
    status: byId("connection"),
    onText(text) {
      const { here, news } = JSON.parse(text);
      people.replaceChildren(...here.map((name) => make("li", "", name)));
      if (news) appendTo(log, make("li", "note", news));
    },
    onLost() {
      people.replaceChildren(); // nobody knows
    },
  });
})();
