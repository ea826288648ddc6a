"""Which version an image was built from, judged from what the search and the channels say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from packer_publisher.ancestry import REMEMBERED, SECONDS, Ancestors, find_parent, lookup, parent_version, with_channel
from packer_publisher.errors import (
    CredentialsTrouble,
    Forbidden,
    PublisherError,
    RegistryInactive,
    RegistryRefused,
    RegistryTrouble,
)
from packer_publisher.image import Artifact, Platform
from packer_publisher.placement import Item
from packer_publisher.plan import next_call
from packer_publisher.snapshot import Build, Channel, FoundArtifact, Parent
from packer_publisher.steps import CreateBuild, FillBuild, FindParent
from tests.core.snapshots import QUIRKS, build, item, version

AMI = FindParent("web", "a1", "aws", "ami-base")
FOUND = Parent("id-base-1", "", "base", "base-1", "v3")
PRODUCTION = Channel("production", version_fingerprint="base-1", version_name="v3", id="ch-1")


def hit(
    identifier: str = "ami-base",
    *,
    platform: str = "aws",
    bucket: str = "base",
    fingerprint: str = "base-1",
    name: str = "v3",
    status: str = "VERSION_ACTIVE",
    labels: tuple[tuple[str, str], ...] = (),
) -> FoundArtifact:
    found = Build("b", "amazon-ebs", platform=platform, artifacts=frozenset({Artifact("x", identifier)}), labels=labels)
    return FoundArtifact(bucket, fingerprint, f"id-{fingerprint}", name, status, found)


def with_source(source: str | None, tag: str = "") -> Item:
    subject = item()
    return Item(replace(subject.image, source=source), replace(subject.placement, source_image=tag))


def test_the_parent_is_looked_up_when_an_image_is_about_to_be_filled_in_and_not_before() -> None:
    """Its own build comes first; then the question; then, with the answer, the fill."""
    subject = with_source("ami-base")
    assert isinstance(next_call([subject], version(), QUIRKS), CreateBuild)
    empty = version(build(subject, full=False))
    assert AMI == next_call([subject], empty, QUIRKS)
    told = replace(subject, parent=replace(FOUND, channel_id="ch-1"))
    call = next_call([told], empty, QUIRKS)
    assert isinstance(call, FillBuild)
    assert ("ami-base", "id-base-1", "ch-1") == (
        call.source_external_identifier,
        call.parent_version_id,
        call.parent_channel_id,
    )


def test_nothing_is_looked_up_where_nothing_is_filled_in_or_no_source_is_known() -> None:
    """A duplicate, a version that is complete, an image that is not whole, one without a source."""
    subject = with_source("ami-base")
    assert next_call([subject], version(build(subject)), QUIRKS) != AMI
    assert next_call([subject], version(build(subject), name="v1"), QUIRKS) is None
    unfinished = replace(subject, image=replace(subject.image, whole=False))
    assert next_call([unfinished], version(build(subject, full=False)), QUIRKS) is None
    plain = item()
    assert isinstance(next_call([plain], version(build(plain, full=False)), QUIRKS), FillBuild)


def test_the_tag_goes_before_what_the_cloud_knows() -> None:
    """A person who says it knows better; nobody who says nothing is asked about."""
    assert "ami-tag" == getattr(lookup(with_source("ami-cloud", "ami-tag")), "identifier", None)
    assert "ami-cloud" == getattr(lookup(with_source("ami-cloud")), "identifier", None)
    assert lookup(with_source(None)) is None


def test_the_one_complete_version_that_lists_the_image_is_its_parent() -> None:
    """Whichever of its builds list it, and although an open version lists it too."""
    assert FOUND == parent_version(AMI, [hit()])
    assert FOUND == parent_version(AMI, [hit(), hit(), hit(fingerprint="base-2", name="v0")])
    assert Parent() == parent_version(AMI, [])


def test_an_image_that_two_versions_list_has_no_certain_parent() -> None:
    """Nothing is guessed, the newer one neither; the report says so."""
    parent = parent_version(AMI, [hit(fingerprint="base-2", name="v4"), hit()])
    assert ("", "no parent is recorded: 2 versions list ami-base, base v3 and base v4 among them") == (
        parent.version_id,
        parent.note,
    )


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"name": "v0"}, "no parent is recorded: base base-1, which lists ami-base, is not complete yet"),
        ({"status": "VERSION_REVOKED"}, "no parent is recorded: base v3, which lists ami-base, is revoked"),
    ],
)
def test_a_version_that_is_open_or_revoked_is_no_parent(fields: dict[str, str], note: str) -> None:
    """A child of a revoked version is revoked at once, also one that other clouds are still filling."""
    parent = parent_version(AMI, [hit(**fields)])  # type: ignore[arg-type]  # the fields of the table
    assert ("", note) == (parent.version_id, parent.note)


def test_a_version_whose_revocation_is_only_scheduled_is_a_parent() -> None:
    """It is in use, and what is built from it is to follow it."""
    assert FOUND == parent_version(AMI, [hit(status="VERSION_REVOCATION_SCHEDULED")])


def test_a_version_is_never_its_own_parent() -> None:
    """Bucket names are compared without case."""
    assert Parent() == parent_version(AMI, [hit(bucket="Web", fingerprint="a1")])


@pytest.mark.parametrize(
    "other", [hit("ami-BASE"), hit("ami-base-2"), hit(platform="azure"), replace(hit(), version_id=""), hit(bucket="")]
)
def test_a_hit_that_is_not_the_very_image_is_passed_over(other: FoundArtifact) -> None:
    """How exactly HCP compares is not documented."""
    assert Parent() == parent_version(AMI, [other])


def test_azure_ids_are_compared_without_case() -> None:
    """ARM writes resource groups in changing case."""
    image = "/subscriptions/s/resourceGroups/RG/providers/Microsoft.Compute/images/base"
    asked = replace(AMI, platform="azure", identifier=image.replace("RG", "rg"))
    assert FOUND == parent_version(asked, [hit(image, platform="azure")])


@pytest.mark.parametrize(
    ("number", "label", "found"), [("", "7", True), ("7", "7", True), ("7", "", True), ("7", "8", False)]
)
def test_a_google_image_of_another_number_is_another_image(number: str, label: str, found: bool) -> None:
    """A name can be given again; a build of Packer's own carries no number and is taken at its word."""
    asked = FindParent("web", "a1", "gce", "base-img", number)
    parent = parent_version(asked, [hit("base-img", platform="gce", labels=(("image_id", label),) if label else ())])
    assert (FOUND if found else Parent()) == parent


@pytest.mark.parametrize(
    ("channels", "name"),
    [
        ([PRODUCTION], "base v3 (channel production)"),
        ([], "base v3"),
        ([PRODUCTION, replace(PRODUCTION, name="staging", id="ch-2")], "base v3"),
        ([replace(PRODUCTION, name="latest", managed=True)], "base v3"),
        ([replace(PRODUCTION, version_fingerprint="base-2")], "base v3"),
        ([replace(PRODUCTION, name="latest", managed=True, id="ch-0"), PRODUCTION], "base v3 (channel production)"),
    ],
)
def test_the_channel_is_the_one_that_a_person_points_to_the_parent(channels: list[Channel], name: str) -> None:
    """None or several leave the version alone; latest is nobody's choice."""
    parent = with_channel(FOUND, channels)
    assert (name, "ch-1" if "channel" in name else "") == (str(parent), parent.channel_id)


@dataclass
class Registry:
    """Answers a search and a list of channels, or raises; ``asked`` is what it was asked."""

    hits: Sequence[FoundArtifact] | PublisherError = ()
    channels: Sequence[Channel] | PublisherError = ()
    asked: list[object] = field(default_factory=list)

    def search(self, asked: FindParent) -> Sequence[FoundArtifact]:
        self.asked.append(asked)
        if isinstance(self.hits, PublisherError):
            raise self.hits
        return self.hits

    def list_channels(self, bucket: str) -> Sequence[Channel]:
        self.asked.append(bucket)
        if isinstance(self.channels, PublisherError):
            raise self.channels
        return self.channels


REFUSALS: list[Callable[[], PublisherError]] = [
    lambda: RegistryRefused("no such feature", code=12, status=501),
    lambda: RegistryRefused("no such feature", code=5, status=404),
    lambda: Forbidden("no such feature"),
    lambda: RegistryInactive("no such feature"),
]


def test_an_image_of_azure_is_searched_for_as_it_is_registered_and_as_its_tag_spells_it() -> None:
    """We register one spelling, Packer that of its template, and HCP's search may compare exactly."""
    rest = "providers/Microsoft.Compute/images/Base"
    tagged = f"/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/Images/{rest}"
    ours = f"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/images/{rest}"
    for listed in (tagged, ours):
        exact = {listed: [hit(listed, platform="azure")]}
        asked: list[str] = []

        def search(call: FindParent, exact: dict[str, list[FoundArtifact]] = exact) -> list[FoundArtifact]:
            asked.append(call.identifier)  # noqa: B023 (called within this turn of the loop)
            return exact.get(call.identifier, [])

        parent = find_parent(FindParent("web", "a1", "azure", tagged), search, Registry().list_channels)
        assert ("base-1", [ours, tagged]) == (parent.fingerprint, asked)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_holds_no_image_back(refusal: Callable[[], PublisherError]) -> None:
    """Whatever HCP does not offer or allow is left out, and said."""
    assert Parent(note="the parent was not looked up: no such feature") == find_parent(
        AMI, Registry(refusal()).search, Registry().list_channels
    )
    parent = find_parent(AMI, Registry([hit()]).search, Registry(channels=refusal()).list_channels)
    assert replace(FOUND, note="the channel of the parent was not looked up: no such feature") == parent


@pytest.mark.parametrize("trouble", [RegistryTrouble("down"), CredentialsTrouble("expired")])
def test_trouble_keeps_the_event(trouble: PublisherError) -> None:
    """Parents are set once, so a hiccup must not lose them."""
    with pytest.raises(type(trouble)):
        find_parent(AMI, Registry(trouble).search, Registry().list_channels)
    with pytest.raises(type(trouble)):
        find_parent(AMI, Registry([hit()]).search, Registry(channels=trouble).list_channels)


def ask(memory: Ancestors, registry: Registry, now: float, asked: FindParent = AMI, project: str = "p") -> Parent:
    return memory.find(asked, project, now, registry.search, registry.list_channels)


def test_a_burst_of_builds_from_one_image_searches_once() -> None:
    """Whichever version they belong to; after a minute, and in another HCP project, it is asked again."""
    memory, registry = Ancestors(), Registry([hit()], [PRODUCTION])
    assert "base v3 (channel production)" == str(ask(memory, registry, 0))
    assert ask(memory, registry, 0) == ask(memory, registry, 59, FindParent("db", "b7", "aws", "ami-base"))
    assert [AMI, "base"] == registry.asked
    ask(memory, registry, SECONDS)
    assert [AMI, "base"] * 2 == registry.asked
    ask(memory, registry, SECONDS, project="q")
    assert [AMI, "base"] * 3 == registry.asked


def test_what_is_not_registered_is_remembered_until_a_version_here_lists_it() -> None:
    """A function that has just completed the parent itself knows better at once."""
    memory, registry = Ancestors(), Registry()
    assert (Parent(), Parent()) == (ask(memory, registry, 0), ask(memory, registry, 1))
    assert [AMI] == registry.asked
    base = replace(build(item()), artifacts=frozenset({Artifact("eu-west-1", "ami-base")}))
    memory.forget(version(base, name="v1"))
    registry.hits = [hit()]
    assert FOUND == ask(memory, registry, 2)


@pytest.mark.parametrize("fields", [{"name": "v0"}, {"status": "VERSION_REVOKED"}])
def test_what_may_change_any_moment_is_not_remembered(fields: dict[str, str]) -> None:
    """An open version may be complete for the next image, a revoked one restored."""
    memory, registry = Ancestors(), Registry([hit(**fields)])  # type: ignore[arg-type]  # the fields of the table
    assert "" == ask(memory, registry, 0).version_id
    registry.hits = [hit()]
    assert FOUND == ask(memory, registry, 1)


def test_a_process_does_not_remember_without_end() -> None:
    """The oldest answer goes first."""
    memory, registry = Ancestors(), Registry()
    for number in range(REMEMBERED + 1):
        ask(memory, registry, 0, replace(AMI, identifier=f"ami-{number}"))
    ask(memory, registry, 1, replace(AMI, identifier=f"ami-{REMEMBERED}"))
    assert REMEMBERED + 1 == len(registry.asked)
    ask(memory, registry, 1, replace(AMI, identifier="ami-0"))
    assert REMEMBERED + 2 == len(registry.asked)


def test_a_tag_may_name_what_the_placement_of_a_google_image_calls_by_number() -> None:
    """The number is asked for beside the name, and never sent as the source."""
    subject = item(Platform.GCE)
    placement = replace(subject.placement, source_image="base-img", source_number="7718")
    asked = lookup(Item(subject.image, placement))
    assert FindParent("web", "a1", "gce", "base-img", "7718") == asked
