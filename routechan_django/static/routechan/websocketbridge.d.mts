export * from "./websocketbridge.js";
