/** The third argument of `connect`. All times are milliseconds. */
export interface ReconnectOptions {
  /** The class of the sockets; without it the global `WebSocket`. To TypeScript every object has a `constructor`. */
  constructor?: Function;
  /** What to connect with; after an attempt that fails, the next one. ["websocket"] */
  transports?: ("websocket" | "sse")[];
  /** The first pause is random between this and twice this. 1500 */
  minReconnectionDelay?: number;
  /** No pause is longer. 10000 */
  maxReconnectionDelay?: number;
  /** Each pause is the one before times this. 1.3 */
  reconnectionDelayGrowFactor?: number;
  /** An attempt that has not succeeded by then is closed: an error with code `ETIMEDOUT`. 4000 */
  connectionTimeout?: number;
  /** After so many failures in a row, and one more: an error with code `EHOSTDOWN`, and no further attempt. Infinity */
  maxRetries?: number;
  /** How many messages the bridge keeps while no socket is open; 0 keeps none. 100 */
  maxKeptMessages?: number;
  /** How many bytes of UTF-8 these have at most. 1048576 */
  maxKeptBytes?: number;
  /** Be given what was missed, and ask and answer, where the server speaks `routechan.v1`. false */
  recover?: boolean;
  /** Tell on the console what happens. false */
  debug?: boolean;
}

export interface CloseOptions {
  /** Do not come back. false */
  keepClosed?: boolean;
  /** Tell the listeners at once, not when the server has answered. true */
  fastClose?: boolean;
  /** What the next pause grows from, in milliseconds; 0 leaves it as it is. 0 */
  delay?: number;
}

/** What a `close` listener gets: the browser's event, or what `close()` makes up with `fastClose`. */
export interface CloseNews {
  type: string;
  code: number;
  reason: string;
  wasClean: boolean;
}

/** What an `error` listener gets: the browser's event, or an error of ours. */
export type ErrorNews = Event | (Error & { code: "ETIMEDOUT" | "EHOSTDOWN" });

export interface SocketEvents {
  open: Event;
  message: MessageEvent;
  close: CloseNews;
  error: ErrorNews;
  /** With `recover`: the socket was added to a group, and had missed nothing of it. */
  joined: Event;
  /** With `recover`: everything that was missed has been given. */
  recovered: Event;
  /** With `recover`: something was missed and can't be given; ask the site for the whole state. */
  gap: Event;
}

type Listener<T> = ((event: T) => unknown) | { handleEvent(event: T): unknown };

/** One WebSocket after the other. Listeners and handlers stay when it reconnects. */
export interface ReconnectingSocket {
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onclose: ((event: CloseNews) => unknown) | null;
  onerror: ((event: ErrorNews) => unknown) | null;
  onjoined: ((event: Event) => unknown) | null;
  onrecovered: ((event: Event) => unknown) | null;
  ongap: ((event: Event) => unknown) | null;
  readonly readyState: number;
  readonly url: string;
  readonly protocol: string;
  readonly extensions: string;
  readonly bufferedAmount: number;
  binaryType: BinaryType;
  /** Goes to the socket there is now; nothing is kept for the next one, unlike what the bridge sends. */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): void;
  /** Close this socket, and come back unless `keepClosed`. The code is 1000, the reason "". */
  close(code?: number, reason?: string, options?: CloseOptions): void;
  addEventListener<K extends keyof SocketEvents>(
    type: K, listener: Listener<SocketEvents[K]>, options?: boolean | { once?: boolean },
  ): void;
  removeEventListener<K extends keyof SocketEvents>(type: K, listener: Listener<SocketEvents[K]>): void;
}

/** JSON over a WebSocket that comes back by itself. */
export declare class WebSocketBridge {
  constructor(options?: object);
  /** `null` until `connect`. */
  socket: ReconnectingSocket | null;
  streams: Record<string, (payload: any, stream: string) => unknown>;
  default_cb: ((message: any, stream: null) => unknown) | null | undefined;
  options: object;
  /** Connect to a path of this page's host, or to anything a `WebSocket` takes. */
  connect(url?: string | URL, protocols?: string | string[], options?: ReconnectOptions): void;
  /** After `connect`. `callback` takes what belongs to no stream. */
  listen(callback?: (message: any, stream: null) => unknown): void;
  /** `callback` takes what comes on `stream`, in place of the one before. */
  demultiplex(stream: string, callback: (payload: any, stream: string) => unknown): void;
  /**
   * Send any value as JSON. While no socket is open it is kept for the next one. Throws an `Error` with the code
   * `ENOBUFS` where no more is kept, with `ENOTCONN` where no socket will come.
   */
  send(message: unknown): void;
  /** What sends on `stream`, as `send` does. */
  stream(stream: string): { send(payload: unknown): void };
  /**
   * What a consumer answers. Fails with an `Error` whose code is `ETIMEDOUT`, `ECONNRESET` (the connection was lost),
   * `EFAILED` (with the reason that the server gives, or the answer is not JSON), `ENOTCONN` (there is none), `ENOTSUP`
   * (the server does not speak `routechan.v1`, or `recover` is not set) or `ENOBUFS` (100 questions are open). The
   * timeout is in milliseconds, at most 2147483647. 10000
   */
  ask(question: unknown, options?: { timeout?: number }): Promise<any>;
  /** `callback` answers what consumers ask, with a value or a promise of one; what it throws is told to them. */
  answer(callback: (question: any) => unknown): void;
}
