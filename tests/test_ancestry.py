"""Ancestry over HTTP: the parent is recorded with the fill, and nothing about it ever holds an image back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.image import Artifact, ImageRef, Platform
from packer_publisher.local.registry_switches import Switches
from packer_publisher.policy import BucketPolicy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome, Report
from tests.bench.call_counts import of_reads_behind
from tests.publishing import Service, service
from tests.registered import parents_of, point, register
from tests.simulation.world import event
from tests.switches import completing, setting

GROUP = "/subscriptions/sub-1/resourceGroups/base/providers/Microsoft.Compute/images"
BASE = Artifact("westeurope", f"{GROUP}/base-1")
SEARCH, CHANNELS, UPDATE = "SearchExternalArtifact", "ListChannels", "UpdateBuild"


def image(at: Service, fingerprint: str = "a1", source: str = BASE.external_identifier, **tags: str) -> ImageRef:
    """Add an image that names what it was built from, the only one of its version."""
    named = {"hcp-packer-source-image": source} if source else {}
    contract = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-expects": "azure"}
    (ref,) = at.world.add(Platform.AZURE, "sub-1", f"web-{fingerprint}", ["westeurope"], contract | named | tags)
    return ref


def prepare(at: Service, **base: Any) -> str:
    """Create the bucket, and the base image's version in its own; return that version's id."""
    at.bucket()
    version_id = register(at.registry.model, "azure", BASE, **({"channels": ["production"]} | base))
    at.clock.forward(minutes=5)
    return version_id


def recorded(at: Service, fingerprint: str = "a1") -> list[tuple[str, str, str]]:
    return parents_of(at.registry.model, "web", fingerprint)


def operations(at: Service, function: Publisher, ref: ImageRef) -> tuple[Report, list[str]]:
    """Deliver an event; return the report and what the registry was asked."""
    before = at.registry.requests.count()
    report, _ = at.deliver(function, ref)
    return report, at.registry.requests.operations()[before:]


def test_the_parent_and_its_channel_are_recorded_and_grow_old() -> None:
    """HCP says that the image is up to date, until the channel moves to a newer base image."""
    with service() as at:
        prepare(at)
        report, _ = at.deliver(at.function(), image(at))
        assert (completing(), "base v1 (channel production)", ()) == (
            report.outcome,
            report.parent,
            report.notes,
        )
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)
        register(at.registry.model, "azure", Artifact("westeurope", f"{GROUP}/base-2"), fingerprint="base-2")
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)
        point(at.registry.model, "production", "base-2")
        assert [("base v1", "production", "OUT_OF_DATE")] == recorded(at)


@pytest.mark.switches(read_after_write="fresh", unset_to_done="accept")
def test_source_parents_and_metadata_travel_with_the_one_update() -> None:
    """Only reads are added: a search, and the channels where a parent was found."""
    with service() as at:
        prepare(at)
        run = "https://gitlab.com/acme/web/-/pipelines/99"
        report, asked = operations(at, at.function(), image(at, **{"git-commit": "3f2a91c", "ci-run": run}))
        assert completing() == report.outcome
        assert ["GetVersion", "CreateVersion", "CreateBuild", SEARCH, CHANNELS, UPDATE, "GetVersion"] == asked
        (build,) = at.registry.model.get_version("web", "a1")["version"]["builds"]
        assert BASE.external_identifier == build["source_external_identifier"]
        assert "3f2a91c" == build["labels"]["git_sha"]
        assert {
            "packer": {},
            "vcs": {"type": "git", "details": {"commit": "3f2a91c"}},
            "cicd": {
                "type": "gitlab",
                "details": {"CI_PIPELINE_URL": run, "CI_PROJECT_URL": "https://gitlab.com/acme/web"},
            },
        } == build["metadata"]
        assert "00000000-0000-0000-0000-000000000000" == build["packer_run_uuid"]  # the run of nobody


def test_without_a_source_nothing_is_asked_and_without_a_fill_neither() -> None:
    """A duplicate, and an image that does not say what it was built from."""
    with service() as at:
        prepare(at)
        function, ref = at.function(), image(at)
        at.deliver(function, ref)
        assert ["GetVersion"] == operations(at, function, ref)[1]
        _, asked = operations(at, function, image(at, "a2", source=""))
        assert {SEARCH, CHANNELS}.isdisjoint(asked)


def test_an_image_that_is_not_registered_has_no_parent_and_no_note() -> None:
    """Most base images are a vendor's; one search, and nobody is told."""
    with service() as at:
        prepare(at)
        report, asked = operations(at, at.function(), image(at, source=f"{GROUP}/vendor"))
        assert (completing(), "", ()) == (report.outcome, report.parent, report.notes)
        assert (1, 0, []) == (asked.count(SEARCH), asked.count(CHANNELS), recorded(at))


@pytest.mark.switches(completion_lag=0.0, search_lag=0.0)
def test_a_process_that_completes_the_base_image_itself_knows_it_at_once() -> None:
    """What it found out just before is forgotten."""
    with service() as at:
        at.bucket()
        function = at.function(BucketPolicy(create_bucket=True))
        tags = {"hcp-packer-bucket": "base", "hcp-packer-fingerprint": "b1", "hcp-packer-expects": "azure"}
        (base,) = at.world.add(Platform.AZURE, "sub-1", "base", ["westeurope"], tags)
        first, _ = at.deliver(function, image(at, "a1", base.identifier))
        at.deliver(function, base)
        second, _ = at.deliver(function, image(at, "a2", base.identifier))
        assert ("", "base v1") == (first.parent, second.parent)


NOT_LOOKED_UP = "the parent was not looked up: SearchExternalArtifact of image "


@pytest.mark.parametrize(
    ("status", "code"), [(501, 12), (404, 5), (403, 7), (400, 3), (400, 9), (404, 0), (405, 0)], ids=str
)
@pytest.mark.parametrize("operation", [SEARCH, CHANNELS])
def test_a_registry_that_refuses_to_tell_holds_no_image_back(operation: str, status: int, code: int) -> None:
    """The image is registered, with what was found out until then, and the report says what is missing."""
    with service() as at:
        prepare(at)
        body = json.dumps({"code": code, "message": "no such thing"}) if code else "<html>no such thing</html>"
        at.registry.faults.answer(operation, status, body=body)
        report, _ = at.deliver(at.function(), image(at))
        assert completing() == report.outcome
        (note,) = report.notes
        parents = {SEARCH: [], CHANNELS: [("base v1", "", "UP_TO_DATE")]}
        beginning = {SEARCH: NOT_LOOKED_UP, CHANNELS: "the channel of the parent was not looked up: ListChannels of"}
        assert note.startswith(beginning[operation])
        assert "no such thing" in note
        assert parents[operation] == recorded(at)
        at.registry.faults.assert_consumed()


@pytest.mark.parametrize("operation", [SEARCH, CHANNELS])
@pytest.mark.parametrize("status", [401, 503])
def test_trouble_keeps_the_event_until_the_parent_is_known(operation: str, status: int) -> None:
    """Parents are set once: what a hiccup loses is lost."""
    with service() as at:
        prepare(at)
        function, ref = at.function(), image(at)
        times = 6 if status > 500 else 2  # so often a read is repeated, and a token renewed
        at.registry.faults.answer(operation, status, body='{"code": 14, "message": "busy"}', times=times)
        report = function.on_event(event(ref, at=at.clock()), Deadline.after(600, sleep=lambda _: None))
        assert Outcome.DEFERRED == report.outcome
        assert [] == [b for b in at.registry.model.get_version("web", "a1")["version"]["builds"] if b["platform"]]
        report, _ = at.deliver(function, ref)
        assert completing() == report.outcome
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)


REFUSED = ("HCP refused base v1 (channel production) as the parent: the build was filled without it",)


@pytest.mark.switches(read_after_write="fresh", unset_to_done="accept")
@pytest.mark.parametrize(("status", "code"), [(404, 5), (400, 3), (400, 9), (409, 6), (403, 7), (400, 6)], ids=str)
def test_a_parent_that_hcp_refuses_is_left_out(status: int, code: int) -> None:
    """Refused twice, the same update is made without the parents; the report says so, and nothing else is missing."""
    with service() as at:
        prepare(at)
        at.registry.faults.answer(UPDATE, status, body=json.dumps({"code": code, "message": "the parent"}), times=2)
        report, asked = operations(at, at.function(), image(at))
        assert (completing(), "", REFUSED) == (report.outcome, report.parent, report.notes)
        assert (3, []) == (asked.count(UPDATE), recorded(at))
        (build,) = at.registry.model.get_version("web", "a1")["version"]["builds"]
        assert (BASE.external_identifier, "BUILD_DONE") == (build["source_external_identifier"], build["status"])
        at.registry.faults.assert_consumed()


def test_a_parent_that_hcp_calls_invalid_does_not_reject_an_image_that_waits_for_others() -> None:
    """An invalid update is the image's own fault, unless it holds something that the image can do without."""
    with service() as at:
        prepare(at)
        at.registry.faults.answer(UPDATE, 400, body='{"code": 3, "message": "the parent"}', times=2)
        report, _ = at.deliver(at.function(), image(at, **{"hcp-packer-expects": "azure gce"}))
        assert (Outcome.REGISTERED, REFUSED) == (report.outcome, report.notes)


def test_a_parent_that_is_deleted_in_between_is_left_out() -> None:
    """Nobody can tell why HCP refuses; without the parent it does not."""
    with service() as at:
        prepare(at)
        function = at.function()
        at.deliver(function, image(at))  # the process remembers the parent for a minute
        at.registry.model.delete_version("base", "base-1", rollback_channels=True)
        report, _ = at.deliver(function, image(at, "a2"))
        assert (completing(), REFUSED) == (report.outcome, report.notes)
        assert [] == recorded(at, "a2")


def test_one_refusal_does_not_cost_an_image_its_parent() -> None:
    """The first may be a read that lagged behind: parents are set once, so they are tried again."""
    with service() as at:
        prepare(at)
        at.registry.faults.answer(UPDATE, 404, body='{"code": 5, "message": "not found"}')
        report, _ = at.deliver(at.function(), image(at))
        assert (completing(), ()) == (report.outcome, report.notes)
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)


def test_a_refusal_for_another_reason_costs_no_image_its_parent() -> None:
    """A registry that wants RUNNING before DONE refuses without the parent, too; so that is what is learned."""
    with service() as at:
        prepare(at)
        at.registry.model.switches = setting(unset_to_done="refuse")
        function = at.function()
        for fingerprint in ("a1", "a2"):
            report, calls = at.deliver(function, image(at, fingerprint))
            assert (completing(), ()) == (report.outcome, report.notes)
            assert [("base v1", "production", "UP_TO_DATE")] == recorded(at, fingerprint)
        assert 8 + of_reads_behind() >= calls


@pytest.mark.switches(read_after_write="fresh", unset_to_done="accept")
def test_a_lost_reply_is_looked_for_and_not_written_again() -> None:
    """The update with the parents may have happened: what the next read shows decides."""
    with service() as at:
        prepare(at)
        at.registry.faults.lose_reply(UPDATE)
        report, asked = operations(at, at.function(), image(at))
        assert completing() == report.outcome
        assert 1 == asked.count(UPDATE)
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)


@pytest.mark.parametrize("switches", list(Switches.variations()), ids=lambda switches: str(switches.deviations()))
def test_whatever_is_not_known_of_hcp_the_parent_is_recorded(switches: Switches) -> None:
    """Under every setting of every switch the version completes, with its parent, and with no note."""
    with service() as at:
        prepare(at)
        at.registry.model.switches = switches
        report, _ = at.deliver(at.function(), image(at))
        at.clock.forward(minutes=1)
        assert (completing(switches), ()) == (report.outcome, report.notes)
        assert [("base v1", "production", "UP_TO_DATE")] == recorded(at)


def test_a_search_that_lags_costs_the_parent_quietly() -> None:
    """An image whose base was registered a moment ago is registered without it, and nobody is alarmed."""
    with service(search_lag=60.0) as at:
        at.bucket()
        register(at.registry.model, "azure", BASE, just_now=True)
        report, _ = at.deliver(at.function(), image(at))
        assert (completing(), "", ()) == (report.outcome, report.parent, report.notes)


def test_a_dry_run_shows_the_parent_and_writes_nothing() -> None:
    """The same plan, printed instead of applied."""
    with service() as at:
        prepare(at)
        report = at.function().publish(image(at), Deadline.after(30), dry_run=True).report
        assert (Outcome.COMPLETED, "base v1 (channel production)") == (report.outcome, report.parent)
        assert {"GET", "POST"} == {r.method for r in at.registry.requests.calls()}
        assert [SEARCH] == [r.operation for r in at.registry.requests.calls() if r.method == "POST"]


def test_whoever_tags_an_image_cannot_have_the_version_revoked_at_once() -> None:
    """A revoked version is named as the parent: the image is registered without it, and the version stays valid."""
    with service() as at:
        prepare(at)
        at.registry.model.update_version("base", "base-1", {"revoke_in": "0s"})
        report, _ = at.deliver(at.function(), image(at))
        assert completing() == report.outcome
        note = f"no parent is recorded: base v1, which lists {BASE.external_identifier}, is revoked"
        assert (note,) == report.notes
        at.lag()
        assert "VERSION_ACTIVE" == at.registry.model.get_version("web", "a1")["version"]["status"]
