"""What a person decides about a version, under every setting of what is not known about HCP."""

from __future__ import annotations

import pytest

from packer_publisher.decision import Completion
from packer_publisher.errors import PublisherError, Rejected
from packer_publisher.image import Platform
from packer_publisher.local.registry_switches import Switches
from packer_publisher.policy import Policy
from packer_publisher.publish import Publisher
from packer_publisher.report import Outcome
from packer_publisher.snapshot import BuildStatus
from packer_publisher.steps import CreateBuild, DeleteBuild, SetStatus
from packer_publisher.versions import Versions
from tests.simulation.handlers import DEADLINE, Handler
from tests.simulation.registry import ModelRegistry
from tests.simulation.test_order_freedom import POLICY
from tests.simulation.world import World, cloud_of
from tests.switches import catch_up

ADDRESS = ("web", "a1")
SWITCHES = [Switches(), *Switches.variations()]
RUNNING_FIRST = (BuildStatus.RUNNING, BuildStatus.DONE)


def ident(switches: Switches) -> str:
    return ",".join(f"{name}={value}" for name, value in switches.deviations().items()) or "defaults"


def waiting(expects: str, switches: Switches | None = None, policy: Policy = POLICY) -> tuple[ModelRegistry, World]:
    """Return a registry in which one Azure image has been published and its version waits for the rest."""
    registry, world = ModelRegistry(switches), World()
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
    tags |= {"hcp-packer-expects": expects} if expects else {}
    (ref,) = world.add(Platform.AZURE, "sub-1", "web", ["westeurope"], tags)
    run(registry, world, policy)
    assert not registry.get_version(*ADDRESS, DEADLINE).complete
    assert ref in world.images
    return registry, world


def run(registry: ModelRegistry, world: World, policy: Policy = POLICY) -> None:
    """Deliver the events of all images, one after the other."""
    for ref in world.images:
        handler = Handler(world, registry, ref, policy)
        while not handler.done:
            handler.step()


@pytest.mark.parametrize("switches", SWITCHES, ids=ident)
def test_a_version_is_completed_without_a_placeholder(switches: Switches) -> None:
    """The empty build goes DONE, which completes the version, and is gone afterwards where it may be deleted."""
    registry, _ = waiting("azure-arm googlecompute", switches)
    service = Versions(registry, DEADLINE)
    asked = Completion(("googlecompute",))
    if switches.done_without_artifacts == "refuse":
        with pytest.raises(PublisherError, match="keeps refusing to complete version a1"):
            service.complete(*ADDRESS, asked)
        assert not registry.get_version(*ADDRESS, DEADLINE).complete
        return
    service.complete(*ADDRESS, asked)
    registry.lag()
    version = registry.look(*ADDRESS)
    assert "v1" == version.name
    if switches.delete_build_on_complete == "accept" and not switches.completion_lag:
        assert ["azure-arm"] == [build.component_type for build in version.builds]
    whole = [build for build in version.builds if build.platform]
    assert [("azure-arm", "azure", BuildStatus.DONE)] == [(b.component_type, b.platform, b.status) for b in whole]


@pytest.mark.switches(
    completion_lag=0.0,
    read_after_write="fresh",
    unset_to_done="accept",
    done_without_artifacts="accept",
    delete_build_on_complete="accept",
)
def test_the_prospect_says_what_would_be_written_and_what_it_does_to_latest() -> None:
    """And it is what then is written."""
    registry, _ = waiting("azure-arm googlecompute")
    registry.clock.forward(hours=1)
    registry.model.create_version("web", {"fingerprint": "b2"})
    newer = registry.model.create_build("web", "b2", {"component_type": "x", "status": "BUILD_UNSET"})["build"]["id"]
    registry.model.update_build("web", "b2", newer, {"status": "BUILD_DONE", "platform": "aws"})
    service = Versions(registry, DEADLINE)
    asked = Completion(("googlecompute",))
    before = len(registry.log)
    prospect = service.prospect(*ADDRESS, asked)
    assert ["GetVersion", "GetBucket"] == registry.log[before:]
    assert prospect.pulls_latest_back
    version, written = service.complete(*ADDRESS, asked)
    assert ("v2", prospect.steps) == (version.name, written)


@pytest.mark.parametrize(
    ("expects", "without", "problem", "remedy"),
    [
        ("azure aws gce", ("aws",), "still waits for gce", "let them come, or add --without gce"),
        ("azure aws", ("googlecompute",), "does not wait for googlecompute", "it waits for aws"),
        ("azure-arm aws", (), "still waits for aws", "let them come, or add --without aws"),
    ],
)
def test_what_it_still_waits_for_must_be_named(
    expects: str, without: tuple[str, ...], problem: str, remedy: str
) -> None:
    """Nothing is left out behind anybody's back, and nothing is written."""
    registry, _ = waiting(expects)
    with pytest.raises(Rejected) as caught:
        Versions(registry, DEADLINE).complete(*ADDRESS, Completion(without))
    assert problem in str(caught.value)
    assert remedy == caught.value.remedy
    assert not registry.get_version(*ADDRESS, DEADLINE).complete


@pytest.mark.switches(updates_after_done="refuse")  # else a stale read lets DONE be written again, and accepted
def test_a_platform_is_simply_no_longer_waited_for() -> None:
    """No build stands for it, so nothing but the whole builds is written."""
    registry, _ = waiting("azure aws")
    _, written = Versions(registry, DEADLINE).complete(*ADDRESS, Completion(("aws",)))
    registry.lag()
    assert "v1" == registry.look(*ADDRESS).name
    statuses = [BuildStatus.DONE] if registry.model.switches.unset_to_done == "accept" else list(RUNNING_FIRST)
    assert [("azure-arm", status) for status in statuses] == [
        (step.component_type, step.status) for step in written if isinstance(step, SetStatus)
    ]


def test_an_undeclared_version_is_finished_at_once() -> None:
    """Without waiting for the quiet time."""
    registry, _ = waiting("")
    Versions(registry, DEADLINE).complete(*ADDRESS, Completion())
    registry.lag()
    assert "v1" == registry.look(*ADDRESS).name


@pytest.mark.switches(
    delete_last_open_build_completes=False,
    completion_lag=0.0,
    read_after_write="fresh",
    unset_to_done="accept",
    done_without_artifacts="accept",
    delete_build_on_complete="accept",
)
def test_the_guard_mends_a_version_that_is_all_done_and_still_open() -> None:
    """Only after ten minutes, for completion may lag; then one empty build comes and goes."""
    registry, _ = waiting("azure-arm googlecompute")
    (empty,) = (b for b in registry.get_version(*ADDRESS, DEADLINE).builds if b.component_type == "googlecompute")
    registry.model.delete_build("web", "a1", empty.id)  # somebody deleted the last open build: nothing completes
    service = Versions(registry, DEADLINE)
    version, written = service.complete(*ADDRESS, Completion(("googlecompute",)))
    assert (False, ()) == (version.complete, written)
    registry.clock.forward(minutes=11)
    version, written = service.complete(*ADDRESS, Completion(("googlecompute",)))
    assert "v1" == version.name
    assert [CreateBuild, SetStatus, DeleteBuild] == [type(step) for step in written]
    assert ["azure-arm"] == [build.component_type for build in version.builds]


@pytest.mark.parametrize(
    ("expects", "command"),
    [
        ("", "packer-publisher versions abandon web a1"),
        ("azure", "packer-publisher versions complete web a1 --without amazon-ebs --without aws"),
    ],
    ids=["alone", "beside another build"],
)
@pytest.mark.switches(done_without_artifacts="accept", read_after_write="fresh")
def test_the_way_out_that_is_told_of_a_build_that_is_not_whole_is_one(expects: str, command: str) -> None:
    """A version that would hold no image at all cannot be completed."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1", "hcp-packer-expects": f"aws {expects}"}
    registry, world = waiting("azure aws") if expects else (ModelRegistry(), World())
    first, second = world.add(Platform.AWS, "111111111111", "web", ["eu-west-1", "us-east-1"], tags)
    world.tag(second, {})  # its copy is not tagged yet
    publisher = Publisher(POLICY, lambda: registry, cloud_of(world), now=registry.clock)
    report = publisher.publish(first, DEADLINE).report
    assert Outcome.WAITING == report.outcome
    assert report.remedy.endswith(f": {command}")
    service = Versions(registry, DEADLINE)
    if expects:
        service.complete(*ADDRESS, Completion(tuple(command.split(" --without ")[1:])))
        registry.lag()
        assert "v1" == registry.look(*ADDRESS).name
    else:
        with pytest.raises(Rejected, match="holds no image at all"):
            service.complete(*ADDRESS, Completion(("amazon-ebs", "aws")))
        assert 1 == len(service.abandon(*ADDRESS, "by me"))


def test_a_version_that_packer_works_on_is_left_to_it() -> None:
    """Its open builds are not ours."""
    registry, _ = waiting("azure aws")
    body = {"component_type": "amazon-ebs.x", "status": "BUILD_RUNNING", "packer_run_uuid": "6f3c"}
    registry.model.create_build("web", "a1", body)
    catch_up(registry.model, *ADDRESS)
    with pytest.raises(Rejected, match=r"holds open builds of a run of Packer: amazon-ebs\.x"):
        Versions(registry, DEADLINE).complete(*ADDRESS, Completion(("aws",)))


@pytest.mark.parametrize("switches", SWITCHES, ids=ident)
def test_an_abandoned_version_is_rejected_until_that_is_taken_back(switches: Switches) -> None:
    """Handlers and sweeps answer so; afterwards everything goes on where it stood."""
    registry, world = waiting("azure-arm googlecompute", switches)
    service = Versions(registry, DEADLINE)
    service.abandon(*ADDRESS, "by me")
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
    (late,) = world.add(Platform.GCE, "project-1", "web", ["europe-west1-b"], tags)
    handler = Handler(world, registry, late, POLICY)
    registry.get_version(*ADDRESS, DEADLINE)  # one that may lag behind
    while not handler.done:
        handler.step()
    assert handler.settled
    (verdict,) = handler.settled.verdicts
    assert "version a1 of bucket web was abandoned: by me" == verdict.reason
    assert "--undo" in verdict.remedy
    assert () == handler.settled.written
    service.abandon(*ADDRESS, "")
    registry.get_version(*ADDRESS, DEADLINE)
    run(registry, world)
    registry.clock.forward(minutes=1)
    assert registry.get_version(*ADDRESS, DEADLINE).complete
