"""What brings a Google Cloud function its events: sink, topic, subscriptions, schedules."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher.clouds.gcp_desk import WITH_CONDITIONS, Desk, looked_at
from packer_publisher.finding import Finding, judged, right, unknown, wrong
from packer_publisher.wording import counted

VERBS = ("insert", "setLabels", "patch", "update", "deprecate", "delete")
_REMEDY = "apply infra/gcp again"
_WEEK = 7 * 86_400


def sink_findings(desk: Desk, sink: str, topic: str) -> Iterator[Finding]:
    """Yield how the sink is that finds images' log entries, and whether the topic takes them."""
    yield from looked_at("sink", "roles/logging.viewer", lambda: _sink(desk, sink, topic))


def subscription_findings(
    desk: Desk, topic: str, poison: str, project: str, invokers: Collection[str] | None
) -> Iterator[Finding]:
    """Yield how messages come to the function, which ``invokers`` may call, and what was put aside."""
    needed = "roles/pubsub.viewer"
    yield from looked_at("subscription", needed, lambda: _subscription(desk, topic, invokers))
    if poison:
        yield from looked_at("poison", f"{needed} and roles/monitoring.viewer", lambda: _poison(desk, poison, project))
    else:
        yield wrong("poison", "PUBLISHER_POISON_TOPIC is not set: what nobody can read is lost", _REMEDY)


def schedule_findings(desk: Desk, place: str, topic: str) -> Iterator[Finding]:
    """Yield whether the sweeps are scheduled; ``place`` is projects/P/locations/R."""
    yield from looked_at("sweeps", "roles/cloudscheduler.viewer", lambda: _sweeps(desk, place, topic))


def _sink(desk: Desk, name: str, topic: str) -> Iterator[Finding]:
    found = desk.get("logging.googleapis.com", f"v2/{name}")
    if found is None:
        yield wrong("sink", f"there is no sink {name}", "name it with --sink, or apply infra/gcp")
        return
    problems = []
    if found.get("disabled"):
        problems.append("it is disabled: no event arrives")
    if found.get("destination") != f"pubsub.googleapis.com/{topic}":
        problems.append(f"it writes to {found.get('destination')}, and not to {topic}")
    if not name.startswith("projects/") and not found.get("includeChildren"):
        problems.append("it does not include the projects below (includeChildren)")
    problems += _filter_problems(str(found.get("filter", "")))
    yield judged("sink", f"{name} finds images", problems, _REMEDY)
    writer = str(found.get("writerIdentity", ""))
    yield from looked_at("topic", "pubsub.topics.getIamPolicy", lambda: _takes(desk, topic, writer))


def _filter_problems(text: str) -> Iterator[str]:
    if "compute.googleapis.com" not in text or "images" not in text:
        yield "its filter is not about images of Compute Engine"
        return
    if missing := [verb for verb in VERBS if verb not in text]:
        yield f"its filter leaves out {', '.join(missing)}"
    if "operation.last" not in text and "operation.first" not in text:
        yield "its filter passes on the first entry of an operation, too: every image comes twice, once too early"


def _takes(desk: Desk, topic: str, writer: str) -> Iterator[Finding]:
    policy = policy_of(desk, "pubsub.googleapis.com", f"v1/{topic}")
    if policy is None:
        yield wrong("topic", f"there is no topic {topic}", _REMEDY)
        return
    members = members_of(policy, "roles/pubsub.publisher")
    problems = [] if writer in members else [f"the sink's identity {writer} may not publish there: no event arrives"]
    yield judged("topic", f"{topic} takes what the sink finds", problems, _REMEDY)


def policy_of(desk: Desk, host: str, path: str) -> Mapping[str, Any] | None:
    """Return the IAM policy of a resource, with its conditional bindings, None where there is no such resource."""
    return desk.get(host, f"{path}:getIamPolicy", **{"options.requestedPolicyVersion": str(WITH_CONDITIONS)})


def members_of(policy: Mapping[str, Any], role: str) -> set[str]:
    """Return who has a role in an IAM policy."""
    return {member for each in policy.get("bindings", ()) if each.get("role") == role for member in each["members"]}


def _subscriptions(desk: Desk, topic: str) -> Iterator[Mapping[str, Any]]:
    page = desk.get("pubsub.googleapis.com", f"v1/{topic}/subscriptions") or {}
    for name in page.get("subscriptions", ()):
        found = desk.get("pubsub.googleapis.com", f"v1/{name}")
        if found is not None:
            yield found


def _subscription(desk: Desk, topic: str, invokers: Collection[str] | None) -> Iterator[Finding]:
    found = list(_subscriptions(desk, topic))
    pushing = [each for each in found if each.get("pushConfig", {}).get("pushEndpoint")]
    if not pushing:
        how = "none pushes to the function: messages are kept" if found else "there is none: messages are lost"
        yield wrong("subscription", how, "apply infra/gcp with enabled = true")
        return
    ours = pushing[0]
    problems = []
    if ours.get("state", "ACTIVE") != "ACTIVE":
        problems.append(f"it is {ours['state']}")
    token = ours["pushConfig"].get("oidcToken")
    pusher = f"serviceAccount:{(token or {}).get('serviceAccountEmail', '')}"
    if not token:
        problems.append("it pushes without a token, and the function refuses that")
    elif invokers and not {pusher, "allUsers", "allAuthenticatedUsers"} & set(invokers):
        problems.append(f"{pusher} pushes, and may not call the function: no event arrives")
    if seconds(ours.get("messageRetentionDuration", "604800s")) < _WEEK:
        problems.append("it keeps messages for less than 7 days")
    if ours.get("deadLetterPolicy"):
        problems.append("it gives messages up after a number of tries that does not last a day (deadLetterPolicy)")
    if seconds((ours.get("retryPolicy") or {}).get("maximumBackoff", "0s")) < 300:
        problems.append("it tries again too fast (retryPolicy)")
    if (ours.get("expirationPolicy") or {}).get("ttl", "" if "expirationPolicy" in ours else "2678400s"):
        problems.append("it expires when no image is made for a while (expirationPolicy)")
    yield judged("subscription", f"{ours.get('name')} pushes to the function", problems, _REMEDY)


def _poison(desk: Desk, topic: str, project: str) -> Iterator[Finding]:
    names = [str(each.get("name", "")) for each in _subscriptions(desk, topic)]
    if not names:
        yield wrong("poison", f"no subscription keeps what {topic} is sent", _REMEDY)
    for name in names:
        waiting = _undelivered(desk, project, name.rpartition("/")[2])
        if waiting is None:
            yield unknown("poison", f"{name} has no figures yet", "look again in some minutes")
        elif waiting:
            remedy = f"gcloud pubsub subscriptions pull {name} --limit 10 shows them"
            yield wrong("poison", f"{counted(waiting, 'message')} that nobody could read", remedy)
        else:
            yield right("poison", "empty")


def _undelivered(desk: Desk, project: str, subscription: str) -> int | None:
    now = datetime.now(UTC)
    metric = "pubsub.googleapis.com/subscription/num_undelivered_messages"
    query = {
        "filter": f'metric.type="{metric}" AND resource.labels.subscription_id="{subscription}"',
        "interval.startTime": f"{now - timedelta(minutes=15):%Y-%m-%dT%H:%M:%SZ}",
        "interval.endTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    for series in desk.pages("monitoring.googleapis.com", f"v3/projects/{project}/timeSeries", "timeSeries", **query):
        for point in series.get("points", ()):  # the newest is first
            return int(point["value"].get("int64Value", 0))
    return None


def _sweeps(desk: Desk, place: str, topic: str) -> Iterator[Finding]:
    jobs = list(desk.pages("cloudscheduler.googleapis.com", f"v1/{place}/jobs", "jobs"))
    ours = [job for job in jobs if job.get("pubsubTarget", {}).get("topicName") == topic and _orders_sweep(job)]
    working = [job for job in ours if job.get("state") == "ENABLED"]
    if len(working) >= 2:
        yield right("sweeps", f"{counted(len(working), 'schedule')}: {', '.join(job['schedule'] for job in working)}")
        return
    off = ", ".join(f"{job['name'].rpartition('/')[2]} is {job.get('state')}" for job in ours if job not in working)
    yield wrong(
        "sweeps", f"not all are scheduled ({off or 'missing'}): lost events are found late, or not at all", _REMEDY
    )


def _orders_sweep(job: Mapping[str, Any]) -> bool:
    try:
        return b'"sweep"' in base64.b64decode(str(job["pubsubTarget"].get("data", "")))
    except binascii.Error:
        return False


def seconds(text: object) -> float:
    """Return a duration of Google's JSON ("600s") in seconds, 0 for anything else."""
    try:
        return float(str(text).removesuffix("s"))
    except ValueError:
        return 0.0
