/* What may be said to `connect`, and what holds otherwise. */

export const DEFAULTS = {
  constructor: undefined, // the class of the sockets; without it the global WebSocket
  transports: ["websocket"], // what to connect with; after an attempt that fails, the next one
  minReconnectionDelay: 1500, // milliseconds, as all times here
  maxReconnectionDelay: 10000,
  reconnectionDelayGrowFactor: 1.3,
  connectionTimeout: 4000,
  maxRetries: Infinity,
  maxKeptMessages: 100, // of the bridge, while no socket is open
  maxKeptBytes: 1048576,
  recover: false, // be given what was missed, on routechan.v1
  debug: false,
};

/* Milliseconds that a timer can have; one with more fires at once. */
export const LONGEST_TIMER = 2147483647;

const TRANSPORTS = ["websocket", "sse"];

/* The settings that `options` make, checked. */
export function settingsOf(options) {
  const settings = {};
  for (const name of Object.keys(DEFAULTS)) {
    // Every object has a "constructor"; only one that was given is meant.
    const given = options && Object.prototype.hasOwnProperty.call(options, name) ? options[name] : undefined;
    settings[name] = given === undefined ? DEFAULTS[name] : given;
  }
  const { transports } = settings;
  if (!Array.isArray(transports) || !transports.length || !transports.every((name) => TRANSPORTS.includes(name))) {
    throw new TypeError(`transports is an array of ${TRANSPORTS.join(" and ")}, not ${JSON.stringify(transports)}`);
  }
  if (settings.constructor === undefined) settings.constructor = globalThis.WebSocket;
  if (transports.includes("websocket") && typeof settings.constructor !== "function") {
    throw new TypeError("there is no WebSocket here; give a class of sockets as the option 'constructor'");
  }
  return settings;
}
