import { WebSocketBridge, type CloseNews, type ReconnectOptions } from "routechan";

const options: ReconnectOptions = { minReconnectionDelay: 100, recover: true, transports: ["websocket", "sse"] };
const heard: unknown[] = [];
const bridge = new WebSocketBridge();
bridge.connect("/ws/chat/", [], options);
bridge.listen((message, stream: null) => heard.push([message, stream]));
bridge.demultiplex("news", (payload: { id: number }, stream: string) => heard.push([payload.id, stream]));
bridge.socket?.addEventListener("close", ({ code }: CloseNews) => heard.push(code));
bridge.socket?.addEventListener("gap", ({ type }) => heard.push(type), { once: true });
bridge.answer(async (question: { width: boolean }) => (question.width ? innerWidth : null));

async function ask(): Promise<number> {
  const answer: { price: number } = await bridge.ask({ item: 7 }, { timeout: 500 });
  return answer.price;
}

// @ts-expect-error: there is no such option
const mistaken: ReconnectOptions = { recovr: true };

Object.assign(globalThis, { bridge, heard, ask, mistaken });
