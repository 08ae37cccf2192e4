"""Every method checks the names it is given, and both faces make names of their own."""

from __future__ import annotations

import random
from typing import Any

import pytest

from routechan.exceptions import InvalidName
from routechan.layers import BaseChannelLayer, SyncChannelLayer

from .reading import areceive, everything

BAD_CHANNELS: list[Any] = ["", "a b", "=+135!", "¥", "a!b!c", "a?b?c", "a!b?c", "a?", "a\n", "a" * 100, 5, None, b"a"]
BAD_GROUPS: list[Any] = ["", "a b", "a!b", "a?b", "a+b", "a=b", "¥", "a\n", "a" * 100, 5, None, b"a"]


@pytest.mark.parametrize("name", BAD_CHANNELS)
def test_the_1x_face_refuses_bad_channel_names(face: SyncChannelLayer, name: Any) -> None:
    """items 35, 69, 137: a ``TypeError`` wherever a channel is named."""
    with pytest.raises(InvalidName):
        face.send(name, {})
    with pytest.raises(InvalidName):
        face.receive([name])
    with pytest.raises(InvalidName):
        face.group_add("group", name)
    with pytest.raises(InvalidName):
        face.group_discard("group", name)
    with pytest.raises(InvalidName):
        face.channel_statistics(name)
    assert issubclass(InvalidName, TypeError)


@pytest.mark.parametrize("name", BAD_CHANNELS)
async def test_the_async_face_refuses_bad_channel_names(layer: BaseChannelLayer, name: Any) -> None:
    """items 69, 137, 139."""
    with pytest.raises(InvalidName):
        await layer.send(name, {})
    with pytest.raises(InvalidName):
        await layer.receive(name)
    with pytest.raises(InvalidName):
        await layer.group_add("group", name)
    with pytest.raises(InvalidName):
        await layer.group_discard("group", name)


@pytest.mark.parametrize("name", BAD_GROUPS)
def test_the_1x_face_refuses_bad_group_names(face: SyncChannelLayer, name: Any) -> None:
    """items 41, 137, 138; 1.x did not check the name given to ``group_channels``."""
    with pytest.raises(InvalidName):
        face.group_add(name, "channel")
    with pytest.raises(InvalidName):
        face.group_discard(name, "channel")
    with pytest.raises(InvalidName):
        face.send_group(name, {})
    with pytest.raises(InvalidName):
        face.group_channels(name)


@pytest.mark.parametrize("name", BAD_GROUPS)
async def test_the_async_face_refuses_bad_group_names(layer: BaseChannelLayer, name: Any) -> None:
    """items 137, 138."""
    with pytest.raises(InvalidName):
        await layer.group_add(name, "channel")
    with pytest.raises(InvalidName):
        await layer.group_discard(name, "channel")
    with pytest.raises(InvalidName):
        await layer.group_send(name, {})
    with pytest.raises(InvalidName):
        await layer.group_channels(name)


def test_names_of_99_characters_work(face: SyncChannelLayer) -> None:
    """section 1.1: shorter than 100 characters, channels and groups alike."""
    channel, group = "c" * 99, "g" * 99
    face.group_add(group, channel)
    face.send_group(group, {"a": 1})
    assert everything(face, channel) == [(channel, {"a": 1})]


# Validators of the 1.x face


@pytest.mark.parametrize(
    "name", ["http.request", "http.response!ab0def", "http.request.body?ab0def", "0.a_b-c?d_e-f.1", "foo!"]
)
def test_valid_channel_names(face: SyncChannelLayer, name: str) -> None:
    """item 34."""
    assert face.valid_channel_name(name) is True


def test_a_name_to_receive_on_ends_at_its_mark(face: SyncChannelLayer) -> None:
    """section 1.1: ``receive=True`` refuses ``foo!bar``, and takes ``foo!``."""
    assert face.valid_channel_name("foo!", receive=True) is True
    with pytest.raises(InvalidName, match="receive from 'foo!'"):
        face.valid_channel_name("foo!bar", receive=True)


def test_a_list_of_valid_names(face: SyncChannelLayer) -> None:
    """item 36."""
    assert face.valid_channel_names(["http.request", "http.response!ab0def"]) is True


def test_a_list_with_an_invalid_name(face: SyncChannelLayer) -> None:
    """item 37."""
    with pytest.raises(InvalidName):
        face.valid_channel_names(["foo", "bar?baz?"])
    with pytest.raises(InvalidName):
        face.valid_channel_names(["foo", "bar!baz"], receive=True)


@pytest.mark.parametrize("names", [[], "", "foo", None])
def test_what_is_no_list_of_names(face: SyncChannelLayer, names: Any) -> None:
    """items 38, 39: ``AssertionError``, which old code may catch."""
    with pytest.raises(AssertionError, match="expected a list of channel names"):
        face.valid_channel_names(names)


@pytest.mark.parametrize("name", ["foo.bar", "0.a_b-c"])
def test_valid_group_names(face: SyncChannelLayer, name: str) -> None:
    """item 40."""
    assert face.valid_group_name(name) is True


@pytest.mark.parametrize("name", ["foo?bar", "foo!bar", "foo£", "a" * 120, "foo+bar", "foo=bar"])
def test_invalid_group_names(face: SyncChannelLayer, name: str) -> None:
    """item 41."""
    with pytest.raises(InvalidName):
        face.valid_group_name(name)


# New names


def test_new_channel_appends_to_its_pattern(face: SyncChannelLayer) -> None:
    """item 9: exactly one ``?``, and not at the end."""
    name = face.new_channel("test.foo?")
    assert name.startswith("test.foo?")
    assert name.count("?") == 1
    assert not name.endswith("?")


def test_a_new_channel_is_usable_beside_another(face: SyncChannelLayer) -> None:
    """item 10."""
    first = face.new_channel("test.foo?")
    face.send(first, {"a": 1})
    second = face.new_channel("test.foo?")
    assert second != first
    assert face.receive([first, second]) == (first, {"a": 1})


@pytest.mark.parametrize("pattern", ["test!", "test.foo", "", None, b"test?"])
def test_new_channel_wants_a_question_mark(face: SyncChannelLayer, pattern: Any) -> None:
    """items 11, 12."""
    with pytest.raises(InvalidName, match="a pattern that ends in '\\?', such as 'reply\\?'"):
        face.new_channel(pattern)


@pytest.mark.parametrize("pattern", ["a b?", "a" * 95 + "?", "?"])
def test_new_channel_makes_no_name_that_could_not_be_used(face: SyncChannelLayer, pattern: str) -> None:
    """section 8.1 (C21), on the 1.x face."""
    with pytest.raises(InvalidName):
        face.new_channel(pattern)


async def test_async_new_channel_is_process_specific(layer: BaseChannelLayer) -> None:
    """section 1.2: ``<prefix>.<process>!<random>``, by default under ``specific``."""
    name = await layer.new_channel()
    assert name.startswith("specific.")
    assert name.count("!") == 1
    assert not name.endswith("!")
    assert (await layer.new_channel("mine")).startswith("mine.")
    assert (await layer.new_channel(prefix="specific.")).startswith("specific.")
    assert ".." not in await layer.new_channel("specific.")


async def test_async_new_names_of_one_process_share_a_queue(layer: BaseChannelLayer) -> None:
    """section 1.2: the part up to ``!`` names the process, the rest the channel."""
    first, second = await layer.new_channel(), await layer.new_channel()
    assert first != second
    assert first.partition("!")[0] == second.partition("!")[0]


async def test_async_new_channel_refuses_a_prefix_that_is_too_long(layer: BaseChannelLayer) -> None:
    """section 8.1 (C21): at once, not when the name is used."""
    with pytest.raises(InvalidName, match="at most 99 characters"):
        await layer.new_channel("p" * 95)


async def test_names_do_not_repeat_when_random_is_seeded(layer: BaseChannelLayer) -> None:
    """items 85, 112: a test suite or a fork that seeds ``random`` makes no equal names."""
    state = random.getstate()
    try:
        names = set()
        for _ in range(3):
            random.seed(1)
            names.add(await layer.new_channel())
            names.add(layer.sync.new_channel("reply?"))
    finally:
        random.setstate(state)
    assert len(names) == 6


async def test_a_new_name_works_at_once_in_groups(layer: BaseChannelLayer) -> None:
    """section 2.10: the name is used at once for ``receive`` and ``group_add``."""
    name = await layer.new_channel()
    await layer.group_add("group", name)
    await layer.group_send("group", {"a": 1})
    assert await areceive(layer, name) == {"a": 1}
