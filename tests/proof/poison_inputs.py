"""Poison, one input per number: a good message spoiled in one to three ways, an order of ours spoiled, or sheer noise.

The same seed and number give the same input, but for the names of the images that the stand-ins made for the run.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from packer_publisher.image import Platform
from packer_publisher.messages import KEY
from tests.proof.poison_doors import Message
from tests.proof.poison_json import Token, write
from tests.proof.poison_mutations import STRUCTURAL, TEXTUAL, another_type
from tests.proof.poison_requests import request
from tests.proof.poison_words import KEYS, TOKENS, VALUES


@dataclass(frozen=True, slots=True)
class Input:
    """One input: what was done to it (the first thing counts), and the message as the platform delivers it.

    ``textual`` is set where its text was spoiled, too, so that anything may have come to stand anywhere.
    """

    kind: str
    message: Message
    textual: bool


class Inputs:
    """All inputs of one cloud under one seed.

    ``events`` are good events, decoded; ``images`` the addresses (owner, region, identifier) that orders may name.
    """

    def __init__(
        self, cloud: Platform, seed: int, events: Sequence[Any], images: Sequence[tuple[str, str, str]]
    ) -> None:
        self._cloud = cloud
        self._seed = seed
        self._events = list(events)
        self._orders: list[Any] = [
            {KEY: {"sweep": {}}},
            {KEY: {"sweep": {"window": "14d"}}},
            *({KEY: {"converge": _asked([image])}} for image in images),
            {KEY: {"converge": _asked(images)}},
            {KEY: {"look-again": {**_asked(images), "first": "2026-10-01T10:04:19Z"}}},
            *({KEY: {"look-again": {**_asked([image]), "first": "2026-10-01T10:04:19Z"}}} for image in images),
        ]

    def __getitem__(self, number: int) -> Input:
        """Return the input of a number."""
        rng = Random(f"{self._seed} {self._cloud} {number}")
        kind, body, textual = self._body(rng)
        message = Message(body)
        if self._cloud is Platform.AZURE and rng.random() < 0.3:
            message = Message(base64.b64encode(body))
        if self._cloud is Platform.GCE:
            kind, message = request(kind, body, rng)
        return Input(kind, message, textual)

    def _body(self, rng: Random) -> tuple[str, bytes, bool]:
        chance = rng.random()
        if chance < 0.04:
            return "noise", rng.randbytes(rng.choice((0, 1, 2, 7, 60, 900))), True
        if chance < 0.10:
            return "random JSON", write(_random(rng, 4), ascii_only=rng.random() < 0.8), True
        ours = chance < 0.24
        good = rng.choice(self._orders if ours else self._events)
        first = rng.choice((*STRUCTURAL, *STRUCTURAL, *STRUCTURAL, *TEXTUAL))
        chosen = [first, *(rng.choice((*STRUCTURAL, *TEXTUAL)) for _ in range(rng.choice((0, 0, 0, 1, 2))))]
        body = clean = write(good)
        while body == clean:  # some mutations find nothing to spoil
            body = _spoiled(deepcopy(good), chosen, rng)
            chosen.append(another_type)
        return _name(first, ours=ours), body, any(mutate in TEXTUAL for mutate in chosen)


def _spoiled(value: Any, mutations: Sequence[Callable[..., Any]], rng: Random) -> bytes:
    for mutate in mutations:
        if mutate in STRUCTURAL:
            value = mutate(value, rng)
    body = write(value, ascii_only=rng.random() < 0.9)
    for mutate in mutations:
        if mutate in TEXTUAL:
            body = mutate(body, rng)
    return body


def _name(mutation: Callable[..., Any], *, ours: bool) -> str:
    name = mutation.__name__.replace("_", " ")
    return f"our own: {name}" if ours else name


def _asked(images: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    named = [{"owner": owner, "region": region, "image": image} for owner, region, image in images]
    return {"bucket": "web", "fingerprint": "a1", "images": named}


def _random(rng: Random, depth: int) -> Any:
    """Return any JSON, with words in it that the readers look for."""
    chance = rng.random()
    if depth and chance < 0.55:
        return {rng.choice(KEYS): _random(rng, depth - 1) for _ in range(rng.randrange(6))}
    if depth and chance < 0.65:
        return [_random(rng, depth - 1) for _ in range(rng.randrange(4))]
    if chance < 0.72:
        return Token(rng.choice(TOKENS))
    return rng.choice((None, True, False, rng.randrange(-9, 99), rng.random(), *VALUES))
