"""The doctor on Google Cloud: a deployment as infra/gcp makes it, and each thing that can be wrong with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from packer_publisher import __version__
from packer_publisher.examiners import Named
from packer_publisher.finding import Finding, Trouble, Verdict
from packer_publisher.image import Platform
from packer_publisher.local.registry_serve import LocalRegistry
from packer_publisher.settings import configuration_digest
from tests.doctor.examining import FEDERATION, bad, examine, only_wrong, said
from tests.doctor.rest_stand_in import Answer, Documents, documents

CONFIG = '{"buckets": {"*": {}}}'
PLACE = "projects/img-proj/locations/europe-west1"
TOPIC = "projects/img-proj/topics/packer-publisher"
ACCOUNT = "serviceAccount:packer-publisher@img-proj.iam.gserviceaccount.com"
WRITER = "serviceAccount:service-1@gcp-sa-logging.iam.gserviceaccount.com"
FILTER = (
    'log_id("cloudaudit.googleapis.com/activity")\nprotoPayload.serviceName="compute.googleapis.com"\n'
    'protoPayload.methodName=~"^(v1|beta|alpha)[.]compute[.]images[.](insert|setLabels|patch|update|deprecate|delete)$"\n'
    "severity<ERROR\nNOT (operation.first=true AND NOT operation.last=true)"
)
FUNCTIONS = "GET cloudfunctions.googleapis.com/v2/projects/img-proj/locations/-/functions"
SINK = "GET logging.googleapis.com/v2/projects/img-proj/sinks/packer-publisher"
TOPIC_POLICY = f"GET pubsub.googleapis.com/v1/{TOPIC}:getIamPolicy"
SUBSCRIPTIONS = f"GET pubsub.googleapis.com/v1/{TOPIC}/subscriptions"
SUBSCRIPTION = "GET pubsub.googleapis.com/v1/projects/img-proj/subscriptions/packer-publisher"
POISON = f"GET pubsub.googleapis.com/v1/{TOPIC}-poison/subscriptions"
SERIES = "GET monitoring.googleapis.com/v3/projects/img-proj/timeSeries"
JOBS = f"GET cloudscheduler.googleapis.com/v1/{PLACE}/jobs"
POLICY = "POST cloudresourcemanager.googleapis.com/v3/projects/img-proj:getIamPolicy"
ROLE = "GET iam.googleapis.com/v1/projects/img-proj/roles/PackerPublisher"
INVOKERS = f"GET run.googleapis.com/v2/{PLACE}/services/packer-publisher:getIamPolicy"


def job(name: str, schedule: str, order: str) -> dict[str, Any]:
    data = base64.b64encode(order.encode()).decode()
    target = {"topicName": TOPIC, "data": data}
    return {"name": f"{PLACE}/jobs/{name}", "state": "ENABLED", "schedule": schedule, "pubsubTarget": target}


def deployment() -> dict[str, Answer]:
    """Return the documents of a deployment that is well."""
    return {
        FUNCTIONS: {
            "functions": [
                {"name": f"{PLACE}/functions/other", "state": "ACTIVE"},
                {
                    "name": f"{PLACE}/functions/packer-publisher",
                    "state": "ACTIVE",
                    "buildConfig": {"runtime": "python313", "entryPoint": "publish_image"},
                    "serviceConfig": {
                        "service": f"{PLACE}/services/packer-publisher",
                        "serviceAccountEmail": ACCOUNT.partition(":")[2],
                        "revision": "packer-publisher-00007-abc",
                        "environmentVariables": {
                            **FEDERATION,
                            "PUBLISHER_CONFIG": CONFIG,
                            "PUBLISHER_QUEUE": TOPIC,
                            "PUBLISHER_POISON_TOPIC": f"{TOPIC}-poison",
                        },
                    },
                },
            ]
        },
        POLICY: {"bindings": [{"role": "projects/img-proj/roles/PackerPublisher", "members": [ACCOUNT]}]},
        ROLE: {"includedPermissions": ["compute.images.get", "compute.images.list"]},
        INVOKERS: {"bindings": [{"role": "roles/run.invoker", "members": ["serviceAccount:pusher@x"]}]},
        SINK: {"destination": f"pubsub.googleapis.com/{TOPIC}", "filter": FILTER, "writerIdentity": WRITER},
        TOPIC_POLICY: {"bindings": [{"role": "roles/pubsub.publisher", "members": [WRITER, ACCOUNT]}]},
        SUBSCRIPTIONS: {"subscriptions": ["projects/img-proj/subscriptions/packer-publisher"]},
        SUBSCRIPTION: {
            "name": "projects/img-proj/subscriptions/packer-publisher",
            "state": "ACTIVE",
            "pushConfig": {"pushEndpoint": "https://x.run.app", "oidcToken": {"serviceAccountEmail": "pusher@x"}},
            "messageRetentionDuration": "604800s",
            "retryPolicy": {"minimumBackoff": "10s", "maximumBackoff": "600s"},
            "expirationPolicy": {},
        },
        POISON: {"subscriptions": ["projects/img-proj/subscriptions/packer-publisher-poison"]},
        "GET pubsub.googleapis.com/v1/projects/img-proj/subscriptions/packer-publisher-poison": {
            "name": "projects/img-proj/subscriptions/packer-publisher-poison"
        },
        SERIES: {"timeSeries": [{"points": [{"value": {"int64Value": "0"}}]}]},
        JOBS: {
            "jobs": [
                job("often", "*/15 * * * *", '{"packer-publisher": {"sweep": {}}}'),
                job("daily", "7 3 * * *", '{"packer-publisher": {"sweep": {"window": "14d"}}}'),
            ]
        },
    }


@pytest.fixture
def google() -> Iterator[tuple[Documents, str]]:
    with documents(deployment()) as served:
        yield served


def look(google: tuple[Documents, str], registry: LocalRegistry, *, probe: bool = False, **named: Any) -> list[Finding]:
    environ = {**registry.environment(), "PUBLISHER_GOOGLE_ENDPOINT": google[1], "GOOGLE_CLOUD_PROJECT": "img-proj"}
    return examine(Platform.GCE, Named(**named), environ, probe=probe)


def test_a_deployment_that_is_well(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """Everything is looked at, by reading alone, and no token goes to a stand-in."""
    findings = look(google, registry)
    assert [] == bad(findings)
    assert [
        "Google credentials", "function", "configuration", "function's credentials", "HCP credentials", "registry",
        "clock", "role", "invoker", "sink", "topic", "subscription", "poison", "sweeps", "probe",
    ] == [found.about for found in findings]  # fmt: skip
    assert {"GET", "POST"} == {asked.split()[0] for asked in google[0].asked}
    assert all(":getIamPolicy" in asked for asked in google[0].asked if asked.startswith("POST"))
    assert 0 == google[0].tokens


VARIABLES = "functions__1__serviceConfig__environmentVariables"


def deployed(region: str) -> dict[str, Any]:
    """Return a function of the usual name in a region."""
    return {"name": f"projects/img-proj/locations/{region}/functions/packer-publisher", "state": "ACTIVE"}


Break = Callable[[Documents], object]
BROKEN: dict[str, tuple[Break, str, str]] = {
    "no function": (
        lambda d: d.table.update({FUNCTIONS: {"functions": []}}),
        "function",
        "there is no function packer-publisher in project img-proj",
    ),
    "failed": (
        lambda d: d.change(
            FUNCTIONS, functions__1__state="FAILED", functions__1__stateMessages=[{"message": "Build failed"}]
        ),
        "function",
        "it is FAILED: Build failed",
    ),
    "runtime": (
        lambda d: d.change(FUNCTIONS, functions__1__buildConfig__runtime="python312"),
        "function",
        "it runs on python312, and its archive is for python313",
    ),
    "configuration": (
        lambda d: d.change(FUNCTIONS, functions__1__serviceConfig__environmentVariables__PUBLISHER_CONFIG="{}"),
        "configuration",
        "buckets",
    ),
    "no role": (
        lambda d: d.table.update({POLICY: {"bindings": []}}),
        "role",
        "compute.images.get is not granted in projects/img-proj; compute.images.list is not granted",
    ),
    "half a role": (
        lambda d: d.change(ROLE, includedPermissions=["compute.images.get"]),
        "role",
        "compute.images.list is not granted in projects/img-proj",
    ),
    "anybody": (
        lambda d: d.change(INVOKERS, bindings__0__members=["allUsers"]),
        "invoker",
        "anybody may call the function",
    ),
    "nobody": (lambda d: d.table.update({INVOKERS: {}}), "invoker", "nobody may call the function: no event arrives"),
    "no sink": (lambda d: d.table.pop(SINK), "sink", "there is no sink projects/img-proj/sinks/packer-publisher"),
    "sink off": (lambda d: d.change(SINK, disabled=True), "sink", "it is disabled: no event arrives"),
    "sink elsewhere": (
        lambda d: d.change(SINK, destination="pubsub.googleapis.com/projects/p/topics/x"),
        "sink",
        "it writes to pubsub.googleapis.com/projects/p/topics/x",
    ),
    "filter": (
        lambda d: d.change(SINK, filter=FILTER.replace("|setLabels|patch|update|deprecate|delete", "")),
        "sink",
        "its filter leaves out setLabels, patch, update, deprecate, delete",
    ),
    "first entries": (
        lambda d: d.change(SINK, filter=FILTER.partition("\nseverity")[0]),
        "sink",
        "its filter passes on the first entry of an operation, too",
    ),
    "writer": (
        lambda d: d.change(TOPIC_POLICY, bindings__0__members=[ACCOUNT]),
        "topic",
        f"the sink's identity {WRITER} may not publish there: no event arrives",
    ),
    "no subscription": (
        lambda d: d.table.update({SUBSCRIPTIONS: {}}),
        "subscription",
        "there is none: messages are lost",
    ),
    "paused": (lambda d: d.change(SUBSCRIPTION, pushConfig={}), "subscription", "none pushes to the function"),
    "gives up": (
        lambda d: d.change(SUBSCRIPTION, deadLetterPolicy={"maxDeliveryAttempts": 5}, retryPolicy={}),
        "subscription",
        "it gives messages up after a number of tries that does not last a day (deadLetterPolicy); it tries again too",
    ),
    "expires": (
        lambda d: d.change(SUBSCRIPTION, expirationPolicy={"ttl": "2678400s"}, messageRetentionDuration="600s"),
        "subscription",
        "it keeps messages for less than 7 days; it expires when no image is made for a while",
    ),
    "no token": (
        lambda d: d.change(SUBSCRIPTION, pushConfig__oidcToken=None),
        "subscription",
        "it pushes without a token",
    ),
    "pusher": (
        lambda d: d.change(SUBSCRIPTION, pushConfig__oidcToken={"serviceAccountEmail": "other@x"}),
        "subscription",
        "serviceAccount:other@x pushes, and may not call the function: no event arrives",
    ),
    "subscription in trouble": (
        lambda d: d.change(SUBSCRIPTION, state="RESOURCE_ERROR"),
        "subscription",
        "it is RESOURCE_ERROR",
    ),
    "no topic": (lambda d: d.table.pop(TOPIC_POLICY), "topic", f"there is no topic {TOPIC}"),
    "topic not named": (
        lambda d: d.change(FUNCTIONS, **{f"{VARIABLES}__PUBLISHER_QUEUE": ""}),
        "topic",
        "PUBLISHER_QUEUE is not set, so sweeps hand nothing over",
    ),
    "filter of something else": (
        lambda d: d.change(SINK, filter='protoPayload.serviceName="storage.googleapis.com"'),
        "sink",
        "its filter is not about images of Compute Engine",
    ),
    "poison not named": (
        lambda d: d.change(FUNCTIONS, **{f"{VARIABLES}__PUBLISHER_POISON_TOPIC": ""}),
        "poison",
        "PUBLISHER_POISON_TOPIC is not set: what nobody can read is lost",
    ),
    "poison not kept": (
        lambda d: d.table.update({POISON: {}}),
        "poison",
        f"no subscription keeps what {TOPIC}-poison is sent",
    ),
    "several functions": (
        lambda d: d.table.update({FUNCTIONS: {"functions": [deployed("europe-west1"), deployed("us-east1")]}}),
        "function",
        "packer-publisher is in several regions: europe-west1, us-east1",
    ),
    "no sweep": (
        lambda d: d.change(JOBS, jobs=[{"pubsubTarget": {"topicName": TOPIC, "data": "not base64"}}]),
        "sweeps",
        "not all are scheduled (missing): lost events are found late, or not at all",
    ),
    "poison": (
        lambda d: d.change(SERIES, timeSeries__0__points__0__value__int64Value="3"),
        "poison",
        "3 messages that nobody could read",
    ),
    "sweep off": (
        lambda d: d.change(JOBS, jobs__1__state="PAUSED"),
        "sweeps",
        "not all are scheduled (daily is PAUSED): lost events are found late, or not at all",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_named_with_what_mends_it(
    google: tuple[Documents, str], registry: LocalRegistry, case: str
) -> None:
    """Each thing is broken by itself, and found by itself."""
    break_it, about, text = BROKEN[case]
    break_it(google[0])

    found = only_wrong(look(google, registry))

    assert about == found.about
    assert text in found.text
    assert found.remedy


def test_a_sink_of_an_organization(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """The role is looked for where the sink is, and the sink must include what is below."""
    table = google[0].table
    sink = "organizations/123/sinks/images"
    table[f"GET logging.googleapis.com/v2/{sink}"] = table.pop(SINK)
    table["POST cloudresourcemanager.googleapis.com/v3/organizations/123:getIamPolicy"] = table.pop(POLICY)
    problem = "wrong: it does not include the projects below (includeChildren)"
    assert [problem] == said(look(google, registry, sink=sink), "sink")
    google[0].change(f"GET logging.googleapis.com/v2/{sink}", includeChildren=True)
    assert [] == bad(look(google, registry, sink=sink))


@pytest.mark.parametrize(
    ("key", "about", "needed"),
    [
        (FUNCTIONS, "function", "roles/cloudfunctions.viewer"),
        (POLICY, "role", "resourcemanager.*.getIamPolicy and iam.roles.get"),
        (ROLE, "role", "resourcemanager.*.getIamPolicy and iam.roles.get"),
        (INVOKERS, "invoker", "run.services.getIamPolicy"),
        (SINK, "sink", "roles/logging.viewer"),
        (TOPIC_POLICY, "topic", "pubsub.topics.getIamPolicy"),
        (SUBSCRIPTIONS, "subscription", "roles/pubsub.viewer"),
        (SUBSCRIPTION, "subscription", "roles/pubsub.viewer"),
        (POISON, "poison", "roles/pubsub.viewer and roles/monitoring.viewer"),
        (SERIES, "poison", "roles/pubsub.viewer and roles/monitoring.viewer"),
        (JOBS, "sweeps", "roles/cloudscheduler.viewer"),
    ],
)
@pytest.mark.parametrize("refusal", [403, 500, "<html>made up</html>"], ids=["denied", "broken", "no answer"])
def test_what_may_not_be_looked_at_is_unknown(
    google: tuple[Documents, str], registry: LocalRegistry, key: str, about: str, needed: str, refusal: int | str
) -> None:
    """By itself, whatever is the matter; a denial comes with the role that would allow it, none with Google's words."""
    google[0].table[key] = refusal
    findings = look(google, registry)
    [found] = [found for found in findings if found.verdict is not Verdict.RIGHT and found.about != "probe"]
    assert (Verdict.UNKNOWN, about) == (found.verdict, found.about)
    remedy = f"run the doctor with credentials that have {needed}"
    assert (refusal == 403) == (found.trouble is Trouble.CREDENTIALS) == (found.remedy == remedy)
    assert found.remedy
    assert "made up" not in str(findings)


def test_credentials_that_google_refuses(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """A token that has ended is told from a role that is missing."""
    google[0].table[FUNCTIONS] = 401
    [found] = [found for found in look(google, registry) if found.verdict is Verdict.WRONG]
    assert ("function", Trouble.CREDENTIALS) == (found.about, found.trouble)
    assert "run `gcloud auth application-default login`" == found.remedy


def test_figures_that_are_not_there_yet(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """A new subscription has none, and that is no empty one."""
    google[0].table[SERIES] = {"timeSeries": []}
    assert [(Verdict.UNKNOWN, "poison")] == [(verdict, about) for verdict, about, _ in bad(look(google, registry))]


def test_lists_go_on_page_after_page(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """The function is on the second page."""
    table = google[0].table
    table[f"{FUNCTIONS}?pageToken=2"] = table[FUNCTIONS]
    table[FUNCTIONS] = {"nextPageToken": "2"}
    assert [] == bad(look(google, registry))


def test_a_role_under_a_condition(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """It counts as held; without asking for conditions Google gives such a role a name that nobody can look up."""

    def policy(body: bytes) -> dict[str, Any]:
        whole = json.loads(body).get("options", {}).get("requestedPolicyVersion") == 3
        role = "projects/img-proj/roles/PackerPublisher"
        if not whole:
            return {"bindings": [{"role": f"{role}_withcond_1a2b3c", "members": [ACCOUNT]}]}
        return {"bindings": [{"role": role, "members": [ACCOUNT], "condition": {"title": "c", "expression": "true"}}]}

    google[0].table[POLICY] = policy
    assert [] == bad(look(google, registry))
    asked = [each for each in google[0].asked if each.startswith("GET") and ":getIamPolicy" in each]
    assert [True, True] == [each.endswith("?options.requestedPolicyVersion=3") for each in asked]


def test_a_probe(google: tuple[Documents, str], registry: LocalRegistry) -> None:
    """It is published to the topic, and the log is asked for its id."""
    sent: list[str] = []

    def publish(body: bytes) -> dict[str, Any]:
        message = json.loads(base64.b64decode(json.loads(body)["messages"][0]["data"]))
        sent.append(message["packer-publisher"]["probe"]["id"])
        return {"messageIds": ["1"]}

    def entries(body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        assert ["projects/img-proj"] == asked["resourceNames"]
        assert f'jsonPayload.probe="{sent[0]}"' in asked["filter"]
        answer = {"probe": sent[0], "version": "0.0.1", "configuration": "other", "registry": "active",
                  "images": "not readable: no", "denied": []}  # fmt: skip
        return {"entries": [{"jsonPayload": answer}]}

    google[0].table[f"POST pubsub.googleapis.com/v1/{TOPIC}:publish"] = publish
    google[0].table["POST logging.googleapis.com/v2/entries:list"] = entries
    findings = look(google, registry, probe=True)
    digest = configuration_digest({"PUBLISHER_CONFIG": CONFIG})
    assert f"digest {digest}" in said(findings, "configuration")[0]
    assert [
        (Verdict.WRONG, "function's configuration", "it works with other: an older environment"),
        (Verdict.WRONG, "function's view of images", "not readable: no"),
    ] == bad(findings)
    assert said(findings, "function's version")[0].startswith("note: 0.0.1, the doctor's is ")


PUBLISH, ENTRIES = f"POST pubsub.googleapis.com/v1/{TOPIC}:publish", "POST logging.googleapis.com/v2/entries:list"


@pytest.mark.parametrize(
    ("answers", "verdict", "text"),
    [
        (
            {PUBLISH: 403},
            Verdict.UNKNOWN,
            "it could not be sent: pubsub.googleapis.com refuses it (HTTP 403, REFUSED).",
        ),
        ({}, Verdict.UNKNOWN, f"it could not be sent: Google Cloud knows no v1/{TOPIC}:publish."),
        ({PUBLISH: {}, ENTRIES: 403}, Verdict.UNKNOWN, "it was sent, and the log cannot be read: look for "),
        ({PUBLISH: {}, ENTRIES: {"entries": [{"textPayload": "x"}]}}, Verdict.WRONG, "no answer to "),
    ],
)
def test_a_probe_that_comes_to_nothing(
    google: tuple[Documents, str], registry: LocalRegistry, answers: dict[str, Answer], verdict: Verdict, text: str
) -> None:
    """Where it went is said, and what is in the way."""
    google[0].table.update(answers)
    [found] = [found for found in look(google, registry, probe=True) if found.about == "probe"]
    assert verdict is found.verdict
    assert found.text.startswith(text)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"problem": "PUBLISHER_QUIET is soon"},
            [("function's settings", Verdict.WRONG, "PUBLISHER_QUIET is soon")],
        ),
        (
            {"registry": "off", "images": "readable", "denied": ["eu-west-2"]},
            [
                (
                    "function's configuration",
                    Verdict.RIGHT,
                    f"digest {configuration_digest({'PUBLISHER_CONFIG': CONFIG})}",
                ),
                ("configuration here", Verdict.RIGHT, "the same document"),
                ("function's way to HCP", Verdict.NOTE, "HCP_PACKER_REGISTRY is off"),
                ("function's view of images", Verdict.RIGHT, "readable"),
                ("function's view of images", Verdict.NOTE, "no access to eu-west-2"),
            ],
        ),
    ],
    ids=["wrong settings", "a document in the archive"],
)
def test_what_a_probe_says(
    google: tuple[Documents, str], registry: LocalRegistry, answer: dict[str, Any],
    told: list[tuple[str, Verdict, str]],
) -> None:  # fmt: skip
    """What only the function knows: its settings, the document in its archive, the places it may not look into."""
    google[0].change(FUNCTIONS, **{f"{VARIABLES}__PUBLISHER_CONFIG": "publisher.json"})
    digest = configuration_digest({"PUBLISHER_CONFIG": CONFIG})
    said_in_full = {"probe": "x", "version": __version__, "configuration": digest, **answer}
    google[0].table |= {PUBLISH: {}, ENTRIES: {"entries": [{"jsonPayload": said_in_full}]}}
    environ = {**registry.environment(), "PUBLISHER_GOOGLE_ENDPOINT": google[1], "GOOGLE_CLOUD_PROJECT": "img-proj"}
    findings = examine(Platform.GCE, Named(), {**environ, "PUBLISHER_CONFIG": CONFIG}, probe=True)
    at = [found.about for found in findings].index("function's version") + 1
    assert told == [(found.about, found.verdict, found.text) for found in findings[at:]]
