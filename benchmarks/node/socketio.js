// Echo and fan-out on Node with Socket.IO: node socketio.js PORT
const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), { transports: ["websocket"], serveClient: false, perMessageDeflate: false });

io.on("connection", (socket) => {
  socket.join("all");
  socket.on("message", (text) => socket.emit("message", text));
  socket.on("everybody", (text) => io.to("all").emit("everybody", text));
});
