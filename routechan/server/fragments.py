"""Messages that come in several frames (RFC 6455, section 5.4)."""

from __future__ import annotations

from picows import WSFrame, WSMsgType


class BrokenRule(Exception):
    """A frame that may not come now.

    Args:
        code: what the connection is closed with.
        reason: what is wrong, for the client.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Fragments:
    """The message of one connection whose frames are coming. Lifetime: connection.

    Args:
        most: the largest message, in bytes.
    """

    __slots__ = ("_come", "_most", "is_text")

    def __init__(self, most: int) -> None:
        self._most = most
        self._come: bytearray | None = None  # not the frames one by one, which may be many and empty
        #: Whether it is text.
        self.is_text = False

    def __bool__(self) -> bool:
        """Whether some of a message has come, and not all."""
        return self._come is not None

    def add(self, frame: WSFrame) -> bytearray | None:
        """Add ``frame``, the next of the message.

        Returns:
            The whole message, if this was the last frame of it.

        Raises:
            BrokenRule: the frame does not belong here, or the message becomes too large.
        """
        goes_on = frame.msg_type is WSMsgType.CONTINUATION
        if goes_on is (self._come is None):
            raise BrokenRule(1002, "a message begins in the midst of another, or goes on that has not begun")
        if self._come is None:
            self._come = bytearray()
            self.is_text = frame.msg_type is WSMsgType.TEXT
        come = self._come
        come += frame.get_payload_as_memoryview()
        if len(come) > self._most:
            raise BrokenRule(1009, f"a message has more than {self._most} bytes")
        if not frame.fin:
            return None
        self._come = None
        return come
