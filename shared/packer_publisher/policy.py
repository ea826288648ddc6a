"""What a platform team decides, as frozen values: the contract's tag keys and the rules per bucket.

``settings.py`` reads them from the environment and the configuration document; the core only looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

CONTRACT_KEYS: Mapping[str, str] = {
    "bucket": "hcp-packer-bucket",
    "fingerprint": "hcp-packer-fingerprint",
    "component_type": "hcp-packer-component-type",
    "expects": "hcp-packer-expects",
    "regions": "hcp-packer-regions",
    "region": "hcp-packer-region",
    "source_image": "hcp-packer-source-image",
    "channels": "hcp-packer-channels",
}
"""The tag contract: the field and the key that carries it, the same in all clouds."""

LABEL_PREFIX = "hcp-packer-label-"
"""A tag with this prefix becomes a build label under the rest of its key."""

DEFAULT_LABEL_KEYS: tuple[str, ...] = (
    "git_sha",
    "git-sha",
    "git-commit",
    "ci-run",
    "packer-run-uuid",
    "packer-version",
)
"""Tags that become build labels under their own key where the configuration names no others."""


@dataclass(frozen=True, slots=True)
class BucketPolicy:
    """What the configuration says about one bucket.

    ``name`` is the canonical spelling where the configuration names the bucket itself, else None (it matched by a
    pattern). ``description`` and ``labels`` are kept true in the registry where they are not None or empty.
    ``project`` is the HCP project id, None for the default one: it never comes from a tag.
    """

    name: str | None = None
    project: str | None = None
    description: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    expects: tuple[str, ...] = ()
    quiet: timedelta = timedelta(hours=6)
    channels: tuple[str, ...] = ()  # channels that a tag may ask for
    assign_channels: tuple[str, ...] = ()  # channels that every version is assigned to
    create_channels: bool = False
    create_bucket: bool = False
    on_delete: str = "ignore"  # "ignore" | "revoke"
    template_type: str = "HCL2"  # "HCL2" | "JSON" | "TEMPLATE_TYPE_UNSET"


@dataclass(frozen=True, slots=True)
class BucketRule:
    """One entry under ``buckets``: a name or a glob pattern (compared without case) and its policy."""

    pattern: str
    policy: BucketPolicy


@dataclass(frozen=True, slots=True)
class Contract:
    """The tag contract as configured: the keys, the labels taken over, how a fingerprint's case is treated."""

    keys: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {name: (key,) for name, key in CONTRACT_KEYS.items()}
    )  # field -> the keys that may carry it; two that disagree are an error
    label_keys: tuple[str, ...] = DEFAULT_LABEL_KEYS
    fingerprint_case: str = "fold"  # "fold" | "keep"


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that placing and planning need from the configuration.

    ``rules`` are tried in order: exact names first, then patterns as written. A bucket that none matches is not
    allowed. ``regions`` are the AWS regions to gather in; empty: every enabled region of the account.
    """

    rules: tuple[BucketRule, ...] = ()
    contract: Contract = field(default_factory=Contract)
    expects: tuple[str, ...] = ()  # PUBLISHER_EXPECTS: for all buckets that say nothing themselves
    regions: tuple[str, ...] = ()
    settle: timedelta = timedelta(minutes=2)
    azure_artifact: str = "managed"  # "managed" | "gallery"
    azure_gallery_regions: str = "all"  # "all" | "single" (Packer's own single region)
