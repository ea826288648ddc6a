"""Stock clients, replayed call by call: Packer's runs, and Terraform on versions that Packer and that we have made."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from packer_publisher.image import Platform
from packer_publisher.report import Outcome
from tests.local import replays_packer as packer
from tests.local import replays_terraform as terraform
from tests.local.http_registry import RegistryClient, client_of
from tests.local.replays import AWS, AZURE, BUCKET, FINGERPRINT, ID, IMAGES, UUID, VERSION_PATH, Replay, Row, at, play
from tests.publishing import Service, service

# The replies are those that Packer and Terraform are known to meet, and the states those in between: at once.
pytestmark = pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    search_lag=0.0,
    unset_to_done="accept",
    updates_after_done="refuse",
    platform_resent_same="refuse",
    platform_resent_after_create="refuse",
    silent_build_becomes="BUILD_CANCELLED",
    status_priority="running",
    empty_version_status="VERSION_RUNNING",
    assign_unknown_version="404/5",
    assign_incomplete_version="400/9",
    default_page_size=50,
    max_page_size=100,
)


@dataclass
class Shop:
    """A registry that is served, and a client of it; the test owns the time."""

    service: Service
    client: RegistryClient

    def play(self, *replays: Replay) -> None:
        """Play tables one after the other."""
        for replay in replays:
            play(replay, self.client, lambda seconds: self.service.clock.forward(seconds=seconds))

    def version(self) -> tuple[str, str, dict[str, str]]:
        """Return the version's name and status, and the statuses of its builds."""
        version = self.client.model.get_version(BUCKET, FINGERPRINT)["version"]
        statuses = {build["component_type"]: build["status"] for build in version["builds"]}
        return version["name"], version["status"], statuses

    def publish(self) -> None:
        """Publish the images of the tables from their tags, as our functions in two accounts do."""
        self.service.bucket(BUCKET)
        function = self.service.function()
        tags = {"hcp-packer-bucket": BUCKET, "hcp-packer-fingerprint": FINGERPRINT, "hcp-packer-expects": "aws azure"}
        refs = [
            ref
            for source, owner in ((AWS, "111111111111"), (AZURE, "sub-1"))
            for ref in self.service.world.add(
                Platform(IMAGES[source][0]),
                owner,
                "ubuntu",
                [region for _, region in IMAGES[source][1]],
                {**tags, "hcp-packer-component-type": source},
            )
        ]
        outcomes = [self.service.deliver(function, ref)[0].outcome for ref in refs]
        assert Outcome.COMPLETED is outcomes[-1]


@contextmanager
def a_shop(**switches: Any) -> Iterator[Shop]:
    with service(**switches) as at_hand, client_of(at_hand.registry) as client:
        client.log_in()
        yield Shop(at_hand, client)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A registry without any bucket."""
    with a_shop() as shop:
        yield shop


BUILDS = f"/buckets/{BUCKET}/versions/{FINGERPRINT}/builds"
ALL_DONE = {AWS: "BUILD_DONE", AZURE: "BUILD_DONE"}


@pytest.mark.parametrize(
    ("replays", "ends"),
    [
        ([packer.ONE_SOURCE], ("v1", "VERSION_ACTIVE", {AWS: "BUILD_DONE"})),
        ([packer.TWO_SOURCES], ("v1", "VERSION_ACTIVE", ALL_DONE)),
        ([packer.FAILED], ("v0", "VERSION_FAILED", {AWS: "BUILD_DONE", AZURE: "BUILD_FAILED"})),
        ([packer.FAILED, packer.resume("FAILED")], ("v1", "VERSION_ACTIVE", ALL_DONE)),
        ([packer.INTERRUPTED], ("v0", "VERSION_CANCELLED", {AWS: "BUILD_DONE", AZURE: "BUILD_CANCELLED"})),
        ([packer.INTERRUPTED, packer.resume("CANCELLED")], ("v1", "VERSION_ACTIVE", ALL_DONE)),
        ([packer.KILLED], ("v0", "VERSION_CANCELLED", {AWS: "BUILD_DONE", AZURE: "BUILD_CANCELLED"})),
        ([packer.KILLED, packer.resume("CANCELLED")], ("v1", "VERSION_ACTIVE", ALL_DONE)),
        ([packer.ONE_SOURCE, packer.ALREADY_COMPLETE], ("v1", "VERSION_ACTIVE", {AWS: "BUILD_DONE"})),
        ([packer.LOST_REPLY], ("v1", "VERSION_ACTIVE", {AWS: "BUILD_DONE"})),
        ([packer.ONE_SOURCE, packer.DATA_SOURCES, packer.CHILD], ("v1", "VERSION_ACTIVE", {AWS: "BUILD_DONE"})),
    ],
    ids=lambda value: " and then ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_run_of_packer(shop: Shop, replays: list[Replay], ends: tuple[str, str, dict[str, str]]) -> None:
    """Each call is answered as Packer needs it, and the version ends as it should."""
    shop.play(*replays)

    assert ends == shop.version()


def test_a_run_of_packer_in_a_bucket_that_another_has_described(shop: Shop) -> None:
    """It is updated once, before anything is built."""
    shop.service.bucket(BUCKET, description="Made by hand")

    shop.play(packer.OTHER_DESCRIPTION)

    assert "Ubuntu" == shop.client.model.get_bucket(BUCKET)["bucket"]["description"]


def test_a_run_of_packer_assigns_its_channels(shop: Shop) -> None:
    """After each build; with the last one the version is complete."""
    shop.service.bucket(BUCKET)
    shop.client.model.create_channel(BUCKET, {"name": "production"})

    shop.play(packer.CHANNELS)

    assert ("v1", "VERSION_ACTIVE", ALL_DONE) == shop.version()


def test_a_run_of_packer_whose_source_another_has_registered(shop: Shop) -> None:
    """The list did not show it, the registration is refused, and the source is never built."""
    shop.service.bucket(BUCKET)
    shop.client.model.create_version(BUCKET, {"fingerprint": FINGERPRINT, "template_type": "HCL2"})
    *before, overtaken, after = packer.OVERTAKEN.rows
    shop.play(Replay(packer.OVERTAKEN.name, tuple(before)))
    shop.client.model.create_build(BUCKET, FINGERPRINT, {"component_type": AWS})

    shop.play(Replay(packer.OVERTAKEN.name, (overtaken, after)))

    assert ("v0", "VERSION_RUNNING", {AWS: "BUILD_UNSET"}) == shop.version()


def test_a_run_of_packer_whose_platform_another_has_set(shop: Shop) -> None:
    """So nobody but Packer may write a build that Packer has registered."""
    shop.service.bucket(BUCKET)

    shop.play(packer.PLATFORM_TAKEN)

    assert ("v0", "VERSION_FAILED", {AWS: "BUILD_FAILED"}) == shop.version()


def test_a_run_of_packer_with_the_fingerprint_of_another_template_type(shop: Shop) -> None:
    """It stops before it registers anything."""
    shop.service.bucket(BUCKET)
    shop.client.model.create_version(BUCKET, {"fingerprint": FINGERPRINT, "template_type": "JSON"})

    shop.play(packer.OTHER_TEMPLATE)


def test_sources_are_registered_and_done_at_the_same_time(shop: Shop) -> None:
    """Packer does so from a thread for each; the version completes once, with the last of them."""
    shop.play(Replay("a set-up", packer.FRESH))
    sources = [f"docker.web-{number}" for number in range(8)]
    body = {"artifacts": [{"external_identifier": "sha256:1", "region": "docker.io"}], "platform": "docker"}

    def register(source: str) -> str:
        created = shop.client.call("POST", f"{BUILDS}", packer.create(source).body).json()["build"]
        return str(created["id"])

    def finish(build: str) -> int:
        return shop.client.call("PATCH", f"{BUILDS}/{build}", {**body, "status": "BUILD_DONE"}).status_code

    with ThreadPoolExecutor(len(sources)) as threads:
        builds = list(threads.map(register, sources))
        assert ("v0", "VERSION_RUNNING", dict.fromkeys(sorted(sources), "BUILD_UNSET")) == shop.version()
        assert [200] * len(sources) == list(threads.map(finish, builds))

    assert ("v1", "VERSION_ACTIVE", dict.fromkeys(sorted(sources), "BUILD_DONE")) == shop.version()


def test_packer_finds_its_organization_and_project(shop: Shop) -> None:
    """With both ids given it asks nothing, else one of these."""
    shop.play(packer.FINDS_ITS_PROJECT, packer.CHECKS_ITS_PROJECT)


@pytest.mark.parametrize(
    ("replay", "sources", "beats", "sboms", "channels"),
    [(packer.ONE_SOURCE, 1, 0, 0, 0), (packer.TWO_SOURCES, 2, 11, 1, 0), (packer.CHANNELS, 2, 0, 0, 1)],
    ids=lambda value: str(value),
)
def test_the_calls_of_a_run_are_as_many_as_its_sources_say(
    replay: Replay, sources: int, beats: int, sboms: int, channels: int
) -> None:
    """6 + 3N + H + S + CN in a fresh bucket, one less in one that is there."""
    puts = sum(row == packer.PUT_BUCKET for row in replay.rows)

    assert 5 + puts + 3 * sources + beats + sboms + channels * sources == len(replay.rows)


@pytest.fixture(params=["packer", "publisher"])
def made(shop: Shop, request: pytest.FixtureRequest) -> Shop:
    """The same version in the same bucket, made by a run of Packer or by our functions."""
    if request.param == "packer":
        shop.play(packer.TWO_SOURCES)
    else:
        shop.publish()
    return shop


@pytest.mark.parametrize("replay", terraform.DATA_SOURCES, ids=str)
def test_terraform_finds_what_packer_and_what_we_have_made(made: Shop, replay: Replay) -> None:
    """Alike: the same names, images and forms, whoever wrote the version."""
    made.play(replay)


def test_packers_data_sources_find_what_we_have_made(shop: Shop) -> None:
    """As what Packer has made: an image of ours can be the parent of the next one."""
    shop.publish()

    shop.play(packer.DATA_SOURCES, packer.CHILD)


@pytest.mark.parametrize("replay", terraform.RESOURCE_REPLAYS, ids=str)
def test_terraform_manages_channels_and_buckets(made: Shop, replay: Replay) -> None:
    """From creation to deletion, also what is there already or is gone."""
    made.play(replay)


def test_terraform_asks_for_names_page_by_page() -> None:
    """Until there is no token."""
    with a_shop(max_page_size=1) as shop:
        shop.publish()

        shop.play(terraform.BUCKET_NAMES_BY_PAGES)


def test_terraform_says_what_is_not_there(made: Shop) -> None:
    """The message is the registry's."""
    made.play(terraform.NOTHING_THERE)


def test_the_helpers_of_terraforms_tests(made: Shop) -> None:
    """What HashiCorp runs against the live service."""
    made.play(terraform.TEST_CLIENT)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("GET", VERSION_PATH, "x", answer=(404, 5)), "200"),
        (Row("GET", VERSION_PATH, "x", reads={"version.name": "v2"}), "version.name"),
        (Row("GET", VERSION_PATH, "x", reads={"version.id": UUID}), "version.id is"),
        (Row("GET", VERSION_PATH, "x", reads={"version.colour": "red"}), "colour of version.colour"),
        (Row("GET", VERSION_PATH, "x", reads={"version.builds[platform=gce].id": ID}), "0 are there"),
    ],
)
def test_a_replay_finds_what_the_client_would_stumble_over(shop: Shop, row: Row, said: str) -> None:
    """Another answer, another value, another form, a field or an item that is missing."""
    shop.play(packer.ONE_SOURCE)

    with pytest.raises(AssertionError, match=said):
        shop.play(Replay("a client", (row,)))


def test_a_place_leads_through_members_and_items() -> None:
    """Items are found by a member, or counted."""
    document = {"a": [{"n": "x.y", "v": 1}, {"n": "z", "v": 2}]}

    assert (1, 2) == (at(document, "a[n=x.y].v"), at(document, "a.1.v"))
