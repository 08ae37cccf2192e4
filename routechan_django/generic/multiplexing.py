"""Several streams over one socket."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, closing, contextmanager
from typing import Any, ClassVar, NoReturn

from asgiref.sync import sync_to_async
from django.core.serializers.json import DjangoJSONEncoder

from routechan.channel import Channel, Group
from routechan.describe import name_that_thing
from routechan.encoding import Content
from routechan.exceptions import ConsumeLater, SendNotAvailableOnDemultiplexer
from routechan.kinds import Kind, kind_of
from routechan.message import Message

from .base import BaseConsumer, outcome
from .sockets import JsonWebsocketConsumer


class WebsocketMultiplexer:
    """Sends within one stream of a socket. Lifetime: message."""

    def __init__(self, stream: str, reply_channel: Channel) -> None:
        self.stream = stream
        self.reply_channel = reply_channel

    def send(self, payload: Any) -> None:
        """Send ``payload`` to the socket, in this stream."""
        self.reply_channel.send(self.encode(self.stream, payload))

    @classmethod
    def group_send(cls, name: str, stream: str, payload: Any, close: bool | int = False) -> None:
        """Send ``payload`` in ``stream`` to a group of the default layer (GN-26)."""
        message = cls.encode(stream, payload)
        if close:
            message["close"] = close
        Group(name).send(message)

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        """The message that carries ``payload`` in ``stream`` (GN-25)."""
        return {"text": cls.encode_json({"stream": stream, "payload": payload})}

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """JSON, with dates, decimals and UUIDs as Django writes them; override it for another encoder."""
        return json.dumps(content, cls=DjangoJSONEncoder)


class WebsocketDemultiplexer(JsonWebsocketConsumer):
    """Hands each frame to the consumer of its stream. Lifetime of an instance: message.

    A frame is ``{"stream": name, "payload": {...}}``; the consumer is given the same message with the payload as its
    text, and ``multiplexer`` to answer with. Connecting and disconnecting reach every consumer, in the order of
    ``consumers``. Consumers may be classes, functions or ``Binding.consumer``; plain ones run on a thread and
    ``async def`` ones on the loop, and what a generator yields for a frame is the payload of an answer.
    """

    #: Stream name to consumer.
    consumers: ClassVar[dict[str, Any]] = {}

    multiplexer_class: ClassVar[type[WebsocketMultiplexer]] = WebsocketMultiplexer

    def connect(self, message: Message, **kwargs: Any) -> Any:
        """Accept, then tell every consumer (GN-27)."""
        self._reply({"accept": True})
        return self._tell_all(message, kwargs)

    def receive(self, content: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Hand the payload to the consumer of its stream (GN-29, GN-30)."""
        stream, payload = self._taken_apart(content)
        multiplexer = self._multiplexer(stream)
        around = functools.partial(_whole_for_later, self.message.content, self.message.content.get("text"))
        self.message.content["text"] = self.encode_json(payload)
        with around():
            result = self._call(multiplexer, self.message, kwargs)
        if inspect.iscoroutine(result):
            return _awaited(result, around)
        if inspect.isgenerator(result):
            return _framed(multiplexer, result, around)
        return _aframed(multiplexer, result, around) if inspect.isasyncgen(result) else result

    def disconnect(self, message: Message, **kwargs: Any) -> Any:
        """Tell every consumer (GN-28)."""
        return self._tell_all(message, kwargs)

    def send(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a frame needs a stream (GN-32). The consumers of its streams get this ``send`` too (GN-31)."""
        raise SendNotAvailableOnDemultiplexer(
            "a demultiplexed socket takes frames of its streams only; call multiplexer.send(payload) on the keyword "
            "argument 'multiplexer' of connect, receive and disconnect, also found in self.kwargs['multiplexer']"
        )

    @classmethod
    def group_send(  # type: ignore[override]
        cls, name: str, stream: str, payload: Any, close: bool | int = False
    ) -> NoReturn:
        """Refuse, as ``send`` does."""
        raise SendNotAvailableOnDemultiplexer(
            f"call {cls.multiplexer_class.__name__}.group_send(name, stream, payload), not that of {cls.__name__}"
        )

    # How the consumers are run

    def _taken_apart(self, content: Any) -> tuple[str, dict[str, Any]]:
        if not isinstance(content, dict) or "stream" not in content or "payload" not in content:
            raise ValueError(f'a frame is {{"stream": "...", "payload": {{...}}}}, not {content!r:.100}')
        stream, payload = content["stream"], content["payload"]
        if not isinstance(stream, str) or stream not in self.consumers:
            raise ValueError(f"no stream {stream!r:.100}; {type(self).__name__} has {sorted(self.consumers)}")
        if not isinstance(payload, dict):
            raise ValueError(f"the payload of a frame is a JSON object, not {payload!r:.100} (stream {stream!r})")
        return stream, payload

    def _multiplexer(self, stream: str) -> WebsocketMultiplexer:
        reply_channel: Any = self.message.reply_channel
        return self.multiplexer_class(stream, reply_channel)

    def _tell_all(self, message: Message, kwargs: dict[str, Any]) -> Any:
        multiplexers = [self._multiplexer(stream) for stream in self.consumers]
        if self._kind_for_all(message) is Kind.ASYNC:
            return self._atell_all(multiplexers, message, kwargs)
        results = [self._call(multiplexer, message, kwargs) for multiplexer in multiplexers]
        # A plain decorator around an ``async def`` gives back what that one gave it.
        work = [result for result in results if inspect.iscoroutine(result)]
        return _one_by_one(work) if work else None

    async def _atell_all(
        self, multiplexers: list[WebsocketMultiplexer], message: Message, kwargs: dict[str, Any]
    ) -> None:
        for multiplexer in multiplexers:
            if kind_on(self.consumers[multiplexer.stream], message) is Kind.ASYNC:
                result = self._call(multiplexer, message, kwargs)
            else:  # it may block, so not on the loop
                result = await sync_to_async(self._call)(multiplexer, message, kwargs)
            if inspect.iscoroutine(result):
                await result

    def _call(self, multiplexer: WebsocketMultiplexer, message: Message, kwargs: dict[str, Any]) -> Any:
        consumer = self.consumers[multiplexer.stream]
        kwargs = {**kwargs, "multiplexer": multiplexer}
        if not (inspect.isclass(consumer) and hasattr(consumer, "send")):
            return consumer(message, **kwargs)
        # This one instance gets a send that refuses, before its constructor runs the consumer (OB-17).
        instance: Any = consumer.__new__(consumer)
        instance.send = self.send
        instance.__init__(message, **kwargs)
        return outcome(instance)

    def _kind(self, name: str) -> Kind:
        """As the consumers, so that decorators of this class last as long as theirs."""
        if name != "receive":
            return self._kind_for_all(self.message)
        kinds = {stream: kind_on(consumer, self.message) for stream, consumer in self.consumers.items()}
        if not kinds or set(kinds.values()) == {Kind.PLAIN}:
            return Kind.PLAIN
        try:
            return kinds[self._taken_apart(self.decode_json(self.message["text"]))[0]]
        except Exception:  # raw_receive meets it again, and raises it inside the decorators
            return Kind.PLAIN

    def _kind_for_all(self, message: Message) -> Kind:
        kinds = {stream: kind_on(consumer, message) for stream, consumer in self.consumers.items()}
        for stream, kind in kinds.items():
            if kind in (Kind.STREAM, Kind.ASYNC_STREAM):
                raise TypeError(
                    f"{name_that_thing(self.consumers[stream])} is a generator on {message.channel_name}, where a "
                    f"demultiplexer calls its consumers one after the other; stream {stream!r} can stream in receive"
                )
        return Kind.ASYNC if Kind.ASYNC in kinds.values() else Kind.PLAIN


def kind_on(consumer: Any, message: Message) -> Kind:
    """How a consumer handles ``message``."""
    if inspect.isclass(consumer) and issubclass(consumer, BaseConsumer):
        return consumer.kind_on(message.channel_name)
    return kind_of(consumer)


async def _one_by_one(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
    try:
        for coroutine in coroutines:
            await coroutine
    finally:  # after an error those that follow are not run
        for coroutine in coroutines:
            coroutine.close()


@contextmanager
def _whole_for_later(content: Content, frame: Any) -> Iterator[None]:
    """A message that comes again after ``ConsumeLater`` has its frame again, which is taken apart again."""
    try:
        yield
    except ConsumeLater:
        content["text"] = frame
        raise


_Around = Callable[[], AbstractContextManager[None]]


async def _awaited(coroutine: Coroutine[Any, Any, Any], around: _Around) -> Any:
    with around():
        return await coroutine


def _framed(
    multiplexer: WebsocketMultiplexer, payloads: Generator[Any, Any, Any], around: _Around
) -> Iterator[Content]:
    with around(), closing(payloads):
        for payload in payloads:
            yield multiplexer.encode(multiplexer.stream, payload)


async def _aframed(
    multiplexer: WebsocketMultiplexer, payloads: AsyncGenerator[Any, Any], around: _Around
) -> AsyncIterator[Content]:
    with around():
        async with aclosing(payloads):
            async for payload in payloads:
                yield multiplexer.encode(multiplexer.stream, payload)
