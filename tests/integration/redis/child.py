"""A process that sends and receives as the test tells it, a line of JSON at a time.

``python -m tests.integration.redis.child OPTIONS``: OPTIONS is a JSON object for ``RedisChannelLayer``.
Each line of input is a JSON list, a method of ``Child`` with its arguments; the answer is one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from routechan import Group
from routechan.encoding import Content
from routechan.exceptions import ChannelFull, ChannelLayerUnavailable
from routechan.layers import RedisChannelLayer
from routechan.layers.base import Delivery
from routechan.layers.presence import PRESENCE_CHANNELS

#: Seconds until a sender tries again a channel that was full.
AGAIN = 0.002


class Sender:
    """Sends ``{"sender": name, "n": 0, 1, ...}``, each as often as needed and never after doubt. Lifetime: child."""

    def __init__(self, layer: RedisChannelLayer, channel: str, name: str, count: int, pause: float) -> None:
        self.layer = layer
        self.channel = channel
        self.name = name
        self.count = count
        self.pause = pause
        self.sent = 0
        self.doubted: list[int] = []
        self.stopped = threading.Event()
        self.ended = False

    @property
    def done(self) -> bool:
        return self.sent >= self.count or self.stopped.is_set()

    async def run(self) -> None:
        while not self.done:
            try:
                await self.layer.send(self.channel, self.content())
            except ChannelFull:
                await asyncio.sleep(AGAIN)
            except ChannelLayerUnavailable as error:
                self.failed(error)
            else:
                self.sent += 1
                await asyncio.sleep(self.pause)
        self.ended = True

    def run_here(self) -> None:
        while not self.done:
            try:
                self.layer.sync.send(self.channel, self.content())
            except ChannelFull:
                self.stopped.wait(AGAIN)
            except ChannelLayerUnavailable as error:
                self.failed(error)
            else:
                self.sent += 1
                if self.pause:
                    self.stopped.wait(self.pause)
        self.ended = True

    def content(self) -> Content:
        return {"sender": self.name, "n": self.sent}

    def failed(self, error: ChannelLayerUnavailable) -> None:
        if "nothing was sent" not in str(error):
            self.doubted.append(self.sent)
            self.sent += 1


class Child:
    """What the test can ask for. Lifetime: process."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self.layer = layer
        self.received: dict[str, deque[Any]] = {}
        self.senders: list[Sender] = []
        self.errors: list[str] = []
        self.stopped = False
        self._tasks: set[asyncio.Task[None]] = set()

    def ready(self) -> str:
        return self.layer.process

    # Reading

    def read(self, name: str, channel: str, task: bool) -> None:
        """Keep what ``channel`` gives under ``name``; on a task, or else on a thread with the 1.x face."""
        kept = self.received[name] = deque()
        if task:
            self._start(self._read(channel, kept.append))
        else:
            threading.Thread(target=self._read_here, args=(channel, kept.append), daemon=True).start()

    async def _read(self, channel: str, keep: Callable[[Content], object]) -> None:
        while not self.stopped:
            with contextlib.suppress(ChannelLayerUnavailable):
                keep(await self.layer.receive(channel))

    def _read_here(self, channel: str, keep: Callable[[Content], object]) -> None:
        while not self.stopped:
            try:
                _, content = self.layer.sync.receive([channel], block=True)
            except ChannelLayerUnavailable:
                continue
            if content is not None:
                keep(content)

    async def subscribe(self, name: str, channel: str, prefetch: int) -> None:
        """As ``read``, with a subscription."""
        kept = self.received[name] = deque()
        loop = asyncio.get_running_loop()

        def take(delivery: Delivery) -> None:
            kept.append(delivery.content)
            loop.call_later(0.0001, delivery.release)

        self.layer.subscribe([channel, "other"], take, prefetch)

    def read_times(self, channel: str) -> None:
        """Keep the number of each message, and when it came, under ``times``."""
        kept = self.received["times"] = deque()
        self._start(self._read(channel, lambda content: kept.append((content["n"], time.time()))))

    def cancelled(self, name: str, channel: str, times: int) -> None:
        """As ``read`` on a task, but each wait is cancelled soon, ``times`` times in all."""
        kept = self.received[name] = deque()
        self._start(self._cancelled(channel, kept, times))

    async def _cancelled(self, channel: str, kept: deque[Content], times: int) -> None:
        for number in range(times):
            task = asyncio.ensure_future(self.layer.receive(channel))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            if number % 50 == 0:
                await asyncio.sleep(0.003)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                kept.append(await task)
        kept.append({"sender": "", "n": times})
        await self._read(channel, kept.append)

    # Sending

    def send_all(self, channel: str, name: str, count: int, pause: float, task: bool) -> None:
        sender = Sender(self.layer, channel, name, count, pause)
        self.senders.append(sender)
        if task:
            self._start(sender.run())
        else:
            threading.Thread(target=sender.run_here, daemon=True).start()

    async def send(self, channel: str, content: Content, delay: float = 0.0) -> str:
        return await _outcome(self.layer.send(channel, content, delay))

    async def group_send(self, group: str, content: Content) -> str:
        return await _outcome(self.layer.group_send(group, content))

    # Groups

    async def join(self, groups: Sequence[str], name: str) -> str:
        """A new channel becomes a member; what it gets is kept under ``name``."""
        channel = await self.layer.new_channel()
        for group in groups:
            await self.layer.group_add(group, channel)
        self.read(name, channel, True)
        return channel

    async def serve(self, groups: Sequence[str], name: str, sockets: int, to: str) -> list[str]:
        """As a server with so many sockets; if it dies, each sends its name to ``to``."""
        queue = f"websocket.send.{self.layer.process}!"  # a name with the capacity of a mailbox
        kept = self.received[name] = deque()
        self.layer.attach(queue, lambda channels, content: kept.extend((channel, content) for channel in channels))
        channels = [f"{queue}{number}" for number in range(sockets)]
        for channel in channels:
            self.layer.last_will(channel, to, {"sender": channel, "n": 0})
            for group in groups:
                await self.layer.group_add(group, channel)
        return channels

    async def leave(self, channel: str) -> None:
        """One of the sockets was closed in order."""
        self.layer.forget(channel)

    async def members(self, group: str) -> list[str]:
        return await self.layer.group_channels(group)

    # Presence

    async def introduce(self, group: str, channel: str, who: dict[str, Any]) -> None:
        """A socket of this process, or of another, is read by somebody."""
        await Group(group, channel_layer=self.layer).aadd(channel, who=who)

    async def open(self, group: str, ids: Sequence[int]) -> list[str]:
        """As a server with a socket of each of these in ``group``."""
        queue = f"websocket.send.{self.layer.process}!"
        self.layer.attach(queue, lambda channels, content: None)
        channels = [f"{queue}{self.layer.process[-4:]}{who_id}" for who_id in ids]
        joins = zip(channels, ids, strict=True)
        await asyncio.gather(*(self.introduce(group, channel, {"id": who_id}) for channel, who_id in joins))
        return channels

    async def discard(self, group: str, channel: str) -> None:
        await self.layer.group_discard(group, channel)

    async def present(self, group: str) -> list[Any]:
        return await self.layer.group_present(group)

    def take_events(self) -> None:
        """As an application with routes for joins and leaves, which are kept under ``events``."""
        self.layer.want_presence(PRESENCE_CHANNELS)
        kept = self.received["events"] = deque()

        def take(delivery: Delivery) -> None:
            kept.append([delivery.channel, delivery.content["group"], delivery.content["who"]["id"]])
            asyncio.get_running_loop().call_soon(delivery.done)

        self.layer.subscribe(sorted(PRESENCE_CHANNELS), take, 100)

    # Telling

    def report(self) -> dict[str, Any]:
        """What was received since the last report, and how far the senders are."""
        found = {name: [kept.popleft() for _ in range(len(kept))] for name, kept in self.received.items()}
        senders = {
            sender.name: {"sent": sender.sent, "doubted": sender.doubted, "done": sender.ended}
            for sender in self.senders
        }
        errors, self.errors = self.errors, []
        return {"received": found, "senders": senders, "errors": errors, "at": time.time()}

    def stop_senders(self) -> None:
        for sender in self.senders:
            sender.stopped.set()

    def idle(self) -> bool:
        """Whether no send is under way any more."""
        return all(sender.ended for sender in self.senders)

    # Running

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.errors.append(repr(task.exception()))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        requests: asyncio.Queue[str] = asyncio.Queue()
        threading.Thread(target=_listen, args=(loop, requests), daemon=True).start()
        while line := await requests.get():
            name, *arguments = json.loads(line)
            answer = getattr(self, name)(*arguments)
            if isinstance(answer, Awaitable):
                answer = await answer
            print(json.dumps(answer), flush=True)
        self.stopped = True
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _outcome(sent: Awaitable[None]) -> str:
    try:
        await sent
    except (ChannelFull, ChannelLayerUnavailable) as error:
        return str(error)
    return ""


def _listen(loop: asyncio.AbstractEventLoop, requests: asyncio.Queue[str]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop ended first
        for line in sys.stdin:
            loop.call_soon_threadsafe(requests.put_nowait, line)
        loop.call_soon_threadsafe(requests.put_nowait, "")


def main() -> None:
    # A busy machine makes tasks slow, which development mode warns of.
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith("Executing "))
    layer = RedisChannelLayer(**json.loads(sys.argv[1]))
    try:
        asyncio.run(Child(layer).run())
    finally:
        layer.close()


if __name__ == "__main__":
    main()
