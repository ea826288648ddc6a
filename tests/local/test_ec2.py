"""The paged face of EC2 and STS, through the real boto3."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from packer_publisher.local.ec2 import ACCOUNT, EC2
from packer_publisher.local.ec2_fleet import AMI, Fleet, Shares
from packer_publisher.local.server import serving
from tests.clouds.aws_stand_in import session
from tests.clouds.ec2_exchange import Exchange

REGIONS = ("eu-west-1", "us-east-1")
CREATED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture(scope="module")
def address(exchange: Exchange) -> Iterator[str]:
    with serving(exchange) as address:
        yield address


@pytest.fixture
def ec2(exchange: Exchange) -> EC2:
    exchange.ec2 = EC2(regions=REGIONS, not_enabled=("me-south-1",))
    return exchange.ec2


@cache
def client(address: str, region: str = "eu-west-1", service: str = "ec2") -> Any:
    """Return a client that asks once."""
    config = Config(retries={"total_max_attempts": 1})
    any_session: Any = session()
    return any_session.client(service, region_name=region, endpoint_url=address, config=config)


def ami(number: int, **more: Any) -> AMI:
    """Return an image of the account."""
    return AMI(
        **{"image_id": f"ami-{number:017x}", "name": f"web-{number}", "owner": ACCOUNT, "created": CREATED, **more}
    )


def refused(call: Any, **parameters: Any) -> str:
    """Return the code by which a call was refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def listed(client: Any, size: int = 1000, **parameters: Any) -> list[list[str]]:
    """Return the names on each page."""
    pages = client.get_paginator("describe_images").paginate(
        Owners=["self"], PaginationConfig={"PageSize": size}, **parameters
    )
    return [[image["Name"] for image in page["Images"]] for page in pages]


def test_a_list_is_cut_into_pages_before_it_is_filtered(ec2: EC2, address: str) -> None:
    """A page may be empty and have a successor, as EC2's may."""
    ec2.put("eu-west-1", *(ami(n, tags={"team": "web"} if n == 4 else {}) for n in range(5)))

    assert [["web-0", "web-1"], ["web-2", "web-3"], ["web-4"]] == listed(client(address), 2)
    assert [[], [], ["web-4"]] == listed(client(address), 2, Filters=[{"Name": "tag-key", "Values": ["team"]}])


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("tag-key", ["Team"], []),
        ("tag-key", ["team", "other"], ["web-1"]),
        ("tag:team", ["w?b*"], ["web-1"]),
        ("tag:team", ["web[1]"], ["web-1"]),
        ("tag:team", ["WEB[1]"], []),
        ("name", ["web-*"], ["web-1", "web-2"]),
        ("state", ["pending"], ["web-2"]),
        ("source-image-id", ["ami-0abc"], ["web-2"]),
        ("creation-date", ["2026-11-19T*"], ["web-2"]),
        ("creation-date", ["2026-11-*"], ["web-1", "web-2"]),
    ],
)
def test_filters_know_upper_from_lower_case_and_wildcards(
    name: str, values: list[str], found: list[str], ec2: EC2, address: str
) -> None:
    """Values of one filter are alternatives."""
    older = CREATED.replace(day=19)
    ec2.put("eu-west-1", ami(1, tags={"team": "web[1]"}))
    ec2.put("eu-west-1", ami(2, state="pending", source="ami-0abc", created=older))

    assert [found] == listed(client(address), Filters=[{"Name": name, "Values": values}])


def test_what_is_not_self_s_or_disabled_is_shown_on_demand_only(ec2: EC2, address: str) -> None:
    """Shared images are everybody's who does not ask for his own; disabled ones have a parameter."""
    ec2.put("eu-west-1", ami(1), ami(2, owner="210987654321"), ami(3, state="disabled"))

    shared = client(address).describe_images(MaxResults=1000)["Images"]
    assert ["web-1", "web-2"] == [image["Name"] for image in shared]
    assert [["web-1", "web-3"]] == listed(client(address), IncludeDisabled=True)


def test_an_image_is_shown_with_what_ec2_tells_of_it(ec2: EC2, address: str) -> None:
    """boto3 reads every field that the cloud reader looks at."""
    ec2.put(
        "eu-west-1",
        ami(
            1,
            name="a <b> & c",
            tags={"team": "<&>"},
            architecture="arm64",
            deprecated=CREATED,
            source="ami-0abc",
            source_region="us-east-1",
            source_instance="i-0abc",
        ),
    )

    (image,) = client(address).describe_images(ImageIds=[f"ami-{1:017x}"])["Images"]

    assert ("a <b> & c", [{"Key": "team", "Value": "<&>"}]) == (image["Name"], image["Tags"])
    assert (ACCOUNT, "arm64", "available") == (image["OwnerId"], image["Architecture"], image["State"])
    assert ("2026-11-20T12:00:00.000Z", "2026-11-20T12:00:00.000Z") == (
        image["CreationDate"],
        image["DeprecationTime"],
    )
    assert ("ami-0abc", "us-east-1", "i-0abc") == (
        image["SourceImageId"],
        image["SourceImageRegion"],
        image["SourceInstanceId"],
    )


def test_a_deregistered_image_shifts_no_page(ec2: EC2, address: str) -> None:
    """What comes after it is shown all the same."""
    ec2.put("eu-west-1", *(ami(n) for n in range(4)))
    ec2.deregister("eu-west-1", f"ami-{1:017x}")

    assert [["web-0"], ["web-2", "web-3"]] == listed(client(address), 2)
    assert "InvalidAMIID.NotFound" == refused(client(address).describe_images, ImageIds=[f"ami-{1:017x}"])
    with pytest.raises(ValueError, match=r"^ami-00000000000000001 was not put into eu-west-1$"):
        ec2.deregister("eu-west-1", f"ami-{1:017x}")


@pytest.mark.parametrize(
    ("code", "parameters"),
    [
        ("OperationNotPermitted", {}),
        ("InvalidParameterValue", {"MaxResults": 1001}),
        ("InvalidNextToken", {"MaxResults": 5, "NextToken": "of-yesterday"}),
        ("InvalidParameterValue", {"MaxResults": 5, "Filters": [{"Name": "colour", "Values": ["red"]}]}),
        ("InvalidParameterValue", {"MaxResults": 5, "Filters": [{"Name": "name", "Values": []}]}),
        ("FilterLimitExceeded", {"MaxResults": 5, "Filters": [{"Name": "name", "Values": ["x"] * 201}]}),
    ],
)
def test_what_the_face_does_not_know_is_refused(code: str, parameters: Any, ec2: EC2, address: str) -> None:
    """A question that EC2 would answer otherwise is never answered by chance."""
    ec2.put("eu-west-1", ami(1))

    assert code == refused(client(address).describe_images, **parameters)


def test_another_action_is_refused(ec2: EC2, address: str) -> None:
    """Only reading, and only what the survey reads."""
    assert "InvalidAction" == refused(client(address).describe_instances)


def test_regions_and_the_account_are_told(ec2: EC2, address: str) -> None:
    """A region that is not enabled is told of on demand, and knows no credentials."""
    enabled = client(address).describe_regions()["Regions"]
    every = client(address).describe_regions(AllRegions=True)["Regions"]

    assert list(REGIONS) == [region["RegionName"] for region in enabled]
    assert [("me-south-1", "not-opted-in")] == [
        (region["RegionName"], region["OptInStatus"]) for region in every if region not in enabled
    ]
    assert ACCOUNT == client(address, service="sts").get_caller_identity()["Account"]
    assert "AuthFailure" == refused(client(address, "me-south-1").describe_images, MaxResults=5)


def test_failures_are_met_where_and_when_they_were_ordered(ec2: EC2, address: str) -> None:
    """Each kind in its own words; what was not met as often as it was ordered is told."""
    ec2.throttle("eu-west-1", times=2, after=1)
    ec2.deny("us-east-1")
    ec2.expire(after=3)
    ireland, virginia = client(address), client(address, "us-east-1")
    assert [
        "RequestLimitExceeded of DescribeImages in eu-west-1",
        "UnauthorizedOperation of Describe in us-east-1",
        "RequestExpired of any call in any region",
    ] == ec2.unmet_faults

    assert [[]] == listed(ireland)
    assert "RequestLimitExceeded" == refused(ireland.describe_images, MaxResults=5)
    assert ["RequestLimitExceeded of DescribeImages in eu-west-1", "RequestExpired of any call in any region"] == [
        fault for fault in ec2.unmet_faults if "us-east-1" not in fault
    ]
    assert "RequestLimitExceeded" == refused(ireland.describe_images, MaxResults=5)
    assert "UnauthorizedOperation" == refused(virginia.describe_images, MaxResults=5)
    assert [[]] == listed(ireland)
    assert [[]] == listed(ireland)
    assert "RequestExpired" == refused(ireland.describe_images, MaxResults=5)
    assert "UnauthorizedOperation" == refused(virginia.describe_regions)
    ec2.renew()
    assert ACCOUNT == client(address, "us-east-1", "sts").get_caller_identity()["Account"]
    ec2.expire(after=0)
    assert "ExpiredToken" == refused(client(address, service="sts").get_caller_identity)
    assert [] == ec2.unmet_faults
    assert ("DescribeImages", "eu-west-1") == (ec2.requests[0].action, ec2.requests[0].region)


def test_a_fleet_is_the_same_in_every_look() -> None:
    """All follows from the seed: a page that is read again shows the same images, and each is found by its id."""
    fleet = Fleet(ACCOUNT, REGIONS, 1000, seed=7)

    looks = [[fleet.image("us-east-1", n) for n in range(1000)] for _ in range(2)]

    assert looks[0] == looks[1]
    assert looks[0] == [fleet.find("us-east-1", image.image_id) for image in looks[0]]
    assert 1000 == len({image.image_id for image in looks[0]}) == len({image.name for image in looks[0]})
    assert looks[0] != [Fleet(ACCOUNT, REGIONS, 1000, seed=8).image("us-east-1", n) for n in range(1000)]
    assert [None, None, None] == [
        fleet.find("eu-west-1", looks[0][0].image_id),
        fleet.find("us-east-1", looks[0][0].image_id[:-1] + "x"),
        Fleet(ACCOUNT, REGIONS, 999, seed=7).find("us-east-1", looks[0][999].image_id),
    ]


def test_a_release_has_a_copy_in_every_region() -> None:
    """Of one name and one set of tags; the copies know their source, the first knows its instance."""
    fleet = Fleet(ACCOUNT, REGIONS, 10)

    for release in range(10):
        first, copy = (fleet.image(region, release) for region in REGIONS)
        assert (first.name, first.tags, first.state) == (copy.name, copy.tags, copy.state)
        assert (first.image_id, "eu-west-1", "") == (copy.source, copy.source_region, copy.source_instance)
        assert first.source_instance
        assert first.created < copy.created


def test_a_fleet_has_its_shares_of_everything() -> None:
    """Untagged, half-tagged, deprecated and all states, as many as were ordered, give or take a few."""
    shares = Shares(untagged=300, half_tagged=100, disabled=100, pending=50, failed=50, deprecated=100)
    images = [Fleet(ACCOUNT, REGIONS, 2000, shares=shares).image("eu-west-1", n) for n in range(2000)]

    counted = {
        "untagged": sum("hcp-packer-bucket" not in image.tags for image in images),
        "half_tagged": sum("hcp-packer-fingerprint" not in image.tags for image in images) - 600,
        "deprecated": sum(image.deprecated is not None for image in images),
        **{state: sum(image.state == state for image in images) for state in ("disabled", "pending", "failed")},
    }
    wanted = {"untagged": 600, "half_tagged": 200, "deprecated": 200, "disabled": 200, "pending": 100, "failed": 100}
    assert {} == {kind: counted[kind] for kind in wanted if not 0.7 < counted[kind] / wanted[kind] < 1.3}


def test_a_hundred_thousand_images_take_no_memory(ec2: EC2, address: str) -> None:
    """They are made for the page that shows them and forgotten with it."""
    ec2.fleet = Fleet(ACCOUNT, REGIONS, 100_000)
    last = {"MaxResults": 5, "NextToken": "99995"}
    client(address).describe_images(**last)

    tracemalloc.start()
    try:
        (*_, image) = client(address).describe_images(**last)["Images"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert image["Name"].endswith("-0099999")
    assert peak < 20 * 2**20
