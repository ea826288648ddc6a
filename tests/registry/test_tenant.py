"""Organization and project are found out once, in at most two requests, and never counted."""

from __future__ import annotations

import threading

import pytest

from packer_publisher.errors import CredentialsTrouble, RegistryTrouble
from tests.registry.peer import ORGANIZATION, PROJECT, Peer, Says, Time, refusal, version_body

OPEN = Says({"version": version_body()})
ONE = Says({"organizations": [{"id": ORGANIZATION, "name": "acme"}], "pagination": {"next_page_token": ""}})
PARENT = Says({"project": {"id": PROJECT, "parent": {"id": ORGANIZATION, "type": "ORGANIZATION"}}})
VERSION = f"/packer/2023-01-01/organizations/{ORGANIZATION}/projects/{PROJECT}/buckets/web/versions/abc"
NONE = {"HCP_ORGANIZATION_ID": None, "HCP_PROJECT_ID": None}


def project(id: str, created_at: str | None) -> dict[str, object]:  # noqa: A002 - HCP's own word
    return {"id": id, "created_at": created_at}


def test_known_ids_are_not_asked_for(peer: Peer, clock: Time) -> None:
    """With both ids set, the first request is the call itself."""
    peer.says(OPEN)

    with peer.client() as client:
        client.get_version("web", "abc", clock.deadline())

    assert [VERSION] == [request.target for request in peer.api]


def test_a_project_tells_its_organization(peer: Peer, clock: Time) -> None:
    """With the project alone one request is enough, once per process, and it is no call."""
    peer.says(PARENT, OPEN, OPEN)

    with peer.client(HCP_ORGANIZATION_ID=None) as client:
        client.get_version("web", "abc", clock.deadline())
        client.get_version("web", "abc", clock.deadline())
        assert 2 == client.calls

    assert [f"/resource-manager/2019-12-10/projects/{PROJECT}", VERSION, VERSION] == [r.target for r in peer.api]


def test_with_nothing_known_the_oldest_project_counts(peer: Peer, clock: Time) -> None:
    """One organization, its oldest project: two requests, as Packer finds them."""
    projects = [
        project("33333333-3333-4333-8333-333333333333", "2024-01-01T00:00:00Z"),
        project(PROJECT, "2022-01-01T00:00:00.123456789Z"),
        project("44444444-4444-4444-8444-444444444444", None),
    ]
    peer.says(ONE, Says({"projects": projects, "pagination": None}), OPEN)

    with peer.client(**NONE) as client:
        client.get_version("web", "abc", clock.deadline())
        assert 1 == client.calls

    assert [
        "/resource-manager/2019-12-10/organizations",
        f"/resource-manager/2019-12-10/projects?scope.id={ORGANIZATION}&scope.type=ORGANIZATION",
        VERSION,
    ] == [request.target for request in peer.api]


def test_an_organization_alone_leaves_its_project_to_find(peer: Peer, clock: Time) -> None:
    """With the organization alone the list of its projects is enough."""
    peer.says(Says({"projects": [project(PROJECT, "2022-01-01T00:00:00Z")]}), OPEN)

    with peer.client(HCP_PROJECT_ID=None) as client:
        client.get_version("web", "abc", clock.deadline())

    assert 2 == len(peer.api)


def test_a_call_may_name_another_project(peer: Peer, clock: Time) -> None:
    """A bucket's project from the configuration replaces the default one in the path, and asks for nothing else."""
    peer.says(OPEN)

    with peer.client() as client:
        client.get_version("web", "abc", clock.deadline(), "55555555-5555-4555-8555-555555555555")

    assert [VERSION.replace(PROJECT, "55555555-5555-4555-8555-555555555555")] == [r.target for r in peer.api]


def test_threads_share_what_was_found(peer: Peer, clock: Time) -> None:
    """Threads that start together wait for one discovery."""
    peer.says(PARENT, *[OPEN] * 6)

    with peer.client(HCP_ORGANIZATION_ID=None) as client:
        threads = [threading.Thread(target=client.get_version, args=("web", "abc", clock.deadline())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert 7 == len(peer.api)


@pytest.mark.parametrize("found", [[], [{"id": "one"}, {"id": "two"}]])
def test_not_exactly_one_organization_is_for_a_person(peer: Peer, clock: Time, found: list[object]) -> None:
    """None or several organizations: nothing is guessed."""
    peer.says(Says({"organizations": found}))

    with peer.client(**NONE) as client, pytest.raises(CredentialsTrouble) as caught:
        client.get_version("web", "abc", clock.deadline())

    assert f"The credentials lead to {len(found)} HCP organizations, and it must be exactly one." == str(caught.value)
    assert caught.value.remedy.startswith("Set HCP_PROJECT_ID to the project whose registry is meant")


def test_a_forbidden_list_of_projects_asks_for_the_project(peer: Peer, clock: Time) -> None:
    """A project's service principal may not list projects; only a person can tell the id."""
    peer.says(ONE, refusal(403, 7, "forbidden"))

    with peer.client(**NONE) as client, pytest.raises(CredentialsTrouble) as caught:
        client.get_version("web", "abc", clock.deadline())

    assert f"ListProjects of organization '{ORGANIZATION}': HCP answered 403 (code 7): forbidden." == str(caught.value)
    assert caught.value.remedy.startswith("Set HCP_PROJECT_ID to the project whose registry is meant")


def test_an_unknown_project_is_for_a_person(peer: Peer, clock: Time) -> None:
    """A project that HCP does not know is a wrong setting; the event is kept until it is mended."""
    peer.says(refusal(404, 5, "not found"))

    with peer.client(HCP_ORGANIZATION_ID=None) as client, pytest.raises(CredentialsTrouble) as caught:
        client.get_version("web", "abc", clock.deadline())

    assert f"HCP knows no project '{PROJECT}', or these credentials may not see it." == str(caught.value)


@pytest.mark.parametrize("answer", [refusal(400, 3, "odd"), Says({"project": {"id": PROJECT}})])
def test_an_odd_answer_about_the_project_is_trouble(peer: Peer, clock: Time, answer: Says) -> None:
    """A refusal or a wrong shape here is no fault of the image, so it is trouble, not a refusal."""
    peer.says(answer)

    with peer.client(HCP_ORGANIZATION_ID=None) as client, pytest.raises(RegistryTrouble) as caught:
        client.get_version("web", "abc", clock.deadline())

    assert str(caught.value).startswith("The HCP organization and project cannot be found out. ")


def test_a_failed_discovery_is_tried_again(peer: Peer, clock: Time) -> None:
    """Only what was found is kept."""
    peer.says(refusal(403, 7, "forbidden"), PARENT, OPEN)

    with peer.client(HCP_ORGANIZATION_ID=None) as client:
        with pytest.raises(CredentialsTrouble):
            client.get_version("web", "abc", clock.deadline())
        assert client.get_version("web", "abc", clock.deadline()).exists
