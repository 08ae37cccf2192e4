export { WebSocketBridge } from "./src/bridge.js";
