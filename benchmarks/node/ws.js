// The same work on Node with ws: node ws.js PORT
const http = require("node:http");
const { WebSocketServer } = require("ws");

const rooms = new Map();

const server = http.createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 5 });
  response.end("hello");
});

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const path = request.url;
  if (path.startsWith("/echo")) {
    socket.on("message", (data) => socket.send(data, { binary: false }));
    return;
  }
  if (!rooms.has(path)) rooms.set(path, new Set());
  const room = rooms.get(path);
  room.add(socket);
  socket.on("message", (data) => {
    for (const each of room) each.send(data, { binary: false });
  });
  socket.on("close", () => {
    room.delete(socket);
    if (!room.size && rooms.get(path) === room) rooms.delete(path);
  });
});

server.listen(Number(process.argv[2]), "127.0.0.1");
