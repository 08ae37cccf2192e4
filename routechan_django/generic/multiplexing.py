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
from routechan.encoding import Content
from routechan.exceptions import ConsumeLater, SendNotAvailableOnDemultiplexer
from routechan.inspection import Kind, kind_of, name_that_thing
from routechan.message import Message

from .base import BaseConsumer, channel_of, outcome, overridable
from .sockets import JsonWebsocketConsumer

__sends_for_others__ = True


class WebsocketMultiplexer:
    """Sends to one stream of a socket. Lifetime: message.

    Args:
        stream: The name of the stream.
        reply_channel: The reply channel of the socket.
    """

    def __init__(self, stream: str, reply_channel: Channel) -> None:
        self.stream = stream
        self.reply_channel = reply_channel

    def send(self, payload: Any) -> None:
        """Send ``payload``, which ``encode_json`` can encode, to this stream of the socket."""
        self.reply_channel.send(self.encode(self.stream, payload))

    @classmethod
    def group_send(cls, name: str, stream: str, payload: Any, close: bool | int = False) -> None:
        """Send a payload to a stream of each socket in a group of the default layer (GN-26).

        Args:
            name: The name of the group.
            stream: The name of the stream.
            payload: What ``encode_json`` can encode.
            close: True or a close code: close the sockets behind it.
        """
        message = cls.encode(stream, payload)
        if close:
            message["close"] = close
        Group(name).send(message)

    @classmethod
    def encode(cls, stream: str, payload: Any) -> Content:
        """The message that carries ``payload`` to ``stream`` (GN-25)."""
        return {"text": cls.encode_json({"stream": stream, "payload": payload})}

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """The JSON of ``content``, with dates, decimals and UUIDs as Django writes them; may be overridden."""
        return json.dumps(content, cls=DjangoJSONEncoder)


class WebsocketDemultiplexer(JsonWebsocketConsumer):
    """Passes each frame to the consumer of its stream. Lifetime of an instance: message.

    A frame is ``{"stream": name, "payload": {...}}``. The consumer gets the same message with the payload as its text,
    and the keyword argument ``multiplexer`` to answer with. Connect and disconnect events go to every consumer, in the
    order of ``consumers``. Consumers may be classes, functions or ``Binding.consumer``; plain ones run on a thread,
    ``async def`` ones on the loop; each item that a generator yields for a frame is the payload of an answer.
    """

    #: Stream name -> consumer.
    consumers: ClassVar[dict[str, Any]] = {}

    multiplexer_class: ClassVar[type[WebsocketMultiplexer]] = WebsocketMultiplexer

    @overridable
    def connect(self, message: Message, **kwargs: Any) -> Any:
        """Accept the socket, then call every consumer (GN-27).

        Args:
            message: The ``websocket.connect`` message.
            **kwargs: The named groups of its route.

        Returns:
            None, or a coroutine where a consumer is async.
        """
        self._reply({"accept": True})
        return self._call_all(message, kwargs)

    @overridable
    def receive(self, content: Any, **kwargs: Any) -> Any:
        """Call the consumer of the frame's stream with the payload (GN-29, GN-30).

        Args:
            content: The decoded frame.
            **kwargs: The named groups of the route.

        Returns:
            What the consumer returns; of a generator its items as messages.

        Raises:
            ValueError: The frame has another shape, or no consumer has its stream.
        """
        stream, payload = self._parse(content)
        multiplexer = self._multiplexer(stream)
        context = functools.partial(_frame_restored, self.message.content, self.message.content.get("text"))
        self.message.content["text"] = self.encode_json(payload)
        with context():
            result = self._call(multiplexer, self.message, kwargs)
        if inspect.iscoroutine(result):
            return _await_within(context, result)
        if inspect.isgenerator(result):
            return _messages(context, multiplexer, result)
        return _amessages(context, multiplexer, result) if inspect.isasyncgen(result) else result

    @overridable
    def disconnect(self, message: Message, **kwargs: Any) -> Any:
        """Call every consumer (GN-28).

        Args:
            message: The ``websocket.disconnect`` message.
            **kwargs: The named groups of its route.

        Returns:
            None, or a coroutine where a consumer is async.
        """
        return self._call_all(message, kwargs)

    def send(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to send: a frame needs a stream (GN-32).

        Consumers of the streams get this ``send`` too (GN-31).

        Args:
            *args: Unused.
            **kwargs: Unused.

        Raises:
            SendNotAvailableOnDemultiplexer: Always; its text says what to call.
        """
        raise SendNotAvailableOnDemultiplexer(
            "a demultiplexed socket takes frames of its streams only; call multiplexer.send(payload) on the keyword "
            "argument 'multiplexer' of connect, receive and disconnect, also found in self.kwargs['multiplexer']"
        )

    @classmethod
    def group_send(  # type: ignore[override]
        cls, name: str, stream: str, payload: Any, close: bool | int = False
    ) -> NoReturn:
        """Refuse to send to a group, as ``send`` does.

        Args:
            name: The name of the group.
            stream: The name of the stream.
            payload: The payload.
            close: Whether to close the sockets.

        Raises:
            SendNotAvailableOnDemultiplexer: Always; its text says what to call.
        """
        raise SendNotAvailableOnDemultiplexer(
            f"call {cls.multiplexer_class.__name__}.group_send(name, stream, payload), not that of {cls.__name__}"
        )

    # Calling the consumers

    def _parse(self, content: Any) -> tuple[str, dict[str, Any]]:
        """The stream and the payload of a decoded frame."""
        if not isinstance(content, dict) or "stream" not in content or "payload" not in content:
            raise ValueError(f'a frame is {{"stream": "...", "payload": {{...}}}}, not {content!r:.100}')
        stream, payload = content["stream"], content["payload"]
        if not isinstance(stream, str) or stream not in self.consumers:
            raise ValueError(f"no stream {stream!r:.100}; {type(self).__name__} has {sorted(self.consumers)}")
        if not isinstance(payload, dict):
            raise ValueError(f"the payload of a frame is a JSON object, not {payload!r:.100} (stream {stream!r})")
        return stream, payload

    def _multiplexer(self, stream: str) -> WebsocketMultiplexer:
        return self.multiplexer_class(stream, self.message.reply_channel)

    def _call_all(self, message: Message, kwargs: dict[str, Any]) -> Any:
        multiplexers = [self._multiplexer(stream) for stream in self.consumers]
        if self._kind_for_all(message) is Kind.ASYNC:
            return self._acall_all(multiplexers, message, kwargs)
        results = [self._call(multiplexer, message, kwargs) for multiplexer in multiplexers]
        # A plain wrapper around an ``async def`` returns its coroutine.
        coroutines = [result for result in results if inspect.iscoroutine(result)]
        return _await_in_order(coroutines) if coroutines else None

    async def _acall_all(
        self, multiplexers: list[WebsocketMultiplexer], message: Message, kwargs: dict[str, Any]
    ) -> None:
        for multiplexer in multiplexers:
            if kind_on(self.consumers[multiplexer.stream], message) is Kind.ASYNC:
                result = self._call(multiplexer, message, kwargs)
            else:  # it may block, so it runs on a thread
                result = await sync_to_async(self._call)(multiplexer, message, kwargs)
            if inspect.iscoroutine(result):
                await result

    def _call(self, multiplexer: WebsocketMultiplexer, message: Message, kwargs: dict[str, Any]) -> Any:
        consumer = self.consumers[multiplexer.stream]
        kwargs = {**kwargs, "multiplexer": multiplexer}
        if not (inspect.isclass(consumer) and hasattr(consumer, "send")):
            return consumer(message, **kwargs)
        # Only this instance gets the ``send`` that refuses, before its constructor runs the consumer (OB-17).
        instance: Any = consumer.__new__(consumer)
        instance.send = self.send
        instance.__init__(message, **kwargs)
        return outcome(instance)

    def _kind(self, name: str) -> Kind:
        """The kind of the consumers, so that decorators of this class are left when the consumers end."""
        if name != "receive":
            return self._kind_for_all(self.message)
        kinds = {stream: kind_on(consumer, self.message) for stream, consumer in self.consumers.items()}
        if not kinds or set(kinds.values()) == {Kind.PLAIN}:
            return Kind.PLAIN
        try:
            return kinds[self._parse(self.decode_json(self.message["text"]))[0]]
        except Exception:  # raw_receive parses the frame again and raises this inside the decorators
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
    """The kind of function that handles ``message`` in ``consumer``, a class or a function."""
    if inspect.isclass(consumer) and issubclass(consumer, BaseConsumer):
        return consumer.kind_on(channel_of(message))
    return kind_of(consumer)


async def _await_in_order(coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
    try:
        for coroutine in coroutines:
            await coroutine
    finally:  # after an error the rest does not run
        for coroutine in coroutines:
            coroutine.close()


@contextmanager
def _frame_restored(content: Content, frame: Any) -> Iterator[None]:
    """A context that puts the whole frame back into a message that comes again, because of ``ConsumeLater``."""
    try:
        yield
    except ConsumeLater:
        content["text"] = frame
        raise


_Context = Callable[[], AbstractContextManager[None]]


async def _await_within(context: _Context, coroutine: Coroutine[Any, Any, Any]) -> Any:
    with context():
        return await coroutine


def _messages(
    context: _Context, multiplexer: WebsocketMultiplexer, payloads: Generator[Any, Any, Any]
) -> Iterator[Content]:
    with context(), closing(payloads):
        for payload in payloads:
            yield multiplexer.encode(multiplexer.stream, payload)


async def _amessages(
    context: _Context, multiplexer: WebsocketMultiplexer, payloads: AsyncGenerator[Any, Any]
) -> AsyncIterator[Content]:
    with context():
        async with aclosing(payloads):
            async for payload in payloads:
                yield multiplexer.encode(multiplexer.stream, payload)
