"""How a good message is spoiled: each mutation breaks one thing, in a place that the random numbers pick.

Mutations of the decoded message (``STRUCTURAL``) return another value, those of its text (``TEXTUAL``) other bytes.
What no log may quote (``PRIVATE``) is never moved into a field that may be.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from packer_publisher.messages import KEY
from tests.proof.poison_json import Token, Twin, nested, write
from tests.proof.poison_words import HUGE, NAMES, ODD, PRIVATE, STRANGE, TAGS, TEXTS, TIMES, TOKENS, depth

Place = tuple[Any, Any]
"""A container and the key or index of one of its values."""


def places(value: Any) -> Iterator[Place]:
    """Yield every place in a decoded message."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        keys: Any = found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
        for key in keys:
            yield found, key
            waiting.append(found[key])


def another_type(value: Any, rng: Random) -> Any:
    """Put a value of another type, or a strange one, in the place of any."""
    token = rng.choice(TOKENS)
    return _replaced(value, rng, deepcopy(rng.choice((Token(token), Token(token), *ODD, HUGE))))


def key_dropped(value: Any, rng: Random) -> Any:
    """Leave a key or an item out."""
    found = list(places(value))
    if found:
        container, key = rng.choice(found)
        del container[key]
    return value


def key_twice(value: Any, rng: Random) -> Any:
    """Write a key a second time, with another value or the same."""
    found = [place for place in places(value) if isinstance(place[0], dict)]
    if found:
        container, key = rng.choice(found)
        container[Twin(key)] = deepcopy(rng.choice((None, "", 0, [], {}, container[key], "twice")))
    return value


def key_respelled(value: Any, rng: Random) -> Any:
    """Spell a key otherwise."""
    found = [place for place in places(value) if isinstance(place[0], dict)]
    if found:
        container, key = rng.choice(found)
        spelled = rng.choice((key.upper(), key.lower(), f" {key}", f"{key}\x00", key[:-1], f"{key}{key}", "\ud800", ""))
        container[spelled] = container.pop(key)
    return value


def text_replaced(value: Any, rng: Random) -> Any:
    """Put a strange text in the place of a text."""
    return _replaced(value, rng, HUGE if rng.random() < 0.03 else rng.choice(TEXTS), of=str)


def text_bent(value: Any, rng: Random) -> Any:
    """Change a text a little: a character less, more, other, upper case, twice."""
    found = [place for place in places(value) if _is_public_text(place)]
    if found:
        container, key = rng.choice(found)
        text = container[key]
        at = rng.randrange(len(text) + 1)
        strange = rng.choice(STRANGE)
        container[key] = rng.choice(
            (text[:at], text[at:], text[:at] + strange + text[at:], text.swapcase(), text * 2, text + strange)
        )
    return value


def name_or_place(value: Any, rng: Random) -> Any:
    """Name another account, region, image or project, or one that cannot be."""
    named = [place for place in places(value) if _is_public_text(place) and str(place[0][place[1]]).strip("/-.:0")]
    found = [place for place in named if any(mark in place[0][place[1]] for mark in ("-", "/", "1"))]
    if found:
        container, key = rng.choice(found)
        container[key] = rng.choice(NAMES)
    return value


def time_bent(value: Any, rng: Random) -> Any:
    """Say another time, or none."""
    found = [place for place in places(value) if "time" in str(place[1]).lower() and _is_public_text(place)]
    if found:
        container, key = rng.choice(found)
        container[key] = rng.choice(TIMES)
    return value


def tags_bent(value: Any, rng: Random) -> Any:
    """Give tags (or labels, or the details of a message) another shape."""
    found = [place for place in places(value) if str(place[1]) in ("tags", "labels", "images", "window", "bucket")]
    if not found:
        return another_type(value, rng)
    container, key = rng.choice(found)
    container[key] = deepcopy(rng.choice(TAGS))
    return value


def nested_deep(value: Any, rng: Random) -> Any:
    """Nest a value deeper than anybody would, or than anybody can read."""
    bomb = nested(depth(rng), objects=rng.random() < 0.5, closed=rng.random() < 0.9)
    return _replaced(value, rng, bomb)


def swapped(value: Any, rng: Random) -> Any:
    """Let two values change their places."""
    found = [place for place in places(value) if not _holds_private(place[0][place[1]])]
    if len(found) > 1:
        (one, key), (other, there) = rng.sample(found, 2)
        one[key], other[there] = deepcopy(other[there]), deepcopy(one[key])
    return value


def wrapped(value: Any, rng: Random) -> Any:
    """Put the message into an envelope that is not its own, or make text of it."""
    text = write(value).decode()
    ours, event = {KEY: value}, {"specversion": "1.0", "type": "t", "source": "s", "id": "1"}
    envelopes = [
        *(text, write(text).decode(), base64.b64encode(text.encode()).decode()),
        *([], [value], [value, deepcopy(value)], [[value]]),
        *({"detail": value}, {"data": value}, {"message": value}, {"value": [value]}),
        *({"Records": [{"body": text}]}, {"Type": "Notification", "Message": text}, {"message": {"data": text}}),
        *(ours, {KEY: {"sweep": value}}, {KEY: {"converge": value}}, {KEY: ours}),
        *({**event, "data": value}, {**event, "specversion": 1, "data_base64": text}),
    ]
    return rng.choice(envelopes)


STRUCTURAL: tuple[Callable[[Any, Random], Any], ...] = (
    another_type,
    key_dropped,
    key_twice,
    key_respelled,
    text_replaced,
    text_bent,
    name_or_place,
    time_bent,
    tags_bent,
    nested_deep,
    swapped,
    wrapped,
)


def cut(text: bytes, rng: Random) -> bytes:
    """Cut the text anywhere, or a piece out of it."""
    one, other = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
    return rng.choice((text[:one], text[one:], text[:one] + text[other:]))


def bytes_changed(text: bytes, rng: Random) -> bytes:
    """Change, insert or repeat some bytes."""
    found = bytearray(text)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found) + 1)
        piece = rng.choice(
            (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\x00", b'"', b"{", b"]", b",", b"\xf4\x90\x80\x80", b"\\")
        )
        found[at : at + rng.choice((0, 1, 1, 3))] = piece
    return bytes(found)


def encoded(text: bytes, rng: Random) -> bytes:
    """Write the text in another encoding, or half in one."""
    coded = base64.b64encode(text)
    again = (coded, base64.b64encode(coded), coded[:-1], coded.replace(b"e", b"\n"), coded + b"%", text.hex().encode())
    padded = (b"\xef\xbb\xbf" + text, text + b"\x00" * 64, b"\xff\xfe" + text)
    if rng.random() < 0.6:
        return rng.choice((*again, *padded))
    plain = text.decode(errors="replace")
    return plain.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp037")), "replace")


TEXTUAL: tuple[Callable[[bytes, Random], bytes], ...] = (cut, bytes_changed, encoded)


def _replaced(value: Any, rng: Random, by: Any, of: type = object) -> Any:
    found = [place for place in places(value) if isinstance(place[0][place[1]], of)]
    if not found or rng.random() < 0.02:
        return by
    container, key = rng.choice(found)
    container[key] = by
    return value


def _is_public_text(place: Place) -> bool:
    text = place[0][place[1]]
    return isinstance(text, str) and PRIVATE not in text


def _holds_private(value: Any) -> bool:
    return PRIVATE in str(value)
