"""The messages that a function puts on its own queue, and what it takes for one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from packer_publisher.departure import MOST_LISTED, Listed
from packer_publisher.errors import Rejected
from packer_publisher.image import ImageRef, Platform
from packer_publisher.messages import (
    MOST_IMAGES,
    ConvergeOrder,
    LookAgainOrder,
    Order,
    ProbeOrder,
    SweepOrder,
    orders_for,
    read_order,
    write_order,
)
from packer_publisher.standing import MOST_DECLARED

REF = ImageRef(Platform.AWS, "111122223333", "eu-west-1", "ami-0123456789abcdef0")
ARM = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/Rg/providers/Microsoft.Compute/images/web"
FIRST = datetime(2026, 11, 21, 8, tzinfo=UTC)
IMAGE = {"owner": "111122223333", "region": "eu-west-1", "image": "ami-0123456789abcdef0"}


def converge(*images: object) -> dict[str, Any]:
    """Return a message that asks to converge a version from images."""
    asked = {"bucket": "web", "fingerprint": "a1", "images": list(images)}
    return {"packer-publisher": {"converge": asked}}


def declaring(*names: object) -> dict[str, Any]:
    """Return a message that says what the version of an image consists of."""
    message = converge(IMAGE)
    message["packer-publisher"]["converge"]["expects"] = list(names)
    return message


def look_again(*images: object, **fields: object) -> dict[str, Any]:
    """Return a message that asks for a second look at images."""
    asked = {"bucket": "web", "fingerprint": "a1", "first": FIRST.isoformat(), "images": list(images), **fields}
    return {"packer-publisher": {"look-again": asked}}


@pytest.mark.parametrize(
    "order",
    [
        SweepOrder(),
        SweepOrder(timedelta(days=14)),
        ConvergeOrder("web", "a1", (REF,)),
        ConvergeOrder("web", "a1", (ImageRef(Platform.AZURE, ARM.split("/")[2], "", ARM),)),
        ConvergeOrder("web", "a1", (ImageRef(Platform.GCE, "example.com:img-proj", "", "web-1"),)),
        ConvergeOrder("web", "a1", (REF,), ("amazon-ebs.ubuntu", "azure")),
        LookAgainOrder("web", "01JCXYZ0000000000000000000", FIRST, (Listed(REF),)),
        LookAgainOrder(
            "web", "a1", FIRST, (Listed(ImageRef(Platform.GCE, "img-proj", "", "web-1"), "7718790431234567890"),)
        ),
        ProbeOrder("3f2a9c1b7d04"),
    ],
    ids=["usual window", "two weeks", "aws", "azure", "gce", "declaring", "look again", "look again, gce", "probe"],
)
def test_what_is_written_is_read(order: Order) -> None:
    """As text, in every cloud."""
    platform = order.images[0].platform if isinstance(order, ConvergeOrder) else Platform.AWS
    platform = order.images[0].ref.platform if isinstance(order, LookAgainOrder) else platform
    assert order == read_order(json.loads(write_order(order)), platform)


EARLIER = json.loads((Path(__file__).parent / "events" / "orders" / "earlier.json").read_text("utf-8"))
GCE = ImageRef(Platform.GCE, "example.com:img-proj", "", "web-1")
MEANT: dict[str, Order] = {
    "sweep": SweepOrder(),
    "sweep two weeks": SweepOrder(timedelta(days=14)),
    "converge aws": ConvergeOrder("web", "a1", (REF,)),
    "converge azure": ConvergeOrder("web", "a1", (ImageRef(Platform.AZURE, ARM.split("/")[2], "", ARM),)),
    "converge gce": ConvergeOrder("web", "a1", (GCE,)),
    "converge declaring": ConvergeOrder("web", "a1", (REF,), ("amazon-ebs.ubuntu", "azure")),
    "look again aws": LookAgainOrder("web", "a1", FIRST, (Listed(REF),)),
    "look again gce": LookAgainOrder("web", "a1", FIRST, (Listed(GCE, "7718790431234567890"),)),
    "probe": ProbeOrder("3f2a9c1b7d04"),
}


@pytest.mark.parametrize("kept", EARLIER, ids=lambda kept: f"{kept['what']}, {kept['since'][:10]}")
def test_what_an_earlier_revision_left_in_a_queue_is_read(kept: dict[str, str]) -> None:
    """Whatever form it has, it means what it meant: an upgrade finds messages of two weeks."""
    assert MEANT[kept["what"]] == read_order(json.loads(kept["text"]), Platform(kept["platform"]))


def test_every_kind_of_order_is_kept_as_it_was_written_first() -> None:
    """A new kind gets its example: it is what the next upgrade finds."""
    assert set(MEANT) == {kept["what"] for kept in EARLIER}
    assert {type(order) for order in MEANT.values()} == set(get_args(Order))


@pytest.mark.parametrize("message", [None, [], "text", {}, {"sweep": True}, {"source": "aws.ec2"}, {"packer": {}}])
def test_what_is_no_message_of_ours_is_left_to_others(message: object) -> None:
    """It may be an event."""
    assert read_order(message, Platform.AWS) is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"packer-publisher": None}, "The message to packer-publisher does not ask for one thing."),
        ({"packer-publisher": {}}, "The message to packer-publisher does not ask for one thing."),
        *[
            (
                {"packer-publisher": {"probe": probe}},
                "The message to probe has no id of 8 to 32 letters and digits, or more than an id.",
            )
            for probe in ({}, {"id": "short"}, {"id": 12345678}, {"id": "12345678\nlevel"}, {"id": "12345678", "x": 1})
        ],
        (
            {"packer-publisher": {"sweep": {}, "converge": {}}},
            "The message to packer-publisher does not ask for one thing.",
        ),
        (
            {"packer-publisher": {"delete": {}}},
            "The message to packer-publisher asks for delete, which is nothing that it does.",
        ),
        (
            {"packer-publisher": {"sweep": True}},
            "The message to packer-publisher asks for sweep, which is nothing that it does.",
        ),
        (
            {"packer-publisher": {"sweep": {"windw": "1h"}}},
            "The message to sweep has the unknown field windw.",
        ),
        (
            {"packer-publisher": {"sweep": {"window": "15d"}}},
            "The message to sweep has the window 15d, which is none between 1h and 14d.",
        ),
        (
            {"packer-publisher": {"sweep": {"window": 3600}}},
            "The message to sweep has the window 3600, which is none between 1h and 14d.",
        ),
        (converge(), f"The message to converge does not name 1 to {MOST_IMAGES} images."),
        (
            converge(*[IMAGE] * (MOST_IMAGES + 1)),
            f"The message to converge does not name 1 to {MOST_IMAGES} images.",
        ),
        (converge("ami-1"), "The message to converge names an image without its owner, region or id."),
        (converge({**IMAGE, "image": ""}), "The message to converge names an image without its owner, region or id."),
        (
            converge({**IMAGE, "image": "x" * 2049}),
            "The message to converge names an image without its owner, region or id.",
        ),
        (
            converge({**IMAGE, "region": "evil.example.com/"}),
            "The message to converge names an image of 111122223333 in evil.example.com/, which is no place.",
        ),
        (
            converge({**IMAGE, "region": ""}),
            "The message to converge names an image of 111122223333 in no region, which is no place.",
        ),
        (
            converge({**IMAGE, "owner": "a\nb"}),
            "The message to converge names an image of a\\nb in eu-west-1, which is no place.",
        ),
        (declaring("azure-arm", 7), "The message to converge does not declare at most 64 parts by their names."),
        (declaring(*map(str, range(65))), "The message to converge does not declare at most 64 parts by their names."),
        (declaring("a b"), "expects 'a b' is no component type"),
        (declaring("x" * 200), f"expects '{'x' * 127}…' is no component type"),
        (look_again(), f"The message to look again does not name 1 to {MOST_LISTED} images."),
        (
            look_again(*[IMAGE] * (MOST_LISTED + 1)),
            f"The message to look again does not name 1 to {MOST_LISTED} images.",
        ),
        (look_again(IMAGE, {**IMAGE, "owner": "222"}), "The message to look again names images of several owners."),
        (look_again("ami-1"), "The message to look again names an image without its owner, region or id."),
        (look_again({**IMAGE, "number": "7\n"}), "The message to look again names an image by what is no number."),
        (look_again({**IMAGE, "number": 7}), "The message to look again names an image by what is no number."),
        (look_again(IMAGE, first="soon"), "The message to look again has no readable time: soon."),
        (
            look_again(IMAGE, first="2026-11-21T08:00:00"),
            "The message to look again has no readable time: 2026-11-21T08:00:00.",
        ),
        (look_again(IMAGE, first=7), "The message to look again has no readable time: ."),
        (look_again(IMAGE, bucket="../web"), "bucket '../web' is no bucket name"),
        (look_again(IMAGE, fingerprint="a/1"), "fingerprint 'a/1' is no version fingerprint"),
        (look_again(IMAGE, fingerprint=None), "fingerprint '' is no version fingerprint"),
    ],
)
def test_a_message_of_ours_that_is_broken_is_rejected(message: object, reason: str) -> None:
    """With the reason and the right form; it would be as broken the next time."""
    with pytest.raises(Rejected) as caught:
        read_order(message, Platform.AWS)
    assert reason == str(caught.value)
    assert caught.value.remedy


def test_a_version_of_many_builds_takes_several_messages() -> None:
    """So that none outgrows a queue: Azure's holds 48 KiB, and an ARM id may have hundreds of characters."""
    refs = [ImageRef(Platform.AZURE, "s", "", f"{ARM}{'x' * 400}{number}") for number in range(MOST_IMAGES * 2 + 1)]
    orders = list(orders_for("web", "a1", refs))
    assert [MOST_IMAGES, MOST_IMAGES, 1] == [len(order.images) for order in orders]
    assert refs == [ref for order in orders for ref in order.images]
    assert all(len(write_order(order)) < 48 * 1024 for order in orders)


def test_a_version_of_the_most_parts_is_one_message() -> None:
    """With images whose ids have hundreds of characters; none outgrows a queue."""
    refs = [ImageRef(Platform.AZURE, "s" * 36, "", f"{ARM}{'x' * 400}{number}") for number in range(MOST_IMAGES)]
    names = [f"azure-arm.{'x' * 100}{number}" for number in range(MOST_DECLARED)]
    (order,) = orders_for("web", "a1", refs, names)
    assert len(write_order(order)) < 48 * 1024
    assert order == read_order(json.loads(write_order(order)), Platform.AZURE)


def test_a_name_that_is_declared_twice_counts_once() -> None:
    """Clouds have several words for Google."""
    order = read_order(declaring("gcp", "google", "gce"), Platform.AWS)
    assert isinstance(order, ConvergeOrder)
    assert ("gce",) == order.expects


def test_a_second_look_at_the_most_images_is_one_message() -> None:
    """Also at Azure's, whose ids may have hundreds of characters."""
    refs = [ImageRef(Platform.AZURE, "s" * 36, "", f"{ARM}{'x' * 400}{number}") for number in range(MOST_LISTED)]
    order = LookAgainOrder("web", "a1", FIRST, tuple(map(Listed, refs)))
    assert len(write_order(order)) < 48 * 1024
