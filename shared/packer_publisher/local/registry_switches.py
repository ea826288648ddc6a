"""What is not known about HCP Packer's behaviour, each as a named switch of the local registry.

No client may depend on any of these: the tests run under every setting. The defaults are what the public
evidence makes likely; where there is none, what a stock Packer or Terraform run survives.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal, get_args, get_type_hints

from packer_publisher.errors import ConfigurationError

AcceptOrRefuse = Literal["accept", "refuse"]


def _number(default: float, *others: float) -> Any:
    """Return a numeric field whose deviations are ``others``; any other number may be set as well."""
    return field(default=default, metadata={"settings": (default, *others)})


@dataclass(frozen=True, slots=True)
class Switches:
    """One setting for each unknown; the values are frozen, so a combination can be printed and repeated."""

    # Completion of a version
    delete_last_open_build_completes: bool = False
    """Whether DeleteBuild of the last build that is not DONE completes the version."""
    create_with_done_completes: bool = False
    """Whether CreateBuild with BUILD_DONE can complete a version (a comment of Terraform's tests says no)."""
    update_complete_flag: Literal["refuse", "complete", "ignore"] = "refuse"
    """What UpdateVersion with ``complete: true`` does; no known client sends it. Refused with 400/3."""
    completion_lag: float = _number(0.0, 20.0)
    """Seconds between the last DONE and ``v<N>``; Terraform's tests once waited 15 s for a background worker."""
    read_after_write: Literal["fresh", "stale"] = "fresh"
    """``stale``: the first GetVersion after a write may still show the version as it was before that write."""
    version_numbers: Literal["reused", "fresh"] = "reused"
    """Whether the number of a deleted newest version is given again (highest that is left, plus one)."""

    # Status of builds
    unset_to_done: AcceptOrRefuse = "accept"
    """UpdateBuild from UNSET to DONE in one step; refused with 400/9."""
    unset_builds_time_out: bool = False
    """Whether an UNSET build is cancelled like a silent RUNNING one."""
    heartbeat_timeout: float = _number(600.0, 300.0)
    """Seconds of silence after which a RUNNING build is given up."""
    silent_build_becomes: Literal["BUILD_CANCELLED", "BUILD_FAILED"] = "BUILD_CANCELLED"
    """The status of a build that was given up."""
    done_without_artifacts: AcceptOrRefuse = "accept"
    """UpdateBuild to DONE of a build that lists no artifact; refused with 400/9."""
    updates_after_done: AcceptOrRefuse = "refuse"
    """Any change of a build that is DONE; refused with 400/9 (Packer itself refuses before it asks)."""
    delete_build_on_complete: AcceptOrRefuse = "accept"
    """DeleteBuild in a complete version; refused with 400/9."""
    unknown_enum: AcceptOrRefuse = "accept"
    """An unknown word where an enum is expected counts as the unset value; refused with 400/3."""

    # What a build holds
    duplicate_build_key: Literal["component_type", "component_type_and_platform"] = "component_type"
    """What CreateBuild's 409/6 compares: the API text speaks of the platform, Packer's users of the name."""
    platform_resent_same: AcceptOrRefuse = "refuse"
    """UpdateBuild with the platform that an earlier UpdateBuild has set; refused with 409/6."""
    platform_resent_after_create: AcceptOrRefuse = "refuse"
    """UpdateBuild with the platform that CreateBuild has set; refused with 409/6."""
    parents_resent_same: AcceptOrRefuse = "accept"
    """UpdateBuild with the parent ids that are set already; refused with 409/6."""
    artifacts_on_update: Literal["append", "replace"] = "append"
    """Whether artifacts of an UpdateBuild are added or take the place of the earlier ones."""
    repeated_artifact: Literal["refuse", "double", "ignore"] = "refuse"
    """The same identifier and region again in one build; refused with 409/6."""
    same_identifier_twice: AcceptOrRefuse = "accept"
    """The same identifier in another region of one build; refused with 409/6."""
    labels_on_update: Literal["replace", "merge"] = "replace"
    """Whether labels of an UpdateBuild take the place of the earlier ones."""
    label_limit: int = _number(0, 64)
    """The most labels that a bucket or build may have, 0 for any number; refused with 400/3."""

    # Buckets
    bucket_labels_on_update: Literal["replace", "merge"] = "replace"
    """Whether labels of an UpdateBucket take the place of the earlier ones."""
    bucket_patch_omitted: Literal["keep", "clear"] = "keep"
    """What an UpdateBucket without description or labels does to them; no update mask exists."""

    # Shapes of lists
    list_versions_carry_builds: bool = True
    """Whether the versions of ListVersions carry their builds."""
    latest_version_carries_builds: bool = True
    """Whether ``bucket.latest_version`` carries its builds."""
    default_page_size: int = _number(50, 2)
    """How many items a page has when the client names no size."""
    max_page_size: int = _number(100, 1)
    """The most items that a page has, whatever the client asks for."""

    # Words for versions that are not complete
    status_priority: Literal["running", "failed", "incomplete"] = "running"
    """Which status wins where builds of an incomplete version differ."""
    empty_version_status: Literal["VERSION_RUNNING", "VERSION_INCOMPLETE"] = "VERSION_RUNNING"
    """The status of a version without builds, or with none that was started."""

    # Codes
    get_version_in_missing_bucket: Literal["404/5", "409/10"] = "404/5"
    """GetVersion where the bucket itself is missing."""
    builds_of_unknown_version: Literal["409/10", "404/5"] = "409/10"
    """CreateBuild and ListBuilds where the version is missing."""
    assign_unknown_version: Literal["404/5", "400/3"] = "404/5"
    """A channel pointed at a fingerprint that does not exist."""
    assign_incomplete_version: Literal["400/9", "400/3"] = "400/9"
    """A channel pointed at a version that is not complete."""
    viewer_writes: Literal["403/7", "401/16"] = "403/7"
    """A write with a credential that may only read."""
    inactive_registry: Literal["400/9", "403/7", "404/5"] = "400/9"
    """Any operation in a project whose registry is not active."""
    token_error_body: Literal["oauth", "status", "html"] = "oauth"  # noqa: S105 (a form, no password)
    """The body with which the token endpoint refuses."""

    # After the fact
    revocation_without_target: Literal["unassign", "keep"] = "unassign"
    """A channel on a revoked version that has no valid earlier version to roll back to."""
    search_lag: float = _number(0.0, 60.0)
    """Seconds until SearchExternalArtifact finds what was written."""

    def __post_init__(self) -> None:
        """Refuse a word that is no setting of its switch."""
        for name, settings in _settings().items():
            value = getattr(self, name)
            if isinstance(settings[0], str | bool) and value not in settings:
                known = ", ".join(str(setting).lower() for setting in settings)
                raise ConfigurationError(f"Switch {name} knows {known}, not {value!r}.")

    def deviations(self) -> dict[str, Any]:
        """Return the switches that differ from their defaults: what a failing test prints."""
        default = Switches()
        return {
            entry.name: getattr(self, entry.name)
            for entry in fields(self)
            if getattr(self, entry.name) != getattr(default, entry.name)
        }

    @classmethod
    def variations(cls) -> Iterator[Switches]:
        """Yield each single deviation from the defaults, in the order of the fields."""
        default = cls()
        for name, settings in _settings().items():
            for setting in settings:
                if setting != getattr(default, name):
                    yield replace(default, **{name: setting})

    @classmethod
    def random(cls, rng: random.Random) -> Switches:
        """Return a random combination; the same ``rng`` state gives the same one."""
        return cls(**{name: rng.choice(settings) for name, settings in _settings().items()})

    @classmethod
    def parse(cls, words: Iterable[str]) -> Switches:
        """Return the switches of ``name=setting`` words; raises ConfigurationError for what it does not know."""
        chosen: dict[str, Any] = {}
        for word in words:
            name, separator, text = word.partition("=")
            settings = _settings().get(name)
            if not separator or settings is None:
                raise ConfigurationError(
                    f"{word!r} is no switch of the local registry.", remedy="Write name=setting, see Switches."
                )
            chosen[name] = _typed(name, text, settings)
        return cls(**chosen)


def _typed(name: str, text: str, settings: tuple[Any, ...]) -> Any:
    if isinstance(settings[0], bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(settings[0], str):
        return text
    try:
        return type(settings[0])(text)
    except ValueError:
        raise ConfigurationError(f"Switch {name} is a number, not {text!r}.") from None


@cache
def _settings() -> dict[str, tuple[Any, ...]]:
    """Return the settings of every switch by name."""
    hints = get_type_hints(Switches)
    found: dict[str, tuple[Any, ...]] = {}
    for entry in fields(Switches):
        if "settings" in entry.metadata:
            found[entry.name] = entry.metadata["settings"]
        elif hints[entry.name] is bool:
            found[entry.name] = (False, True)
        else:
            found[entry.name] = get_args(hints[entry.name])
    return found
