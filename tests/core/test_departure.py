"""Images that are gone, rule by rule, on snapshots made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packer_publisher.departure import (
    MOST_LISTED,
    Case,
    Finding,
    Listed,
    Look,
    LookAgain,
    Sight,
    images_of,
    next_move,
    suspects,
)
from packer_publisher.image import Artifact, ImageRef, Platform
from packer_publisher.labels import ABANDONED, GONE, MARKER, gone_from, labels_with_gone
from packer_publisher.report import Outcome
from packer_publisher.snapshot import Build, BuildStatus, Version, label_pairs
from packer_publisher.steps import RevokeVersion, SetLabels
from tests.core.snapshots import T0, WEB, build, item, version

OWNER = "aws:111111111111"
FIRST, SECOND = "ami-0aaaaaaaaaaaaaaa1", "ami-0aaaaaaaaaaaaaaa2"
REGIONS = {FIRST: "eu-west-1", SECOND: "us-east-1"}
LATER = T0 + timedelta(hours=2)


def aws(identifier: str = FIRST) -> Listed:
    """Return an AMI as a build lists it."""
    return Listed(ImageRef(Platform.AWS, "111111111111", REGIONS[identifier], identifier))


def two_regions(status: BuildStatus = BuildStatus.DONE, **fields: object) -> Build:
    """Return a build of ours that lists one AMI in each of two regions, registered at T0."""
    artifacts = frozenset(Artifact(region, identifier) for identifier, region in REGIONS.items())
    return replace(build(item(), status), **{"artifacts": artifacts, "artifacts_created_at": T0, **fields})  # type: ignore[arg-type]


def complete(*builds: Build, **fields: object) -> Version:
    """Return a complete version, read two hours after its images were registered."""
    return version(*builds, **{"name": "v1", "status": "VERSION_ACTIVE", "read_at": LATER, **fields})


def open_version(*builds: Build, **fields: object) -> Version:
    """Return an open version, read two hours after its images were registered."""
    return version(*builds, **{"read_at": LATER, **fields})


def event(*sights: tuple[Listed, Sight], revoke: bool = True) -> Case:
    """Return the case of an event that says the first AMI was deleted, and of what was seen since."""
    return Case(OWNER, (aws(),), revoke, ((aws(), Sight.GONE), *sights))


def message(*sights: tuple[Listed, Sight], revoke: bool = True) -> Case:
    """Return the case of a second look at both AMIs, and of what was seen since."""
    return Case(OWNER, (aws(), aws(SECOND)), revoke, sights)


def test_a_version_is_revoked_when_everything_that_it_lists_is_gone() -> None:
    """Each image by its event, or because it was not to be found twice."""
    move = next_move(event((aws(SECOND), Sight.ABSENT_AGAIN)), complete(two_regions()))
    names = f"{FIRST} (eu-west-1), {SECOND} (us-east-1)"
    assert RevokeVersion(*WEB, f"packer-publisher: every image of this version is gone: {names}") == move
    twice = message((aws(), Sight.ABSENT_AGAIN), (aws(SECOND), Sight.ABSENT_AGAIN))
    assert move == next_move(twice, complete(two_regions()))


def test_what_no_event_told_of_is_looked_for_and_then_once_more() -> None:
    """One look in vain is no evidence: it only asks for the second one."""
    at = complete(two_regions())
    assert Look(aws(SECOND)) == next_move(event(), at)
    move = next_move(event((aws(SECOND), Sight.ABSENT)), at)
    assert isinstance(move, LookAgain)
    assert (aws(), aws(SECOND)) == move.images


@pytest.mark.parametrize(
    ("sight", "why"),
    [(Sight.THERE, f"{SECOND} (us-east-1) is there"), (Sight.HIDDEN, f"{SECOND} (us-east-1) cannot be looked for")],
)
def test_one_image_that_is_there_or_hidden_keeps_its_version(sight: Sight, why: str) -> None:
    """A region that denies access does not say that an image is gone."""
    move = next_move(event((aws(SECOND), sight)), complete(two_regions()))
    assert isinstance(move, Finding)
    stays = "version a1 (v1) of bucket web stays as it is, although it lists what is gone"
    assert (Outcome.UNCHANGED, f"{stays}: {why}") == (move.outcome, move.reason)


@pytest.mark.parametrize(
    ("stranger", "named"),
    [
        (build(item(Platform.AZURE), BuildStatus.DONE), "azure-arm of azure:sub-1"),
        (replace(build(item(Platform.AZURE), BuildStatus.DONE), labels=()), "azure-arm of a run of Packer"),
        (replace(build(item(Platform.AZURE), BuildStatus.DONE), packer_run_uuid="u"), "azure-arm of azure:sub-1"),
        (Build("x", "null.x", BuildStatus.DONE), "null.x of a run of Packer"),
    ],
    ids=["another owner", "Packer", "taken up by Packer", "Packer, without an image"],
)
def test_a_version_that_holds_what_is_not_ours_is_never_revoked(stranger: Build, named: str) -> None:
    """Whoever else may have images in it: nobody else can tell whether they are gone."""
    move = next_move(event((aws(SECOND), Sight.ABSENT_AGAIN)), complete(two_regions(), stranger))
    assert isinstance(move, Finding)
    assert Outcome.UNCHANGED == move.outcome
    assert move.reason.endswith(f"it also holds {named}")


def test_an_empty_build_of_ours_does_not_stand_in_the_way() -> None:
    """A placeholder that a person did without lists no image."""
    empty = build(item(Platform.AZURE), BuildStatus.DONE, full=False, owner=False)
    move = next_move(event((aws(SECOND), Sight.ABSENT_AGAIN)), complete(two_regions(), empty))
    assert isinstance(move, RevokeVersion)


def test_under_ignore_nothing_complete_is_touched() -> None:
    """The configuration may have changed between the two looks."""
    move = next_move(message(revoke=False), complete(two_regions()))
    assert (
        Finding(Outcome.IGNORED, "version a1 (v1) of bucket web is complete, and on_delete: ignore leaves it as it is")
        == move
    )


def test_what_was_registered_less_than_an_hour_ago_is_not_missed() -> None:
    """The event is kept until it is old enough; the image that its own event tells of may be as young as it is."""
    young = complete(two_regions(), read_at=T0 + timedelta(minutes=40))
    move = next_move(event((aws(SECOND), Sight.ABSENT)), young)
    assert isinstance(move, Finding)
    assert (Outcome.DEFERRED, 20 * 60) == (move.outcome, move.retry_after)
    assert Outcome.DEFERRED == getattr(next_move(message(*_both(Sight.ABSENT_AGAIN)), young), "outcome", None)
    assert isinstance(next_move(event((aws(SECOND), Sight.GONE)), young), RevokeVersion)


def _both(sight: Sight) -> tuple[tuple[Listed, Sight], tuple[Listed, Sight]]:
    return (aws(), sight), (aws(SECOND), sight)


def test_an_age_that_nobody_knows_is_no_age() -> None:
    """Without the registry's own clock, or without a time on the build, nothing is missed."""
    for at in (
        complete(two_regions(), read_at=None),
        complete(two_regions(artifacts_created_at=None, created_at=None)),
    ):
        assert Outcome.DEFERRED == getattr(next_move(message(*_both(Sight.ABSENT_AGAIN)), at), "outcome", None)


@pytest.mark.parametrize(
    ("status", "sent", "outcome", "reason"),
    [
        ("VERSION_REVOKED", False, Outcome.UNCHANGED, "version a1 (v1) of bucket web is revoked already"),
        (
            "VERSION_REVOCATION_SCHEDULED",
            False,
            Outcome.UNCHANGED,
            "version a1 (v1) of bucket web is going to be revoked already",
        ),
        (
            "VERSION_REVOKED",
            True,
            Outcome.REVOKED,
            "version a1 (v1) of bucket web is revoked: every image of it is gone",
        ),
    ],
)
def test_a_version_that_is_revoked_is_left_alone(status: str, sent: bool, outcome: Outcome, reason: str) -> None:
    """Also where a person has scheduled it; after a lost reply the next read tells that it was done."""
    move = next_move(replace(event(), sent=sent), complete(two_regions(), status=status))
    assert isinstance(move, Finding)
    assert (outcome, reason) == (move.outcome, move.reason)


def test_a_version_of_more_images_than_can_be_looked_for_is_left_alone() -> None:
    """Each image costs a question, and all of them must fit into one message."""
    many = frozenset(Artifact("eu-west-1", f"ami-{number:08x}") for number in range(MOST_LISTED + 1))
    case = Case(OWNER, (Listed(ImageRef(Platform.AWS, "111111111111", "eu-west-1", "ami-00000000")),), revoke=True)
    move = next_move(case, complete(two_regions(artifacts=many)))
    assert isinstance(move, Finding)
    assert (Outcome.UNCHANGED, True) == (move.outcome, move.reason.endswith("it lists more than 64 images"))


def test_in_an_open_version_the_image_is_noted_on_its_build() -> None:
    """Whatever the configuration says: that revokes nothing, and it keeps a broken version from completing."""
    at = open_version(two_regions(BuildStatus.UNSET))
    move = next_move(event(revoke=False), at)
    assert isinstance(move, SetLabels)
    assert {GONE: FIRST, MARKER: "1", "image-owner": OWNER}.items() <= dict(move.labels).items()
    told = next_move(event(), at.with_build(replace(at.builds[0], labels=move.labels)))
    assert isinstance(told, Finding)
    assert (
        Outcome.WAITING,
        f"version a1 of bucket web is not finished, because its build amazon-ebs lists what is gone: {FIRST}",
        "build it again with a new fingerprint, or abandon it: packer-publisher versions abandon web a1",
        ("amazon-ebs",),
    ) == (told.outcome, told.reason, told.remedy, told.waits_for)


def test_a_version_that_a_person_has_abandoned_is_left_as_it_is() -> None:
    """Nobody goes on with it, and so nobody looks for its images; where that is taken back, a sweep misses them."""
    held = two_regions(BuildStatus.UNSET)
    at = open_version(replace(held, labels=label_pairs({**dict(held.labels), ABANDONED: "by me"})))
    told = Finding(Outcome.UNCHANGED, "version a1 of bucket web was abandoned, so nothing is noted in it")
    assert told == next_move(event(), at)
    assert () == suspects(at, OWNER, [])


def test_a_second_image_of_a_build_is_noted_beside_the_first() -> None:
    """Each comes back for itself."""
    at = open_version(two_regions(BuildStatus.UNSET))
    noted = replace(at.builds[0], labels=labels_with_gone(at.builds[0], [SECOND]))
    move = next_move(event(), open_version(noted))
    assert isinstance(move, SetLabels)
    assert frozenset({FIRST, SECOND}) == gone_from(replace(noted, labels=move.labels))


def test_in_an_open_version_a_single_look_notes_nothing() -> None:
    """Twice in vain, for an image that is old enough, is what it takes."""
    at = open_version(two_regions(BuildStatus.UNSET))
    assert Look(aws()) == next_move(message(), at)
    for sight in (Sight.ABSENT, Sight.THERE, Sight.HIDDEN):
        assert isinstance(next_move(message(*_both(sight)), at), Finding)
    assert isinstance(next_move(message(*_both(Sight.ABSENT_AGAIN)), at), SetLabels)
    young = replace(at, read_at=T0 + timedelta(minutes=59))
    assert isinstance(next_move(message(*_both(Sight.ABSENT_AGAIN)), young), Finding)


def test_a_build_that_is_done_cannot_be_changed_and_is_reported() -> None:
    """Somebody must know, because the version will complete with it."""
    empty = build(item(Platform.AZURE), full=False, owner=False)
    move = next_move(event(), open_version(two_regions(BuildStatus.DONE), empty))
    assert isinstance(move, Finding)
    assert (
        Outcome.WAITING,
        f"version a1 of bucket web lists what is gone, in a build that is DONE already: {FIRST} (eu-west-1)",
    ) == (move.outcome, move.reason)
    assert move.remedy.endswith("packer-publisher versions abandon web a1")


@pytest.mark.parametrize("at", [complete, open_version])
def test_what_another_owner_lists_is_not_judged(at: object) -> None:
    """The same AMI id under another owner's name, or in a build that Packer has taken up."""
    case = replace(event(), owner="aws:222222222222")
    for at_work, case_of in ((two_regions(), case), (two_regions(packer_run_uuid="u"), event())):
        move = next_move(case_of, at(at_work))  # type: ignore[operator]
        assert isinstance(move, Finding)
        assert Outcome.IGNORED == move.outcome


def test_a_version_that_does_not_exist_any_more() -> None:
    """Somebody has deleted it; unless HCP's own search has just found it, which one of its two answers belies."""
    assert Finding(Outcome.IGNORED, "version a1 of bucket web does not exist (any more)") == next_move(
        event(), Version(*WEB)
    )
    assert Outcome.DEFERRED == getattr(next_move(replace(event(), searched=True), Version(*WEB)), "outcome", None)


def test_an_azure_id_is_the_same_in_any_case_and_a_google_name_only_with_its_number() -> None:
    """ARM changes the casing of what it returns; a Google name can be given again to another image."""
    ref = ImageRef(Platform.AZURE, "sub-1", "", "/subscriptions/sub-1/resourceGroups/Rg/x")
    spelled = replace(ref, identifier="/subscriptions/SUB-1/resourcegroups/rg/X", owner_id="SUB-1")
    assert Listed(ref).is_same(Listed(spelled))
    google = ImageRef(Platform.GCE, "project-1", "", "web-1")
    assert Listed(google, "7").is_same(Listed(google, "7"))
    assert Listed(google, "7").is_same(Listed(google))
    assert not Listed(google, "7").is_same(Listed(google, "8"))
    assert not aws().is_same(replace(aws(), ref=replace(aws().ref, region="us-east-1")))


def test_a_build_lists_each_image_once_where_its_cloud_would_show_it() -> None:
    """A gallery version is one image in many regions, an AMI lives in its own; a project's id may hold a colon."""
    azure = item(Platform.AZURE)
    artifacts = frozenset(Artifact(region, "/subscriptions/sub-1/x") for region in ("eastus", "westeurope"))
    assert (Listed(ImageRef(Platform.AZURE, "sub-1", "", "/subscriptions/sub-1/x")),) == images_of(
        replace(build(azure), artifacts=artifacts)
    )
    google = item(Platform.GCE, owner="example.com:img")
    labelled = replace(build(google), labels=(*build(google).labels, ("image_id", "7")))
    assert (Listed(ImageRef(Platform.GCE, "example.com:img", "", "gce-image"), "7"),) == images_of(labelled)
    assert () == images_of(replace(build(google), labels=((MARKER, "1"), ("image-owner", "docker:x"))))


def test_suspect_is_what_own_open_builds_list_and_the_scan_has_not_seen() -> None:
    """Not what is DONE, noted already, too young, another owner's, or in a version that is complete."""
    seen = [replace(item().image, ref=aws(SECOND).ref)]
    held = two_regions(BuildStatus.UNSET)
    assert (aws(),) == suspects(open_version(held), OWNER, seen)
    noted = replace(held, labels=labels_with_gone(held, [FIRST]))
    for at in (
        open_version(noted),
        open_version(two_regions(BuildStatus.DONE)),
        open_version(held, read_at=T0 + timedelta(minutes=59)),
        open_version(replace(held, packer_run_uuid="u")),
        complete(held),
        Version(*WEB),
    ):
        assert () == suspects(at, OWNER, seen)
    assert () == suspects(open_version(held), "aws:222222222222", seen)


def test_a_name_that_was_given_again_does_not_hide_the_image_that_had_it() -> None:
    """On Google Cloud the number tells them apart."""
    google = item(Platform.GCE)
    held = replace(build(google), labels=(*build(google).labels, ("image_id", "7")), artifacts_created_at=T0)
    again = replace(google.image, identity=(("image_id", "8"),))
    assert [Listed(google.image.ref, "7")] == list(suspects(open_version(held), "gce:project-1", [again]))
    assert () == suspects(open_version(held), "gce:project-1", [replace(again, identity=(("image_id", "7"),))])


def test_a_message_to_hcp_names_as_many_images_as_fit() -> None:
    """The length that HCP accepts is not documented."""
    many = frozenset(Artifact("eu-west-1", f"ami-{number:017x}") for number in range(MOST_LISTED))
    sights = tuple(
        (Listed(ImageRef(Platform.AWS, "111111111111", "eu-west-1", a.external_identifier)), Sight.GONE) for a in many
    )
    move = next_move(Case(OWNER, (sights[0][0],), revoke=True, sights=sights), complete(two_regions(artifacts=many)))
    assert isinstance(move, RevokeVersion)
    named = move.message.count("ami-")
    assert len(move.message) <= 820
    assert move.message.endswith(f", and {MOST_LISTED - named} more")
