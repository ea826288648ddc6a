"""Where a mapping puts images without contract tags: conditions, templates, lists, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from packer_publisher.errors import Rejected
from packer_publisher.image import Image, Platform
from packer_publisher.mapping import place_by_mapping, placer
from packer_publisher.mapping_csv import read_list
from packer_publisher.mapping_versions import fingerprint_of_text
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from tests.core.mappings import EVERYTHING, GALLERY, NOW, image, one, placed, reasons, refusal, rules


def test_the_first_rule_that_fits_takes_the_image() -> None:
    """Rules are tried in the order of the file, and the groups of the one that fits fill its templates."""
    mapping = rules(
        """
        rules:
        - name: windows
          match: {family: windows}
          bucket: windows
        - name: ubuntu
          match: {name: {regex: "ubuntu-(?P<release>[0-9]+)"}}
          bucket: ubuntu-{release}
          fingerprint: "{created_at.date}-{platform}"
          component_type: googlecompute.{release}
          labels: {release: "{release}", architecture: "{architecture}"}
        - match: {}
          bucket: rest
        """
    )
    mapped = placed(image(), mapping)
    assert ("rule 2 (ubuntu)", "mapping.yaml, line 6, rule 2 (ubuntu)") == (mapped.rule.title, mapped.rule.at)
    assert {"release": "24"} == mapped.groups
    placement = mapped.placement
    assert ("ubuntu-24", "2026-11-01-gce", "googlecompute.24") == (
        placement.bucket,
        placement.fingerprint,
        placement.component_type,
    )
    assert (("release", "24"),) == placement.labels, "a label that needs what the image has not is left out"
    assert "rest" == placed(image(name="debian-12"), mapping).placement.bucket


def test_a_rule_can_leave_images_out() -> None:
    """An image that is taken by a rule with ignore belongs nowhere, and no later rule is asked."""
    mapping = rules("rules: [{match: {name: scratch}, ignore: true}, {match: {}, bucket: web}]")
    assert place_by_mapping(image(name="scratch"), mapping, EVERYTHING, NOW) is None
    assert 2 == placed(image(name="other"), mapping).rule.number


@pytest.mark.parametrize("key", ["hcp-packer-bucket", "hcp-packer-fingerprint", "hcp-packer-expects"])
def test_an_image_with_a_contract_tag_is_placed_by_its_tags_alone(key: str) -> None:
    """Also where its tags are broken: no mapping puts right what a tag says wrong."""
    assert "web" == placed(image(tags={"team": "web"}), one("{}")).placement.bucket
    assert place_by_mapping(image(tags={key: "web"}), one("{}"), EVERYTHING, NOW) is None


def test_a_run_places_by_tags_where_there_are_any() -> None:
    """The tags' own place, their own errors, and the mapping for the rest."""
    where = placer(one("{name: web}"), EVERYTHING, NOW)
    tags = {"hcp-packer-bucket": "tagged", "hcp-packer-fingerprint": "a1"}
    placements = [where(image(name="web", tags=tags)), where(image(name="web")), where(image(name="other"))]
    assert ["tagged", "web", None] == [placement and placement.bucket for placement in placements]
    with pytest.raises(Rejected) as caught:
        where(image(name="web", tags={"hcp-packer-bucket": "tagged"}))
    assert "web (gce:project-1): tag hcp-packer-fingerprint is missing" == str(caught.value)


VERSION = image(Platform.AZURE, "golden/ubuntu-noble/1.10.0", labels=GALLERY)
AMI = image(Platform.AWS, identifier="ami-0abc", tags={"Team": "web", "empty": ""}, description="Golden, 24.04")


@pytest.mark.parametrize(
    ("subject", "match", "reason"),
    [
        (image(), "{platform: gce}", ""),
        (image(), "{platform: google, owner: project-1, region: europe-west1-b}", ""),
        (image(), "{platform: [aws, azure]}", "platform is gce, not aws or azure"),
        (AMI, "{region: [eu-west-1, us-east-1], identifier: ami-0abc}", ""),
        (AMI, "{description: {regex: 'Golden.*'}}", ""),
        (AMI, "{description: {regex: Golden}}", "description is Golden, 24.04, which does not match Golden as a whole"),
        (AMI, "{tags: {Team: web, empty: {present: true}, other: {present: false}}}", ""),
        (AMI, "{tags: {team: web}}", "it has no tags.team"),
        (AMI, "{tags: {empty: {present: false}}}", "tags.empty is empty, which it must not have"),
        (AMI, "{tags: {Team: {present: false}}}", "tags.Team is web, which it must not have"),
        (AMI, "{family: {present: false}, architecture: {present: false}}", ""),
        (AMI, "{architecture: arm64}", "it has no architecture"),
        (AMI, "{name: Ubuntu-24}", "name is ubuntu-24, not Ubuntu-24"),
        (image(Platform.AZURE), "{name: Ubuntu-24}", ""),
        (image(Platform.AZURE, tags={"TEAM": "web"}), "{tags: {Team: web}}", ""),
        (image(family="ubuntu"), "{family: ubuntu, labels: {licenses: {present: false}}}", ""),
        (image(labels=(("disk_size_gb", "10"),)), "{labels: {disk_size_gb: '10'}}", ""),
        (VERSION, "{gallery: Golden, image_definition: ubuntu-noble, image_version: 1.10.0}", ""),
        (VERSION, "{image_version: {at_least: 1.9.0, less_than: 2.0.0}}", ""),
        (VERSION, "{image_version: {at_least: 1.11.0}}", "image_version is 1.10.0, not at least 1.11.0"),
        (VERSION, "{image_version: {less_than: 1.10.0}}", "image_version is 1.10.0, not less than 1.10.0"),
        (image(Platform.AZURE), "{image_version: {less_than: 2.0.0}}", "it has no image_version"),
        (image(), "{created_at: {from: 2026-11-01, before: '2026-11-01T03:04:06Z'}}", ""),
        (image(), "{created_at: {from: '2026-11-01T04:04:05+01:00'}}", ""),
        (
            image(),
            "{created_at: {before: '2026-11-01T03:04:05Z'}}",
            "created_at is 2026-11-01T03:04:05Z, not before 2026-11-01T03:04:05Z",
        ),
        (
            image(),
            "{created_at: {from: 2026-11-02}}",
            "created_at is 2026-11-01T03:04:05Z, not from 2026-11-02T00:00:00Z on",
        ),
        (image(), "{created_at.hour: '03', created_at: {regex: '2026-11-.*'}}", ""),
        (image(), "{age: {at_least: 20d, less_than: 21d}}", ""),
        (image(), "{age: {less_than: 20d}}", "age is 20d8h55m55s, not less than 20d"),
        (image(), "{age: {at_least: 30d}}", "age is 20d8h55m55s, not at least 30d"),
        (image(created_at=NOW + timedelta(hours=1)), "{age: {at_least: 0s, less_than: 1m}}", ""),
    ],
)
def test_what_a_condition_matches(subject: Image, match: str, reason: str) -> None:
    """Exact values, lists, expressions over the whole value, ranges and presence, each with its reason."""
    assert ((reason,) if reason else ()) == reasons(subject, one(match))


def test_every_unmet_condition_is_told() -> None:
    """A person who asks why sees all reasons at once."""
    assert ("platform is gce, not aws", "name is ubuntu-24, not web") == reasons(
        image(), one("{platform: aws, name: web}")
    )


def test_fields_of_time_are_in_utc() -> None:
    """Google says times with its own offset; day and hour are those of UTC in every cloud."""
    moment = datetime(2026, 10, 31, 20, 4, tzinfo=timezone(-timedelta(hours=7)))
    mapping = one(
        "{}", 'bucket: web\n  fingerprint: "{created_at.year}.{created_at.month}.{created_at.day}-{created_at.hour}"'
    )
    assert "2026.11.01-03" == placed(image(created_at=moment), mapping).placement.fingerprint


def test_filters_make_a_value_fit() -> None:
    """lower changes the case, slug leaves letters, digits and single hyphens; doubled braces are braces."""
    mapping = one("{}", 'bucket: "{name|slug}"\n  fingerprint: "{name|lower}"\n  labels: {as-is: "{{name}}: {name}"}')
    placement = placed(image(Platform.AZURE, "Golden_Ubuntu..24"), mapping).placement
    assert ("golden-ubuntu-24", "golden_ubuntu..24") == (placement.bucket, placement.fingerprint)
    assert (("as-is", "{name}: Golden_Ubuntu..24"),) == placement.labels


@pytest.mark.parametrize(
    ("subject", "rest", "problem"),
    [
        (image(), "bucket: web_{name}", "bucket 'web_ubuntu-24' is no bucket name"),
        (image(), "bucket: web\n  fingerprint: '{name}!'", "fingerprint 'ubuntu-24!' is no version fingerprint"),
        (image(), "bucket: web\n  component_type: '{name} x'", "component type 'ubuntu-24 x' is no component type"),
        (
            image(),
            "bucket: web\n  component_type: amazon-ebs",
            "component type 'amazon-ebs' is the name of a builder for aws, and the image is on gce",
        ),
        (image(), "bucket: '{family}'", "bucket needs family, and this image has none"),
        (image(), "bucket: '{tags.team}'", "bucket needs tags.team, and this image has none"),
        (image(tags={"team": " "}), "bucket: '{tags.team}'", "bucket {tags.team} is empty for this image"),
        (image(), "bucket: web\n  group: '{family}'", "group needs family, and this image has none"),
        (image(Platform.AZURE, ""), "bucket: web", "group needs name, and this image has none"),
        (
            image(description="a\nb"),
            "bucket: web\n  labels: {about: '{description}'}",
            "label about contains control characters: a\\nb",
        ),
    ],
)
def test_what_breaks_the_contract_is_rejected_with_rule_file_and_line(subject: Image, rest: str, problem: str) -> None:
    """A mapping can do no more than a tag: the same checks, with the place in the file."""
    assert f"{subject.at}: mapping.yaml, line 2, rule 1: {problem}" == refusal(subject, one("{}", rest))


def test_a_bucket_that_the_configuration_does_not_allow_is_rejected() -> None:
    """A mapping opens no bucket."""
    assert refusal(image(), one("{}"), Policy()).endswith(
        "rule 1: bucket web is not allowed by this deployment's configuration"
    )


def test_what_a_version_consists_of_comes_from_the_configuration() -> None:
    """Expected names and labels from tags are those of any image; the bucket takes its configured spelling."""
    policy = Policy(rules=(BucketRule("Web", BucketPolicy(name="Web", expects=("aws", "gce"))),))
    placement = placed(
        image(tags={"git-sha": "3f2a9c1"}), one("{}", "bucket: WEB\n  labels: {os: noble}"), policy
    ).placement
    assert ("Web", ("aws", "gce")) == (placement.bucket, placement.expects)
    assert (("git_sha", "3f2a9c1"), ("os", "noble")) == placement.labels


def test_a_component_type_of_a_mapping_is_taken_as_written() -> None:
    """Two underscores stand for a dot in Google's labels, and nowhere else."""
    mapping = one("{}", "bucket: web\n  component_type: googlecompute.my__image")
    assert "googlecompute.my__image" == placed(image(), mapping).placement.component_type


def test_a_group_that_took_no_part_is_absent() -> None:
    """An optional group that did not match leaves a label out and cannot make a bucket."""
    match = "{name: {regex: 'ubuntu(-(?P<release>[0-9]+))?(?P<arm>-arm)?'}}"
    mapping = one(match, "bucket: web-{release}\n  labels: {arm: '{arm}', release: '{release}'}")
    assert (("release", "24"),) == placed(image(), mapping).placement.labels
    assert refusal(image(name="ubuntu"), mapping).endswith("bucket needs release, and this image has none")


ARM = "/subscriptions/sub-1/resourceGroups/Images/providers/Microsoft.Compute/images/Web"
LIST = f"""image,bucket,fingerprint,component_type
ami-0abcdef0,web,Release-7,
{ARM.upper()},web,,
projects/project-1/global/images/web,web,release-7,googlecompute.web
https://www.googleapis.com/compute/v1/projects/project-1/global/images/42,web,release-8,
"""


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (image(Platform.AWS, "web", identifier="ami-0abcdef0"), ("web", "release-7", "amazon-ebs")),
        (image(Platform.AZURE, "web", identifier=ARM), ("web", fingerprint_of_text("web", "web"), "azure-arm")),
        (image(name="web"), ("web", "release-7", "googlecompute.web")),
        (image(name="other", identity=(("image_id", "42"),)), ("web", "release-8", "googlecompute")),
        (image(name="unlisted"), None),
    ],
)
def test_a_list_places_the_images_that_it_names(subject: Image, expected: tuple[str, str, str] | None) -> None:
    """By AMI id, by ARM id in any case, by a Google image's name or number; an empty fingerprint is derived."""
    mapped = place_by_mapping(subject, read_list(LIST, "images.csv"), EVERYTHING, NOW)
    found = mapped and (mapped.placement.bucket, mapped.placement.fingerprint, mapped.placement.component_type)
    assert expected == found


def test_a_row_that_is_not_allowed_is_rejected_with_its_line() -> None:
    """The error names the list and the line."""
    subject = image(Platform.AWS, "web", identifier="ami-0abcdef0")
    assert refusal(subject, read_list(LIST, "images.csv"), Policy()).startswith(
        f"{subject.at}: images.csv, line 2: bucket web is not allowed"
    )
