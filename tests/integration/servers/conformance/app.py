"""The application behind the servers of the suite: an echo of each kind, and what a disconnect consumer is told."""

from __future__ import annotations

from routechan import Group, Message, application, route


def answer(message: Message) -> None:
    """Sends back what came; an empty message cannot be sent (DM-03), so what kind of message it was."""
    key = "text" if "text" in message else "bytes"
    message.reply_channel.send({key: message[key]} if message[key] else {"text": f"empty {key}"})


def echo(message: Message) -> None:
    answer(message)


async def aecho(message: Message) -> None:
    answer(message)


def watch(message: Message) -> None:
    message.reply_channel.send({"accept": True})
    Group("watchers").add(message.reply_channel)


def tell(message: Message) -> None:
    Group("watchers").send({"text": str(message["code"])})


app = application(
    [
        route("websocket.receive", echo, path=r"^/echo/$"),
        route("websocket.receive", aecho, path=r"^/(?:aecho|told)/$"),
        route("websocket.connect", watch, path=r"^/watch/$"),
        route("websocket.disconnect", tell, path=r"^/told/$"),
    ]
)
