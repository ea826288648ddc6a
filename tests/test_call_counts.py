"""What an event costs at the registry, held to the limits that the design promises."""

from __future__ import annotations

import pytest

from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform
from tests.bench.call_counts import Count, measure
from tests.publishing import service
from tests.simulation.world import event
from tests.switches import completing


@pytest.fixture(scope="module")
def counts() -> list[Count]:
    """Run the scenarios, each against a fresh registry that counts the requests itself."""
    return list(measure())


def test_an_event_costs_no_more_than_promised(counts: list[Count]) -> None:
    """Every scenario keeps its limit."""
    assert [] == [count for count in counts if count.missed]


def test_the_scenarios_go_through_every_outcome_that_writes(counts: list[Count]) -> None:
    """A count of calls that led nowhere would prove nothing."""
    met = {"ignored", "registered", completing().value, "unchanged", "waiting", "revoked"}
    assert met <= {count.outcome for count in counts}
    assert 25 <= len(counts)


def test_organization_and_project_are_discovered_once_per_process() -> None:
    """At most two requests, and one token, however many images the process publishes."""
    with service() as at:
        at.bucket()
        function = at.function(HCP_ORGANIZATION_ID="", HCP_PROJECT_ID="")
        for number in range(3):
            tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": f"a{number}"}
            (ref,) = at.world.add(Platform.AZURE, "sub-1", f"web-{number}", ["westeurope"], tags)
            function.on_event(event(ref, at=at.clock()), Deadline.after(30))
        operations = [request.operation for request in at.registry.requests.all()]
    assert 2 >= len([name for name in operations if name in ("ListOrganizations", "ListProjects", "GetProject")])
    assert 1 == operations.count("Token")
    assert 3 == operations.count("CreateVersion")
