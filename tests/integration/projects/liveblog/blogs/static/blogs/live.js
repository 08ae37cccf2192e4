"use strict";
const posts = document.getElementById("posts");
const state = document.getElementById("status");
const bridge = new channels.WebSocketBridge();

bridge.connect(posts.dataset.stream);
bridge.listen((content) => {
  if (content.error) {
    state.textContent = content.error;
    return;
  }
  let article = posts.querySelector(`[data-id="${content.id}"]`);
  if (!article) {
    article = document.createElement("article");
    article.dataset.id = content.id;
    article.append(document.createElement("p"), document.createElement("small"));
    posts.prepend(article);
  }
  article.querySelector("p").textContent = content.body;
  article.querySelector("small").textContent = content.created;
});
bridge.socket.addEventListener("open", () => { state.textContent = "Live"; });
bridge.socket.addEventListener("close", () => { state.textContent = "Not connected"; });
