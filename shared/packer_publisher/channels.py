"""Channels: which a version asks for, and the next call that points them to it. Pure, a part of the plan.

A channel is set to the newest complete version that asks for it: the one with the highest number. Two handlers may
pass each other, so a channel is read again after it was set; what still went wrong the next sweep sets right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from packer_publisher.snapshot import Channel, Version
from packer_publisher.steps import AssignChannel, Call, CreateChannel, ReadChannel

if TYPE_CHECKING:
    from packer_publisher.placement import Placement

PREDICTED = "(next)"
"""The name of a version that a dry run completes: higher than any number there is."""


def wanted_channels(placements: Sequence[Placement]) -> tuple[str, ...]:
    """Return the channels that tags and configuration ask for, sorted, each once; ``latest`` is never among them."""
    names = {name.casefold(): name for placement in placements for name in placement.policy.assign_channels}
    for placement in placements:
        for name in placement.channels:
            names.setdefault(name.casefold(), name)
    return tuple(names[fold] for fold in sorted(names))


def next_channel_call(placements: Sequence[Placement], version: Version) -> Call | None:
    """Return the next call for the channels of a complete version, None where all point to it or to a newer one.

    A revoked version is assigned to nothing. A channel that HCP manages, that does not exist (unless the configuration
    says ``create_channels``) or whose last call was refused is left alone; :func:`channel_notes` tells of it.
    """
    if version.revoked:
        return None
    for name in wanted_channels(placements):
        known = version.channel(name)
        if known is None:
            return ReadChannel(version.bucket, name)
        if known.problem or known.managed or number(known.version_name) >= number(version.name):
            continue
        if known.exists:
            return AssignChannel(version.bucket, known.name, version.fingerprint)
        if placements[0].policy.create_channels:
            return CreateChannel(version.bucket, name, version.fingerprint)
    return None


def channel_notes(placements: Sequence[Placement], version: Version) -> tuple[str, ...]:
    """Return what a person should know about channels that were asked for and do not point to the version."""
    notes = []
    for name in wanted_channels(placements):
        known = version.channel(name)
        if known is None:
            continue
        if known.problem:
            notes.append(f"channel {name} was not set: {known.problem}")
        elif not known.exists:
            notes.append(f"channel {name} does not exist; create it, or set create_channels: true for this bucket")
        elif known.managed:
            notes.append(f"channel {name} is managed by HCP Packer and was not set")
        elif number(known.version_name) > number(version.name):
            notes.append(f"channel {name} points to the newer {known.version_name} already")
    return tuple(notes)


def number(name: str) -> int:
    """Return the number of a version's name: 3 for ``v3``, 0 for ``v0`` and for none."""
    if name == PREDICTED:
        return 2**31
    digits = name.removeprefix("v")
    return int(digits) if digits.isdecimal() else 0


def without(version: Version, name: str) -> tuple[Channel, ...]:
    """Return the known channels but one, which is to be read again."""
    return tuple(channel for channel in version.channels if channel.name.casefold() != name.casefold())
