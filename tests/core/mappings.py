"""Images without tags and mappings to place them, for the tests of mappings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from packer_publisher.errors import Rejected
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.mapping import ImageMapping, Mapped, attempts, place_by_mapping
from packer_publisher.mapping_file import read_rules
from packer_publisher.policy import BucketPolicy, BucketRule, Policy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVERYTHING = Policy(rules=(BucketRule("*", BucketPolicy()),))
OWNERS = {Platform.AWS: "111111111111", Platform.AZURE: "sub-1", Platform.GCE: "project-1"}
REGIONS = {Platform.AWS: "eu-west-1", Platform.AZURE: "westeurope", Platform.GCE: "europe-west1-b"}
GALLERY = (("sig_image_name", "ubuntu-noble"), ("sig_image_version", "1.10.0"), ("sig_name", "golden"))


def image(platform: Platform = Platform.GCE, name: str = "ubuntu-24", **fields: Any) -> Image:
    identifier = fields.pop("identifier", name)
    region = fields.pop("region", REGIONS[platform])
    ref = ImageRef(platform, OWNERS[platform], region if platform is Platform.AWS else "", identifier)
    created_at = fields.pop("created_at", datetime(2026, 11, 1, 3, 4, 5, tzinfo=UTC))
    return Image(ref, name, ImageState.AVAILABLE, created_at, (Artifact(region, identifier),), **fields)


def rules(text: str) -> ImageMapping:
    return read_rules(text, "mapping.yaml", yaml=True)


def one(match: str, rest: str = "bucket: web") -> ImageMapping:
    """Return the mapping of one rule; ``rest`` holds its other keys."""
    return rules(f"rules:\n- match: {match}\n  {rest}\n")


def placed(subject: Image, mapping: ImageMapping, policy: Policy = EVERYTHING) -> Mapped:
    mapped = place_by_mapping(subject, mapping, policy, NOW)
    assert mapped is not None
    return mapped


def refusal(subject: Image, mapping: ImageMapping, policy: Policy = EVERYTHING) -> str:
    with pytest.raises(Rejected) as caught:
        place_by_mapping(subject, mapping, policy, NOW)
    return str(caught.value)


def reasons(subject: Image, mapping: ImageMapping) -> tuple[str, ...]:
    (attempt,) = attempts(subject, mapping, NOW)
    assert attempt.took is (place_by_mapping(subject, mapping, EVERYTHING, NOW) is not None)
    return attempt.reasons
