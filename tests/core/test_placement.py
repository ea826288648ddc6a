"""The tag contract: where an image belongs, read from its tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.placement import Override, Placement, is_ours, place
from packer_publisher.policy import CONTRACT_KEYS, BucketPolicy, BucketRule, Contract, Policy

POLICY = Policy(
    rules=(
        BucketRule("Web-Server", BucketPolicy(name="Web-Server", channels=("staging",), expects=("azure",))),
        BucketRule("*", BucketPolicy()),
    )
)
ULID = "01J9ZK5Q8RBTNWVXH3YCDEFGAM"


def image(platform: Platform = Platform.AWS, architecture: str | None = "x86_64", /, **tags: str) -> Image:
    """Return an image with contract tags given by field name, and others by their own key."""
    named = {CONTRACT_KEYS.get(key, key): value for key, value in tags.items()}
    ref = ImageRef(platform, "123456789012", "eu-west-1" if platform is Platform.AWS else "", "ami-0abc")
    return Image(
        ref,
        "web-1",
        ImageState.AVAILABLE,
        datetime(2026, 11, 1, tzinfo=UTC),
        (Artifact("eu-west-1", "ami-0abc"),),
        tags=named,
        architecture=architecture,
    )


def placed(subject: Image, policy: Policy = POLICY, override: Override | None = None) -> Placement:
    placement = place(subject, policy, override)
    assert placement is not None
    return placement


def refusal(subject: Image, policy: Policy = POLICY) -> str:
    with pytest.raises(Rejected) as caught:
        place(subject, policy)
    return str(caught.value).removeprefix("ami-0abc (aws:123456789012, eu-west-1): ")


def test_an_image_without_contract_tags_is_not_ours() -> None:
    """Other people's tags, also such as begin like ours, make an image no business of ours."""
    assert place(image(Name="web", **{"hcp-packer-label-team": "a"}), POLICY) is None
    assert not is_ours({"Name": "web"}, POLICY)
    assert not is_ours(None, POLICY)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"bucket": "web"}, "tag hcp-packer-fingerprint is missing"),
        ({"fingerprint": "abc"}, "tag hcp-packer-bucket is missing"),
        ({"expects": "aws"}, "tag hcp-packer-bucket is missing"),
        ({"bucket": "", "fingerprint": "abc"}, "tag hcp-packer-bucket is empty"),
        ({"bucket": "web", "fingerprint": "  "}, "tag hcp-packer-fingerprint is empty"),
    ],
)
def test_one_of_the_two_required_tags_is_broken_not_foreign(tags: Mapping[str, str], problem: str) -> None:
    """An image with any contract tag is ours, and one that lacks bucket or fingerprint is refused."""
    assert problem == refusal(image(**tags))


@pytest.mark.parametrize("bucket", ["ab", "a" * 37, "web_server", "web.server", "wéb", "web server", "../etc"])
def test_a_bucket_is_3_to_36_letters_digits_and_hyphens(bucket: str) -> None:
    """Packer's own rule for bucket names decides."""
    assert "is no bucket name" in refusal(image(bucket=bucket, fingerprint="abc"))


@pytest.mark.parametrize("fingerprint", ["-a", "a-", ".a", "a" * 41, "a/b", "a b", "ä", "a:b"])
def test_a_fingerprint_has_the_documented_form(fingerprint: str) -> None:
    """1 to 40 letters, digits, '-', '.', '_', with a letter or digit at both ends."""
    assert "is no version fingerprint" in refusal(image(bucket="web", fingerprint=fingerprint))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (ULID, ULID),
        (ULID.lower(), ULID),
        ("3F2A-91", "3f2a-91"),
        ("a", "a"),
        ("X" * 40, "x" * 40),
        ("81J9ZK5Q8RBTNWVXH3YCDEFGAM", "81j9zk5q8rbtnwvxh3ycdefgam"),  # too large for a ULID
    ],
)
def test_a_fingerprint_has_one_case_in_all_clouds(written: str, canonical: str) -> None:
    """A ULID is upper case, anything else lower case, because a Google label can hold no other."""
    for platform in Platform:
        assert canonical == placed(image(platform, bucket="web", fingerprint=written)).fingerprint


def test_a_team_without_google_may_keep_the_case_of_fingerprints() -> None:
    """With fingerprint_case: keep the tag is taken as written."""
    policy = replace(POLICY, contract=Contract(fingerprint_case="keep"))
    assert "Release-7" == placed(image(bucket="web", fingerprint="Release-7"), policy).fingerprint


def test_a_bucket_takes_the_spelling_of_the_configuration() -> None:
    """Names match the configuration without case; a name that only a pattern matches keeps its own spelling."""
    assert "Web-Server" == placed(image(bucket="web-server", fingerprint="a1")).bucket
    assert "Other" == placed(image(bucket="Other", fingerprint="a1")).bucket


def test_a_bucket_that_no_rule_allows_is_refused_with_the_setting_that_would() -> None:
    """Buckets are allowed by configuration, without a default."""
    with pytest.raises(Rejected) as caught:
        place(image(bucket="web", fingerprint="a1"), Policy())
    assert "bucket web is not allowed by this deployment's configuration" in str(caught.value)
    assert "PUBLISHER_CONFIG" in caught.value.remedy


@pytest.mark.parametrize(
    ("platform", "architecture", "expected"),
    [
        (Platform.AWS, "x86_64", "amazon-ebs"),
        (Platform.AWS, "arm64", "amazon-ebs.arm64"),
        (Platform.AZURE, None, "azure-arm"),
        (Platform.AZURE, "arm64", "azure-arm.arm64"),
        (Platform.GCE, "x86_64", "googlecompute"),
    ],
)
def test_the_default_component_type_is_the_builders_name(
    platform: Platform, architecture: str | None, expected: str
) -> None:
    """Arm64 is told apart; an unknown architecture counts as x86-64."""
    assert expected == placed(image(platform, architecture, bucket="web", fingerprint="a1")).component_type


def test_a_google_label_writes_the_dot_of_a_component_type_as_two_underscores() -> None:
    """Google labels allow no dot."""
    subject = image(Platform.GCE, bucket="web", fingerprint="a1", component_type="googlecompute__my-image")
    assert "googlecompute.my-image" == placed(subject).component_type
    aws = image(bucket="web", fingerprint="a1", component_type="amazon-ebs.my__image")
    assert "amazon-ebs.my__image" == placed(aws).component_type


@pytest.mark.parametrize("name", ["aws", "GCP", "-x", "a b", "x" * 129, "a.", "ä"])
def test_a_component_type_is_a_name_and_no_platform(name: str) -> None:
    """A component type called like a platform could never be told from one in an expects list."""
    assert refusal(image(bucket="web", fingerprint="a1", component_type=name))


@pytest.mark.parametrize(
    ("platform", "value", "names"),
    [
        (Platform.AWS, "aws azure gcp", ("aws", "azure", "gce")),
        (Platform.AWS, "aws,google,  AWS", ("aws", "azure", "gce")),
        (Platform.GCE, "aws_azure_gce", ("aws", "azure", "gce")),
        (Platform.GCE, "googlecompute__web_aws", ("aws", "azure", "googlecompute.web")),
        (Platform.AWS, "amazon-ebs.Web amazon-ebs.web", ("amazon-ebs.Web", "azure")),
    ],
)
def test_expects_names_platforms_and_component_types(platform: Platform, value: str, names: tuple[str, ...]) -> None:
    """The tag and the configuration (azure, here) together, each name once, platforms in HCP Packer's own words."""
    assert names == placed(image(platform, bucket="web-server", fingerprint="a1", expects=value)).expects


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("googlecompute__my_image", "which is neither a platform nor a component type of a known builder"),
        ("aws___azure", "is no readable list"),
        ("_aws", "is no readable list"),
    ],
)
def test_a_google_list_that_would_fall_apart_is_refused(value: str, problem: str) -> None:
    """A name with `_` in it cannot stand in a Google label; it is refused rather than guessed at."""
    assert problem in refusal(image(Platform.GCE, bucket="web", fingerprint="a1", expects=value))


def test_lists_have_limits() -> None:
    """At most 16 expected names, 8 channels, 32 regions."""
    many = " ".join(f"amazon-ebs.n{n}" for n in range(17))
    assert "hcp-packer-expects has 17 names, more than 16" == refusal(
        image(bucket="web", fingerprint="a", expects=many)
    )
    channels = " ".join(f"channel-{n}" for n in range(9))
    assert "hcp-packer-channels has 9 names, more than 8" == refusal(
        image(bucket="web", fingerprint="a", channels=channels)
    )
    regions = " ".join(f"eu-west-{n}" for n in range(33))
    assert "hcp-packer-regions has 33 names, more than 32" == refusal(
        image(bucket="web", fingerprint="a", regions=regions)
    )


def test_the_union_with_the_configuration_has_the_same_limit() -> None:
    """Sixteen names in the tag and another in the configuration are too many."""
    names = " ".join(f"amazon-ebs.n{n}" for n in range(16))
    assert "together name 17 parts" in refusal(image(bucket="web-server", fingerprint="a", expects=names))


def test_channels_are_those_that_the_configuration_allows() -> None:
    """Others are left out with a note; latest is refused, because HCP Packer moves it by itself."""
    placement = placed(image(bucket="web-server", fingerprint="a", channels="Staging production"))
    assert ("staging",) == placement.channels
    assert ("channel production is not allowed for this bucket by the configuration",) == placement.notes
    assert "names the channel latest" in refusal(image(bucket="web", fingerprint="a", channels="latest"))


def test_two_keys_of_one_field_must_agree() -> None:
    """Other names for a key come from configuration; two that disagree are an error, never a choice."""
    keys = {name: (key,) for name, key in CONTRACT_KEYS.items()} | {"bucket": ("hcp-packer-bucket", "HCPPackerBucket")}
    policy = replace(POLICY, contract=Contract(keys=keys))
    agree = image(bucket="web", fingerprint="a", HCPPackerBucket="web")
    assert "web" == placed(agree, policy).bucket
    differ = image(bucket="web", fingerprint="a", HCPPackerBucket="db1")
    assert "tags hcp-packer-bucket and HCPPackerBucket disagree" == refusal(differ, policy)


def test_azure_tag_names_have_no_case() -> None:
    """Azure compares tag names without case and keeps the first spelling; AWS compares them exactly."""
    tags = {"HCP-Packer-Bucket": "web", "hcp-packer-FINGERPRINT": "a1"}
    assert "web" == placed(image(Platform.AZURE, **tags)).bucket
    assert place(image(Platform.AWS, **tags), POLICY) is None


@pytest.mark.parametrize("character", ["\n", "\r", "\x00", "\x1b", "\u2028", "\u202e"])
def test_control_characters_are_refused_and_shown_escaped(character: str) -> None:
    """A value cannot forge a log line or turn the text of a terminal around."""
    text = refusal(image(bucket="web", fingerprint="a", source_image=f"ami{character}x"))
    assert "tag hcp-packer-source-image contains control characters" in text
    assert text.isprintable()


def test_huge_and_too_many_tags_are_refused() -> None:
    """No cloud allows them, so whatever sent them is not a cloud."""
    assert "is 2049 characters long, more than 2048" in refusal(
        image(bucket="web", fingerprint="a", expects="x" * 2049)
    )
    crowd = {f"tag-{n}": "x" for n in range(127)}
    assert "carries 129 tags, more than 128" == refusal(image(bucket="web", fingerprint="a", **crowd))


def test_labels_come_from_an_allow_list_and_a_prefix() -> None:
    """Values are cut at 256 characters; other tags stay where they are."""
    tags = {"git_sha": "3f2a", "hcp-packer-label-team": "T" * 300, "CostCentre": "7"}
    placement = placed(image(bucket="web", fingerprint="a", **tags))
    assert (("git_sha", "3f2a"), ("team", "T" * 256)) == placement.labels


def test_the_git_commit_becomes_packers_label() -> None:
    """Whatever tag it came from; tags that name different commits are told, and stay what they are."""
    assert (("git_sha", "3f2a91c"),) == placed(image(bucket="web", fingerprint="a", **{"git-commit": "3f2a91c"})).labels
    tags = {"git-commit": "3f2a91c", "git-sha": "0000000"}
    placement = placed(image(bucket="web", fingerprint="a", **tags))
    assert (("git-commit", "3f2a91c"), ("git-sha", "0000000")) == placement.labels
    note = "the tags name different git commits, 0000000 and 3f2a91c: none is recorded as the build's"
    assert (note,) == placement.notes


@pytest.mark.parametrize(
    ("platform", "tag", "source"),
    [
        (Platform.AWS, "ami-0abc", ("ami-0abc", "")),
        (Platform.GCE, "base-img", ("base-img", "")),
        (Platform.GCE, "base-img_7718790431234567890", ("base-img", "7718790431234567890")),
        (Platform.AZURE, "base_7", ("base_7", "")),
    ],
)
def test_the_source_image_of_a_google_label_may_carry_its_number(
    platform: Platform, tag: str, source: tuple[str, str]
) -> None:
    """Names of Google's images hold no underscore, and one can be given again to another image."""
    placement = placed(image(platform, bucket="web", fingerprint="a", source_image=tag))
    assert source == (placement.source_image, placement.source_number)


@pytest.mark.parametrize(
    "label", ["image-owner", "packer-publisher", "expects", "expects-2", "Image-Owner", "image_id"]
)
def test_a_tag_cannot_set_a_label_by_which_functions_know_each_other(label: str) -> None:
    """Else a tag could claim another account's build or declare names for it."""
    tags = {f"hcp-packer-label-{label}": "aws:999999999999"}
    assert "which this program keeps for itself" in refusal(image(bucket="web", fingerprint="a", **tags))


def test_more_than_32_labels_are_refused() -> None:
    """The registry documents no limit, so we keep one."""
    tags = {f"hcp-packer-label-l{n}": "x" for n in range(33)}
    assert "tags give 33 build labels, more than 32" == refusal(image(bucket="web", fingerprint="a", **tags))


def test_a_person_may_say_what_the_tags_do_not() -> None:
    """publish --bucket --fingerprint places an image that carries no tag at all."""
    override = Override(bucket="web", fingerprint="R-1", component_type="amazon-ebs.web", expects=("gcp",))
    placement = placed(image(), override=override)
    assert ("web", "r-1", "amazon-ebs.web", ("gce",)) == (
        placement.bucket,
        placement.fingerprint,
        placement.component_type,
        placement.expects,
    )


def test_an_error_names_the_image() -> None:
    """Whoever reads the log knows which image it was."""
    with pytest.raises(Rejected) as caught:
        place(image(bucket="web"), POLICY)
    assert "ami-0abc (aws:123456789012, eu-west-1): tag hcp-packer-fingerprint is missing" == str(caught.value)
    assert "set both hcp-packer-fingerprint and hcp-packer-bucket on the image, or neither" == caught.value.remedy
