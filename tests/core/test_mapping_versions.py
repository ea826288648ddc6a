"""Which version a mapping makes of images: derived fingerprints, the same in any order, and images in conflict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packer_publisher.errors import Rejected
from packer_publisher.image import Image, Platform
from packer_publisher.mapping import ImageMapping, place_by_mapping
from packer_publisher.mapping_versions import Window, fingerprint_of_text, fingerprint_of_window
from packer_publisher.placement import Item
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Version
from packer_publisher.standing import Standing, standings
from packer_publisher.tag_values import parse_fingerprint
from packer_publisher.verdict import judge
from tests.core.mappings import EVERYTHING, NOW, image, one, placed, rules


def moments(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    """Return times in UTC; hypothesis wants its bounds without a zone."""
    bounds = (first.replace(tzinfo=None), last.replace(tzinfo=None))
    return st.datetimes(*bounds, timezones=st.just(UTC))


def test_a_fingerprint_is_derived_from_bucket_and_name() -> None:
    """The same in all clouds and in every run: these very values are a promise, versions in registries have them."""
    mapping = one("{}")
    mapped = placed(image(Platform.AWS, "ubuntu-24", identifier="ami-0abc"), mapping)
    assert ("ubuntu-24-7ed76ffdbd35e9aa", "ubuntu-24") == (mapped.placement.fingerprint, mapped.derived_from)
    for platform in Platform:
        assert mapped.placement.fingerprint == placed(image(platform, "ubuntu-24"), mapping).placement.fingerprint
    assert mapped.placement.fingerprint == fingerprint_of_text("WEB", "Ubuntu-24"), "the case counts for nothing"
    other = placed(image(), one("{}", "bucket: other")).placement.fingerprint
    assert other != mapped.placement.fingerprint, "each bucket has versions of its own"


def test_a_fingerprint_is_derived_from_a_window_of_time() -> None:
    """Images of a bucket that were created on one UTC day, in one hour, in six hours are one version."""

    def fingerprints(group: str, *hours: float) -> list[str]:
        start = datetime(2026, 11, 1, tzinfo=UTC)
        subjects = [image(name=f"ubuntu-{hour}", created_at=start + timedelta(hours=hour)) for hour in hours]
        return [
            placed(subject, one("{}", f"bucket: web\n  group: {group}")).placement.fingerprint for subject in subjects
        ]

    first, last, next_day = fingerprints("day", 0, 23.999, 24)
    assert "2026-11-01-fb5319952ac1801a" == first
    assert first == last != next_day
    assert next_day.startswith("2026-11-02-")
    one_hour, the_same, another = fingerprints("hour", 3, 3.99, 4)
    assert one_hour == the_same != another
    assert one_hour.startswith("2026-11-01-0300-")
    assert 2 == len(set(fingerprints("6h", 0, 5.9, 6, 11.9)))
    noon, midnight, morning = fingerprints("{by: day, offset: 12h}", 12, 24, 35.9)
    assert noon == midnight == morning
    assert noon.startswith("2026-11-01-1200-")
    assert fingerprints("day", 0) == fingerprints("24h", 0)


def test_a_fingerprint_is_derived_from_a_template() -> None:
    """What pipelines of three clouds have in common can be made of groups."""
    match = "{name: {regex: '(aws|gce)-ubuntu-(?P<build>[0-9]+)'}}"
    mapping = one(match, "bucket: web\n  group: 'ubuntu {build}'")
    one_of_aws, one_of_google = (
        placed(image(platform, f"{platform}-ubuntu-412"), mapping) for platform in (Platform.AWS, Platform.GCE)
    )
    assert one_of_aws.placement.fingerprint == one_of_google.placement.fingerprint
    assert "ubuntu-412-" == one_of_aws.placement.fingerprint[:11]


@given(bucket=st.text(max_size=40), text=st.text(max_size=300))
def test_a_derived_fingerprint_is_valid_whatever_it_is_derived_from(bucket: str, text: str) -> None:
    """1 to 40 characters in lower case that any cloud's tags could hold; never a ULID, which would change its case."""
    found = fingerprint_of_text(bucket, text)
    assert found == found.lower() == parse_fingerprint("", found)


@given(
    minutes=st.integers(1, 600_000),
    offset=st.integers(0, 600_000),
    moment=moments(datetime(1980, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)),
)
def test_a_window_holds_the_moments_that_it_is_made_of(minutes: int, offset: int, moment: datetime) -> None:
    """Every moment lies in one window of its size; its first and its last moment have the same fingerprint."""
    window = Window(timedelta(minutes=minutes), timedelta(minutes=offset % minutes))
    start = window.start(moment)
    assert start <= moment < start + window.size
    last = start + window.size - timedelta.resolution
    found = fingerprint_of_window("web", window, moment)
    assert found == fingerprint_of_window("web", window, start) == fingerprint_of_window("web", window, last)
    assert found != fingerprint_of_window("web", window, start + window.size)
    assert found == parse_fingerprint("", found)


MANY = rules(
    """
    rules:
    - match: {name: {regex: "scratch.*"}}
      ignore: true
    - match: {platform: [aws, azure], name: {regex: "(?P<os>ubuntu|rhel)-[0-9]+"}}
      bucket: golden-{os}
      group: day
    - match: {name: {regex: "(?P<os>[a-z]+)-.*"}}
      bucket: "{os}"
    - match: {age: {less_than: 10d}}
      bucket: recent
      fingerprint: "{created_at.date}"
    """
)
IMAGES = st.builds(
    image,
    st.sampled_from(Platform),
    st.sampled_from(["ubuntu-1", "ubuntu-2", "rhel-1", "debian-1", "scratch-1", "a-1", "other"]),
    created_at=moments(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
    whole=st.sampled_from([True, None]),
)


def fates(images: Sequence[Image]) -> list[Any]:
    """Return where each image belongs, or why it does not, in the order of the images."""
    found: list[Any] = []
    for subject in images:
        try:
            mapped = place_by_mapping(subject, MANY, EVERYTHING, NOW)
        except Rejected as error:
            found.append(str(error))
        else:
            found.append(mapped and (mapped.placement, mapped.derived_from, mapped.rule.number))
    return found


@given(images=st.lists(IMAGES, max_size=12), data=st.data())
def test_the_order_of_the_scan_never_matters(images: list[Image], data: st.DataObject) -> None:
    """Shuffled, and with others missing, each image has the same place, the derived fingerprint included."""
    expected = dict(zip(map(id, images), fates(images), strict=True))
    shuffled = data.draw(st.permutations(images))
    some = shuffled[: data.draw(st.integers(0, len(images)))]
    assert [expected[id(subject)] for subject in some] == fates(some)


def items(images: Sequence[Image], mapping: ImageMapping) -> list[Item]:
    return [Item(subject, placed(subject, mapping).placement) for subject in images]


AT_SIX, AT_SEVEN = (datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (6, 7))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("platform", Platform)
def test_two_images_for_one_component_type_are_a_conflict_with_both_names(platform: Platform, turned: bool) -> None:
    """A rule that puts two builds of one day into one version is told so, whichever the scan finds first."""
    pair = [
        image(platform, "ubuntu-6", created_at=AT_SIX),
        image(platform, "ubuntu-7", created_at=AT_SEVEN),
    ]
    older, newer = pair
    found = items(list(reversed(pair)) if turned else pair, one("{}", "bucket: web\n  group: day"))
    assert found[0].placement.fingerprint == found[1].placement.fingerprint
    version = Version("web", found[0].placement.fingerprint, exists=True)
    stands = dict(zip((item.image.name for item in found), standings(found, version), strict=True))
    assert {"ubuntu-6": Standing.TO_CREATE, "ubuntu-7": Standing.RIVAL} == stands
    verdicts = dict(zip((item.image.name for item in found), judge(found, version, wrote=False), strict=True))
    assert Outcome.CONFLICT == verdicts["ubuntu-7"].outcome
    assert verdicts["ubuntu-7"].reason.startswith(f"{newer.at} and the older {older.at} claim component type ")


@given(order=st.permutations(["c", "b", "a"]))
def test_a_conflict_names_the_image_that_took_part(order: list[str]) -> None:
    """Of three images of one second the same one takes part in any order, and the others name that one."""
    trio = [image(name="ubuntu", identifier=identifier, created_at=AT_SIX) for identifier in order]
    found = items(trio, one("{}"))
    verdicts = judge(found, Version("web", found[0].placement.fingerprint, exists=True), wrote=False)
    told = {item.image.ref.identifier: verdict.reason for item, verdict in zip(found, verdicts, strict=True)}
    assert told["b"].startswith("b (gce:project-1) and the older a (gce:project-1) claim component type googlecompute")
    assert told["c"].startswith("c (gce:project-1) and the older a (gce:project-1) claim component type googlecompute")


def test_regions_of_one_ami_are_one_build_and_no_conflict() -> None:
    """Copies share the name, so they share the derived fingerprint and the build."""
    pair = [
        image(Platform.AWS, identifier=f"ami-0{region}", region=region, whole=None)
        for region in ("eu-west-1", "us-east-1")
    ]
    found = items(pair, one("{}"))
    assert 1 == len({item.placement for item in found})
    version = Version("web", found[0].placement.fingerprint, exists=True)
    assert [Standing.TO_CREATE, Standing.SIBLING] == sorted(
        standings(found, version), key=lambda s: s.name, reverse=True
    )
