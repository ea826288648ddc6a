"""What a process learns about the registry it talks to, and what it must not learn by mistake."""

from __future__ import annotations

from packer_publisher.image import ImageRef, Platform
from packer_publisher.policy import BucketPolicy
from packer_publisher.report import Outcome
from tests.bench.call_counts import of_reads_behind
from tests.publishing import Service, service
from tests.switches import completing, fresh

REGIONS = ["westeurope", "eastus"]


def gallery_version(at: Service, fingerprint: str = "a1") -> ImageRef:
    """Add an image with one identifier in two regions, as a gallery version is."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": fingerprint, "hcp-packer-expects": "azure-arm"}
    (ref,) = at.world.add(Platform.AZURE, "sub-1", f"web-{fingerprint}", REGIONS, tags)
    return ref


def regions(at: Service, fingerprint: str = "a1") -> set[str]:
    version = fresh(at.registry.model).get_version("web", fingerprint)["version"]
    return {artifact["region"] for build in version["builds"] for artifact in build["artifacts"]}


def test_a_registry_that_refuses_an_identifier_twice_gets_packers_single_region() -> None:
    """The outcome says so, and the process knows it for the next image."""
    with service(same_identifier_twice="refuse", unset_to_done="accept") as at:
        at.bucket()
        function = at.function()
        report, _ = at.deliver(function, gallery_version(at))
        assert Outcome.COMPLETED == report.outcome
        assert ("HCP refuses one identifier in several regions: only the image's own region is listed",) == report.notes
        assert {"westeurope"} == regions(at)
        report, calls = at.deliver(function, gallery_version(at, "a2"))
        assert (Outcome.COMPLETED, 4) == (report.outcome, calls)
        assert {"westeurope"} == regions(at, "a2")


def test_a_registry_that_wants_running_before_done_loses_no_region() -> None:
    """Another refusal with another code: all regions are listed, and RUNNING is sent just before DONE."""
    with service(unset_to_done="refuse", same_identifier_twice="accept") as at:
        at.bucket()
        function = at.function()
        report, _ = at.deliver(function, gallery_version(at))
        assert (completing(), ()) == (report.outcome, report.notes)
        assert set(REGIONS) == regions(at)
        report, calls = at.deliver(function, gallery_version(at, "a2"))
        assert completing() == report.outcome
        assert set(REGIONS) == regions(at, "a2")
        assert 8 + of_reads_behind() >= calls


def test_both_at_once() -> None:
    """Each refusal teaches its own lesson."""
    with service(unset_to_done="refuse", same_identifier_twice="refuse") as at:
        at.bucket()
        report, _ = at.deliver(at.function(), gallery_version(at))
        assert completing() == report.outcome
        assert {"westeurope"} == regions(at)


def test_contradictory_answers_end_soon_and_keep_the_event() -> None:
    """A bucket that is missing and exists at once is nothing that more calls would settle."""
    with service() as at:
        at.registry.faults.answer("CreateVersion", 404, body='{"code": 5, "message": "no bucket"}', times=99)
        at.registry.faults.answer("CreateBucket", 409, body='{"code": 6, "message": "exists"}', times=99)
        report, calls = at.deliver(at.function(BucketPolicy(create_bucket=True)), gallery_version(at))
        assert Outcome.DEFERRED == report.outcome
        assert "HCP Packer keeps refusing" in report.reason
        assert 20 > calls


def test_a_fault_of_hcp_is_no_fault_of_the_image() -> None:
    """Unimplemented, internal, out of range: the event is kept."""
    for status, code in ((501, 12), (400, 11), (400, 0)):
        with service(unset_to_done="accept") as at:
            at.bucket()
            at.registry.faults.answer("CreateBuild", status, body=f'{{"code": {code}, "message": "x"}}')
            report, _ = at.deliver(at.function(), gallery_version(at))
            assert Outcome.DEFERRED == report.outcome, (status, code)
            report, _ = at.deliver(at.function(), gallery_version(at))
            assert Outcome.COMPLETED == report.outcome
