"""What brings an Azure Function its events: the system topic, its event subscription, the queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from packer_publisher.clouds.azure_desk import Desk, looked_at
from packer_publisher.finding import Finding, judged, note, right, wrong
from packer_publisher.wording import counted

EVENT_GRID, STORAGE = "2022-06-15", "2023-05-01"
TYPES = frozenset({"Microsoft.Resources.ResourceWriteSuccess", "Microsoft.Resources.ResourceDeleteSuccess"})
OPERATIONS = frozenset(
    f"{kind}/{verb}".lower()
    for kind in ("Microsoft.Compute/images", "Microsoft.Compute/galleries/images/versions", "Microsoft.Resources/tags")
    for verb in ("write", "delete")
)
_REMEDY = "apply infra/azure again"
_WEEK = 7 * 86_400


def event_findings(desk: Desk, subscription: str, queue: str, account: str) -> Iterator[Finding]:
    """Yield how events about images come to the queue, and what lies there; ``account`` is the storage account."""
    yield from looked_at(
        "event subscription", "the role Reader on the subscription", lambda: _grid(desk, subscription, queue)
    )
    yield from looked_at(
        "queues", "the role Reader on the storage account", lambda: _queues(desk, subscription, account, queue)
    )


def _grid(desk: Desk, subscription: str, queue: str) -> Iterator[Finding]:
    scope = f"/subscriptions/{subscription}"
    topics = [
        topic
        for topic in desk.entries(f"{scope}/providers/Microsoft.EventGrid/systemTopics", EVENT_GRID)
        if str(topic.get("properties", {}).get("source", "")).lower() == scope.lower()
    ]
    if not topics:
        yield wrong("system topic", "the subscription has none, so Azure tells of no image", "apply infra/azure")
        return
    yield right("system topic", str(topics[0]["name"]))
    found = [each for topic in topics for each in desk.entries(f"{topic['id']}/eventSubscriptions", EVENT_GRID)]
    ours = [each for each in found if _destination(each).get("queueName") == queue]
    if not ours:
        yield wrong("event subscription", f"none brings events to the queue {queue}", "apply infra/azure again")
        return
    about = ours[0].get("properties", {})
    problems = []
    if about.get("provisioningState") != "Succeeded":
        problems.append(f"it is {about.get('provisioningState')}")
    filters = about.get("filter", {})
    if missing := TYPES - set(filters.get("includedEventTypes") or TYPES):
        problems.append(f"it leaves out {', '.join(sorted(missing))}")
    if missing := OPERATIONS - _operations(filters):
        problems.append(f"it leaves out {', '.join(sorted(missing))}")
    if int(_destination(ours[0]).get("queueMessageTimeToLiveInSeconds") or 0) < _WEEK:
        problems.append("its messages live for less than 7 days")
    if about.get("eventDeliverySchema", "EventGridSchema") != "EventGridSchema":
        problems.append(f"it delivers as {about['eventDeliverySchema']}")
    if not (about.get("deadLetterDestination") or about.get("deadLetterWithResourceIdentity")):
        problems.append("what it cannot deliver is lost: it has no dead-letter container")
    yield judged("event subscription", f"{ours[0].get('name')} brings events to {queue}", problems, _REMEDY)
    if narrow := [word for word in ("subjectBeginsWith", "subjectEndsWith") if filters.get(word)]:
        heard = f"it hears only of what its filter names ({', '.join(narrow)})"
        yield note("event subscription", heard, "the sweep alone finds the others; infra/azure has no such filter")


def _destination(subscription: Mapping[str, Any]) -> Mapping[str, Any]:
    about = subscription.get("properties", {})
    found = about.get("destination") or about.get("deliveryWithResourceIdentity", {}).get("destination") or {}
    details: Mapping[str, Any] = found.get("properties", {})
    return details


def _operations(filters: Mapping[str, Any]) -> frozenset[str]:
    """Return which of our operations pass the advanced filters; a filter of another kind is taken to pass."""
    passing = set(OPERATIONS)
    for each in filters.get("advancedFilters") or ():
        if each.get("key") == "data.operationName" and each.get("operatorType") == "StringIn":
            passing &= {str(value).lower() for value in each.get("values", ())}
    return frozenset(passing)


def _queues(desk: Desk, subscription: str, account: str, queue: str) -> Iterator[Finding]:
    accounts = desk.entries(f"/subscriptions/{subscription}/providers/Microsoft.Storage/storageAccounts", STORAGE)
    found = next((each for each in accounts if each.get("name") == account), None)
    if found is None:
        yield wrong("queue", f"there is no storage account {account} in the subscription", _REMEDY)
        return
    waiting = _messages(desk, str(found["id"]), queue)
    if waiting is None:
        yield wrong("queue", f"there is no queue {queue} in {account}", _REMEDY)
    else:
        yield right("queue", f"{counted(waiting, 'message')} to be worked on, or resting")
    given_up = _messages(desk, str(found["id"]), f"{queue}-poison")
    if given_up is None:
        yield wrong("poison queue", f"there is no queue {queue}-poison: the function may not make one", _REMEDY)
    elif given_up:
        remedy = f"az storage message peek --queue-name {queue}-poison --account-name {account} --auth-mode login"
        yield wrong("poison queue", f"{counted(given_up, 'message')} given up after all tries", remedy)
    else:
        yield right("poison queue", "empty")


def _messages(desk: Desk, account: str, queue: str) -> int | None:
    found = desk.get(f"{account}/queueServices/default/queues/{queue}", STORAGE)
    return None if found is None else int(found.get("properties", {}).get("approximateMessageCount") or 0)
