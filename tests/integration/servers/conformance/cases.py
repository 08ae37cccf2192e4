"""The cases of Autobahn's suite for RFC 6455, written as tables of what is sent and what may come back.

The numbers are Autobahn's. What it waits a second for, these cases ask for: with a ping, or an echo on another socket.
Section 12 and 13 send texts and bytes of our own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator

from .client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DROPPED,
    PING,
    PONG,
    STILL_OPEN,
    TEXT,
    Answers,
    Case,
    Compressed,
    Event,
    Look,
    Step,
    close_frame,
    fragments,
    frame,
)

PROTOCOL_ERROR = frozenset({1002})
INVALID_PAYLOAD = frozenset({1007})
NORMAL = close_frame(1000)
HELLO = b"Hello, world!"

#: What ends a connection: a frame that breaks the protocol, a text that is none, and nothing at all.
RESERVED_BIT = frame(TEXT, HELLO, rsv=1)
NOT_UTF8 = frame(TEXT, b"\xff")
LOST = b""
BYTES = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"


def cases(whole: bool) -> list[Case]:
    """The cases, in the order of their numbers.

    Args:
        whole: With all sizes and numbers of messages; otherwise with those that take no time.
    """
    made = [
        *_framing(),
        *_pings(),
        *_reserved_bits(),
        *_opcodes(),
        *_fragmentation(),
        *_utf8(),
        *_utf8_sequences(),
        *_closing(),
        *_limits(whole),
        *_compression(whole),
    ]
    return sorted(made, key=lambda case: [int(part) for part in case.id.split(".")])


def _legal(id: str, about: str, *sent: Step, answers: Iterable[Event] = (), offer: str = "") -> Case:
    """All of it is answered; then the client closes."""
    events = tuple(answers)
    return Case(id, about, (*sent, Answers(len(events)), NORMAL), (events,), offer=offer)


def _illegal(
    id: str, about: str, *sent: Step, before: tuple[Event, ...] = (), codes: frozenset[int | None] = PROTOCOL_ERROR
) -> Case:
    """The server fails the connection; what was legal ``before`` may be answered or not."""
    return Case(id, about, sent, (before, ()) if before else ((),), codes=codes)


def _octets(*frames: bytes) -> tuple[bytes, ...]:
    """The frames, each octet in a write of its own."""
    return tuple(bytes((octet,)) for part in frames for octet in part)


def _chopped(octets: bytes, size: int) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def _echo(opcode: int, payload: bytes) -> Event:
    """What the application answers."""
    if payload:
        return opcode, payload
    return TEXT, b"empty text" if opcode == TEXT else b"empty bytes"


def _framing() -> Iterator[Case]:
    sizes = (0, 125, 126, 127, 128, 65535, 65536)
    for group, opcode, fill in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        kind = "text" if opcode == TEXT else "bytes"
        for number, size in enumerate(sizes, 1):
            payload = fill * size
            answers = [_echo(opcode, payload)]
            yield _legal(f"1.{group}.{number}", f"{size} of {kind}", frame(opcode, payload), answers=answers)
        payload = fill * 65536
        chops = _chopped(frame(opcode, payload), 997)
        yield _legal(f"1.{group}.8", f"65536 of {kind} in chops of 997 octets", *chops, answers=[(opcode, payload)])


def _pings() -> Iterator[Case]:
    for number, payload in enumerate((b"", HELLO, BYTES, b"\xfe" * 125), 1):
        yield _legal(f"2.{number}", f"ping of {len(payload)}", frame(PING, payload), answers=[(PONG, payload)])
    yield _illegal("2.5", "ping of 126", frame(PING, b"\xfe" * 126))
    payload = b"\xfe" * 125
    yield _legal("2.6", "ping of 125, by octet", *_octets(frame(PING, payload)), answers=[(PONG, payload)])
    yield _legal("2.7", "unsolicited pong", frame(PONG))
    yield _legal("2.8", "unsolicited pong of 24", frame(PONG, b"unsolicited pong payload"))
    yield _legal(
        "2.9", "unsolicited pong, then a ping", frame(PONG, HELLO), frame(PING, BYTES), answers=[(PONG, BYTES)]
    )
    payloads = [b"payload-%d" % number for number in range(10)]
    pings, pongs = [frame(PING, payload) for payload in payloads], [(PONG, payload) for payload in payloads]
    yield _legal("2.10", "10 pings", *pings, answers=pongs)
    yield _legal("2.11", "10 pings, by octet", *_octets(*pings), answers=pongs)


def _reserved_bits() -> Iterator[Case]:
    echoed = ((TEXT, HELLO),)
    yield _illegal("3.1", "RSV 1 on text", RESERVED_BIT)
    for number, rsv in ((2, 2), (3, 3), (4, 4)):
        sent = frame(TEXT, HELLO), frame(TEXT, HELLO, rsv=rsv), frame(PING)
        parts = {2: (b"".join(sent),), 3: sent, 4: _octets(*sent)}[number]
        yield _illegal(f"3.{number}", f"text, text with RSV {rsv}, ping", *parts, before=echoed)
    yield _illegal("3.5", "RSV 5 on bytes", frame(BINARY, BYTES, rsv=5))
    yield _illegal("3.6", "RSV 6 on a ping", frame(PING, HELLO, rsv=6))
    yield _illegal("3.7", "RSV 7 on a close", frame(CLOSE, rsv=7))


def _opcodes() -> Iterator[Case]:
    echoed = ((TEXT, HELLO),)
    for group, first in ((1, 3), (2, 11)):
        yield _illegal(f"4.{group}.1", f"opcode {first}", frame(first))
        yield _illegal(f"4.{group}.2", f"opcode {first + 1} with payload", frame(first + 1, b"reserved opcode payload"))
        for number, payload in ((3, b""), (4, HELLO), (5, HELLO)):
            opcode = first + number - 1
            sent = frame(TEXT, HELLO), frame(opcode, payload), frame(PING)
            parts = _octets(*sent) if number == 5 else (b"".join(sent),)
            yield _illegal(f"4.{group}.{number}", f"text, opcode {opcode}, ping", *parts, before=echoed)


def _fragmentation() -> Iterator[Case]:
    one, two = b"fragment1", b"fragment2"
    begun, ended = frame(TEXT, one, fin=False), frame(CONTINUATION, two)
    echoed: Event = (TEXT, one + two)
    yield _illegal("5.1", "ping in 2 fragments", frame(PING, one, fin=False), ended)
    yield _illegal("5.2", "pong in 2 fragments", frame(PONG, one, fin=False), ended)
    for number, parts in ((3, (begun + ended,)), (4, (begun, ended)), (5, _octets(begun, ended))):
        yield _legal(f"5.{number}", f"text in 2 fragments, {len(parts)} writes", *parts, answers=[echoed])
    ping = frame(PING, HELLO)
    for number, parts in ((6, (begun + ping + ended,)), (7, (begun, ping, ended)), (8, _octets(begun, ping, ended))):
        about = f"text in 2 fragments, a ping between, {len(parts)} writes"
        yield _legal(f"5.{number}", about, *parts, answers=[(PONG, HELLO), echoed])
    for first, fin in ((9, True), (12, False)):
        nothing, text = frame(CONTINUATION, one, fin=fin), frame(TEXT, HELLO)
        about = f"continuation of nothing with FIN {fin:d}, then text"
        yield _illegal(f"5.{first}", about, nothing + text)
        yield _illegal(f"5.{first + 1}", f"{about}, by frame", nothing, text)
        yield _illegal(f"5.{first + 2}", f"{about}, by octet", *_octets(nothing, text))
    nothing = frame(CONTINUATION, b"fragment3", fin=False)
    about = "text in 2 fragments, continuation of nothing, text"
    yield _illegal("5.15", about, begun + ended + nothing + frame(TEXT, b"fragment4"), before=(echoed,))
    for number, fin in ((16, False), (17, True)):
        twice = (frame(CONTINUATION, b"fragment3", fin=fin), begun, ended) * 2
        yield _illegal(f"5.{number}", f"twice: continuation of nothing with FIN {fin:d}, text in 2 fragments", *twice)
    yield _illegal("5.18", "text in 2 fragments that are both text", begun + frame(TEXT, two))
    text = b"".join(b"fragment%d" % number for number in range(1, 6))
    all_five = fragments(TEXT, text, len(one))
    before = (*all_five[:2], frame(PING, b"1"))
    after = (*all_five[2:4], frame(PING, b"2"), all_five[4])
    answers: list[Event] = [(PONG, b"1"), (PONG, b"2"), (TEXT, text)]
    about = "text in 5 fragments, 2 pings between"
    yield _legal("5.19", about, b"".join(before), Answers(1), b"".join(after), answers=answers)
    yield _legal("5.20", f"{about}, by frame", *before, Answers(1), *after, answers=answers)


def _utf8() -> Iterator[Case]:
    empty = frame(CONTINUATION, fin=False)
    yield _legal("6.1.1", "empty text", frame(TEXT), answers=[_echo(TEXT, b"")])
    begun, ended = frame(TEXT, fin=False), frame(CONTINUATION)
    yield _legal("6.1.2", "3 empty fragments", begun, empty, ended, answers=[_echo(TEXT, b"")])
    middle = frame(CONTINUATION, HELLO, fin=False)
    yield _legal("6.1.3", "3 fragments, 2 of them empty", begun, middle, ended, answers=[(TEXT, HELLO)])
    text = "Hello-µ@ßöäüàá-UTF-8!!".encode()
    yield _legal("6.2.1", "text in one frame", frame(TEXT, text), answers=[(TEXT, text)])
    yield _legal("6.2.2", "text in 2 fragments", *fragments(TEXT, text, 12), answers=[(TEXT, text)])
    yield _legal("6.2.3", "text in fragments of 1", *fragments(TEXT, text, 1), answers=[(TEXT, text)])
    yield _legal("6.2.4", "Greek in fragments of 1", *fragments(TEXT, KOSME, 1), answers=[(TEXT, KOSME)])
    surrogate = KOSME + b"\xed\xa0\x80edited"
    yield _illegal("6.3.1", "a surrogate in one frame", frame(TEXT, surrogate), codes=INVALID_PAYLOAD)
    yield _illegal("6.3.2", "a surrogate in fragments of 1", *fragments(TEXT, surrogate, 1), codes=INVALID_PAYLOAD)
    beyond = KOSME + b"\xf4\x90\x80\x80edited"
    for number, parts in (
        (1, (beyond[:11], beyond[11:15], beyond[15:])),
        (2, (beyond[:12], beyond[12:13], beyond[13:])),
    ):
        one, two, three = parts
        begun, more = frame(TEXT, one, fin=False), frame(CONTINUATION, two, fin=False)
        yield _fails_fast(f"6.4.{number}", "a fragment", begun, more, frame(CONTINUATION, three))
        whole = frame(TEXT, beyond)
        start = len(whole) - len(beyond)
        first, second = start + len(one), start + len(one + two)
        yield _fails_fast(f"6.4.{number + 2}", "a part of a frame", whole[:first], whole[first:second], whole[second:])


def _fails_fast(id: str, part: str, *sent: bytes) -> Case:
    """The second part makes the text invalid: a strict server does not wait for the third."""
    one, two, three = sent
    return Case(
        id,
        f"{part} makes the text invalid",
        (one, Look(), two, Look(), three),
        ((STILL_OPEN,),),
        ((STILL_OPEN, STILL_OPEN),),
        INVALID_PAYLOAD,
    )


KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")  # a Greek word
LONELY = [
    bytes(octet for start in range(*span) for octet in (start, 0x20))
    for span in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
]
UNFINISHED = ("c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf")

#: By section: texts in UTF-8, and what only looks like it (from Markus Kuhn's "UTF-8 decoder stress test").
SEQUENCES: dict[int, list[bytes]] = {
    5: [b"hello$world", "hello¢world".encode(), "hello€world".encode(), "hello\U00024b62world".encode(), KOSME],
    6: [KOSME[:length] for length in range(1, len(KOSME) + 1)],
    7: [bytes.fromhex(digits) for digits in ("00", "c280", "e0a080", "f0908080")],
    8: [bytes.fromhex(digits) for digits in ("f888808080", "fc8480808080")],
    9: [bytes.fromhex(digits) for digits in ("7f", "dfbf", "efbfbf", "f48fbfbf")],
    10: [bytes.fromhex(digits) for digits in ("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf")],
    11: [bytes.fromhex(digits) for digits in ("ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "f4908080")],
    12: [*(b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf" * 2, b"\x80\xbf" * 2 + b"\x80", b"\x80\xbf" * 3),
         bytes(range(0x80, 0xBF))],
    13: LONELY,
    14: [bytes.fromhex(digits) for digits in UNFINISHED],
    15: [bytes.fromhex("".join(UNFINISHED))],
    16: [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    17: [bytes.fromhex(digits) for digits in ("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af")],
    18: [bytes.fromhex(digits) for digits in ("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf")],
    19: [bytes.fromhex(digits) for digits in ("c080", "e08080", "f0808080", "f880808080", "fc8080808080")],
    20: [bytes.fromhex(digits) for digits in ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf")],
    21: [bytes.fromhex(f"ed{high}ed{low}") for high in ("a080", "adbf", "ae80", "afbf") for low in ("b080", "bfbf")],
    22: [chr(plane << 16 | end).encode() for plane in range(17) for end in (0xFFFE, 0xFFFF)],
    23: [chr(point).encode() for point in range(0xFFF9, 0x10000)],
}  # fmt: skip


def _utf8_sequences() -> Iterator[Case]:
    for section, texts in SEQUENCES.items():
        for number, text in enumerate(texts, 1):
            id, about = f"6.{section}.{number}", f"text of the octets {text.hex()}"
            try:
                text.decode()
            except UnicodeDecodeError:
                yield _illegal(id, about, frame(TEXT, text), codes=INVALID_PAYLOAD)
            else:
                yield _legal(id, about, frame(TEXT, text), answers=[(TEXT, text)])


def _closing() -> Iterator[Case]:
    yield _legal("7.1.1", "text, then close", frame(TEXT, HELLO), answers=[(TEXT, HELLO)])
    yield Case("7.1.2", "two close frames", (NORMAL + close_frame(),))
    yield Case("7.1.3", "ping after close", (NORMAL + frame(PING),))
    yield Case("7.1.4", "text after close", (NORMAL + frame(TEXT, HELLO),))
    begun, ended = frame(TEXT, b"fragment1", fin=False), frame(CONTINUATION, b"fragment2")
    yield Case("7.1.5", "close between two fragments", (begun + NORMAL + ended,))
    large: Event = (TEXT, b"BAsd7&jh23" * 26215)
    crossed = ((), (large,), (large, (TEXT, HELLO)))
    sent = frame(*large) + frame(TEXT, HELLO) + NORMAL + frame(PING)
    yield Case("7.1.6", "text of 256 KiB, text, close, ping at once", (sent,), crossed)
    answers = frozenset({None, 1000})
    yield Case("7.3.1", "close without a code", (close_frame(),), codes=answers)
    yield Case("7.3.2", "close of 1 octet", (frame(CLOSE, b"a"),), codes=PROTOCOL_ERROR)
    yield Case("7.3.3", "close with a code", (NORMAL,))
    yield Case("7.3.4", "close with a reason", (close_frame(1000, HELLO),))
    yield Case("7.3.5", "close with a reason of 123", (close_frame(1000, b"*" * 123),))
    yield Case("7.3.6", "close with a reason of 124", (close_frame(1000, b"*" * 124),), codes=PROTOCOL_ERROR)
    invalid = close_frame(1000, KOSME + b"\xed\xa0\x80edited")
    yield Case("7.5.1", "close with a reason that is not UTF-8", (invalid,), codes=PROTOCOL_ERROR | INVALID_PAYLOAD)
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(valid, 1):
        yield Case(f"7.7.{number}", f"close with {code}", (close_frame(code),), codes=frozenset({1000, code}))
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case(f"7.9.{number}", f"close with {code}", (close_frame(code),), codes=PROTOCOL_ERROR)
    for number, code in enumerate((5000, 65535), 1):  # undefined by the RFC
        anything = frozenset({1000, 1002, code, DROPPED})
        yield Case(f"7.13.{number}", f"close with {code}", (close_frame(code),), codes=anything)


def _limits(whole: bool) -> Iterator[Case]:
    kib, mib = 1 << 10, 1 << 20
    for group, opcode in ((0, TEXT), (1, BINARY)):
        fill = b"*" if opcode == TEXT else b"\xfe"
        sizes = (64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib)
        for number, size in enumerate(sizes if whole else sizes[:2], 1):
            message: Event = (opcode, fill * size)
            yield _legal(f"9.{group + 1}.{number}", f"{size} octets", frame(*message), answers=[message])
        message = (opcode, fill * (4 * mib if whole else 64 * kib))
        for number in range(1, 10):
            size = 64 << 2 * (number - 1)
            if whole or 2 <= number <= 5:
                sent = fragments(*message, size)
                id, about = f"9.{group + 3}.{number}", f"{len(message[1])} octets in fragments of {size}"
                yield _legal(id, about, *_batched(sent), answers=[message])
        message = (opcode, fill * (mib if whole else 16 * kib))
        for number in range(1, 7):
            size = 32 << number
            chops = _chopped(frame(*message), size)
            if whole or number > 2:
                about = f"{len(message[1])} octets in chops of {size}"
                yield _legal(f"9.{group + 5}.{number}", about, *chops, answers=[message])
        count = 1000 if whole else 20
        for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
            message = (opcode, fill * size)
            steps = [step for sent in range(count) for step in (frame(*message), Answers(sent + 1))]
            about = f"{count} round trips of {size} octets"
            yield _legal(f"9.{group + 7}.{number}", about, *steps, answers=[_echo(*message)] * count)
    message = (TEXT, b"*" * 65536)
    yield _legal("10.1.1", "65536 octets in fragments of 1300", *fragments(*message, 1300), answers=[message])


def _batched(frames: list[bytes]) -> list[bytes]:
    """The frames, some of them in each write: there may be 65,536."""
    return [b"".join(frames[start : start + 64]) for start in range(0, len(frames), 64)]


#: Size and number of octets in a fragment, 0 for one frame, of the cases of each part of sections 12 and 13.
SIZES = (
    *((16 << 2 * number, 0) for number in range(5)),
    *((8192 << number, 0) for number in range(5)),
    *((8192 << number, 256) for number in range(5)),
    *((131072, size) for size in (1024, 4096, 32768)),
)

#: What the client offers in section 13.
OFFERS = (
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=15; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=15; client_max_window_bits",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits, "
    "permessage-deflate; server_no_context_takeover, permessage-deflate",
)


def _compression(whole: bool) -> Iterator[Case]:
    source = random.Random(6455)
    records = [{"id": number, "name": source.choice(OFFERS), "at": source.random()} for number in range(3000)]
    text, noise = json.dumps(records).encode(), source.randbytes(400_000)
    sections = [("12.1", TEXT, text, OFFERS[0]), ("12.2", BINARY, noise, OFFERS[0])]
    sections += [(f"13.{number}", TEXT, text, offer) for number, offer in enumerate(OFFERS, 1)]
    for section, opcode, data, offer in sections:
        for number, (size, fragment) in enumerate(SIZES, 1):
            if whole or number in (1, 4, 11):
                count = 10 if whole else 3
                starts = [source.randrange(len(data) - size) for _ in range(count)]
                payloads = [data[start : start + size] for start in starts]
                steps = [step for sent, payload in enumerate(payloads, 1)
                         for step in (Compressed(opcode, payload, fragment), Answers(sent))]  # fmt: skip
                about = f"{count} messages of {size} octets in fragments of {fragment or size}: {offer}"
                answers = [(opcode, payload) for payload in payloads]
                yield _legal(f"{section}.{number}", about, *steps, answers=answers, offer=offer)
