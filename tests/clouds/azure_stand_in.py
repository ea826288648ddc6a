"""The real Azure adapter pointed at a stand-in, and the images that the Azure tests share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import azure.functions as func

from packer_publisher.clouds.azure import Azure
from packer_publisher.deadline import Deadline
from packer_publisher.image import ImageRef, Platform
from packer_publisher.local.arm import Arm
from packer_publisher.patience import SURVEY, Patience
from packer_publisher.policy import Policy

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
TAGS = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "4f2a9c1-812"}


@contextmanager
def azure_on(
    address: str, policy: Policy | None = None, patience: Patience = SURVEY, **environ: str
) -> Iterator[Azure]:
    """Give the real cloud adapter (and with it the real SDK), pointed at an address."""
    everything = {"PUBLISHER_ARM_ENDPOINT": address, **environ}
    with closing(Azure(policy or Policy(), environ=everything, patience=patience)) as azure:
        yield azure


def ref(identifier: str) -> ImageRef:
    """Return the address of an image as an event would give it."""
    return ImageRef(Platform.AZURE, identifier.split("/")[2].lower(), "", identifier)


def soon(seconds: float = 20) -> Deadline:
    """Return a deadline whose pauses take no time but count."""
    time = [0.0]
    return Deadline.after(seconds, lambda: time[0], lambda pause: time.__setitem__(0, time[0] + pause))


def managed_image(arm: Arm, name: str = "web-1", **more: Any) -> str:
    """Put a tagged managed image and return its id as its event spells it."""
    event = arm.put_managed_image("rg-images", name, **{"tags": TAGS, **more})
    return str(event["data"]["resourceUri"])


def gallery_version(arm: Arm, version: str = "1.0.0", **more: Any) -> str:
    """Put a tagged gallery image version and return its id as its event spells it."""
    event = arm.put_gallery_version("rg-images", "gal", "web", version, **{"tags": TAGS, **more})
    return str(event["data"]["resourceUri"])


def registered(identifier: str) -> str:
    """Return an id as HCP Packer lists it: Event Grid writes ``resourcegroups``, and Packer does not."""
    return identifier.replace("/resourcegroups/", "/resourceGroups/")


class Out(func.Out[list[str]]):
    """The host's output binding of a queue: what is set on it leaves with the end of the invocation."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def set(self, val: list[str]) -> None:
        self.messages = val

    def get(self) -> list[str]:
        return self.messages
