"""The lists of an account's own images in one region: what is asked of EC2, page by page, and what is read there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.aws_images import read_image
from packer_publisher.errors import CloudTrouble
from packer_publisher.image import Image
from packer_publisher.policy import Contract
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import DescribeImagesResultTypeDef, FilterTypeDef, ImageTypeDef

PAGE = 200
"""Images per page: a page of this size is parsed in a few milliseconds and stays small in memory."""

SURVEY_PAGE = 500
"""Images per page of a survey: the page lives in memory as a whole, some 10 MiB of it, once for each thread."""

MOST_VALUES = 200
"""The most values that one filter may have (Amazon EC2 API reference, Filter)."""

Flaw = tuple[str, CloudTrouble]
"""An image that cannot be read, by its id, and why."""


def pages(ask: Callable[[dict[str, Any]], DescribeImagesResultTypeDef]) -> Iterator[ImageTypeDef]:
    """Yield the images of all pages; ``ask`` makes one call with a token, where there is one.

    A filter is applied after a page was cut: it may be empty and have a successor (aws/aws-sdk-js issue 940).
    """
    token: dict[str, Any] = {}
    while True:
        page = ask(token)
        yield from page["Images"]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def read(
    descriptions: Iterable[ImageTypeDef], region: str, since: datetime | None, until: datetime | None
) -> Iterator[Image | Flaw]:
    """Yield the images created in ``[since, until)``, and those that EC2 describes without what every AMI has."""
    for description in descriptions:
        try:
            image = read_image(description, region).image
        except CloudTrouble as problem:
            yield shown(description.get("ImageId", "")) or region, problem
            continue
        if (since is None or image.created_at >= since) and (until is None or image.created_at < until):
            yield image


def tag_filter(contract: Contract, *fields: str) -> FilterTypeDef:
    """Return the filter for images that carry a tag of one of the contract's fields."""
    return {"Name": "tag-key", "Values": sorted({key for field in fields for key in contract.keys[field]})}


def creation_filter(since: datetime | None, until: datetime | None, now: datetime) -> Sequence[FilterTypeDef]:
    """Return the filter for images of a window, coarser than it, () where EC2 cannot be asked for one.

    EC2 compares the time of creation as text: a month of days or some years of months are named by their beginnings
    (Amazon EC2 API reference, DescribeImages, creation-date).
    """
    if since is None:
        return ()
    first = since.astimezone(UTC).date()
    last = (min(until, now) if until else now).astimezone(UTC).date() + timedelta(days=1)  # clocks differ
    days = (last - first).days + 1
    if days <= 31:
        patterns = [f"{first + timedelta(days=day):%Y-%m-%d}T*" for day in range(days)]
    else:
        patterns = [f"{month}-*" for month in _months(first, last)]
    return ({"Name": "creation-date", "Values": patterns},) if 0 < len(patterns) <= MOST_VALUES else ()


def _months(first: date, last: date) -> list[str]:
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in months]
