"""The doctor on Azure: a deployment as infra/azure makes it, and each thing that can be wrong with it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from packer_publisher import __version__
from packer_publisher.errors import ConfigurationError
from packer_publisher.examiners import Named
from packer_publisher.finding import Finding, Trouble, Verdict
from packer_publisher.image import Platform
from packer_publisher.local.registry_serve import LocalRegistry
from packer_publisher.settings import configuration_digest
from tests.doctor.examining import FEDERATION, bad, examine, only_wrong, said
from tests.doctor.rest_stand_in import Answer, Documents, documents

CONFIG = '{"buckets": {"*": {}}}'
SUB = "11111111-1111-1111-1111-111111111111"
SCOPE = f"/subscriptions/{SUB}"
GROUP = f"{SCOPE}/resourceGroups/rg/providers"
SITE = f"{GROUP}/Microsoft.Web/sites/publisher-x"
TOPIC = f"{GROUP}/Microsoft.EventGrid/systemTopics/publisher"
STORE = f"{GROUP}/Microsoft.Storage/storageAccounts/publisherx"
ROLE = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions/1"


MESSAGES = "Microsoft.Storage/storageAccounts/queueServices/queues/messages"


def arm(path: str, method: str = "GET") -> str:
    return f"{method} management.azure.com{path}"


SITES, SITE_, SETTINGS = (
    arm(f"{SCOPE}/providers/Microsoft.Web/sites"),
    arm(SITE),
    arm(f"{SITE}/config/appsettings/list", "POST"),
)
FUNCTIONS, ROLE_, TOPICS = (
    arm(f"{SITE}/functions"),
    arm(ROLE),
    arm(f"{SCOPE}/providers/Microsoft.EventGrid/systemTopics"),
)
EVENTS = arm(f"{TOPIC}/eventSubscriptions")
QUEUE, POISON = (arm(f"{STORE}/queueServices/default/queues/{name}") for name in ("images", "images-poison"))
ASSIGNED = arm(f"{SCOPE}/providers/Microsoft.Authorization/roleAssignments")
PUT = "POST publisherx.queue.core.windows.net/images/messages"
COMPONENTS = arm(f"{SCOPE}/providers/Microsoft.Insights/components")
COMPONENT: dict[str, Any] = {"value": [{"properties": {"InstrumentationKey": "key-1", "AppId": "app-1"}}]}
QUERY = "POST api.applicationinsights.io/v1/apps/app-1/query"
OPERATIONS = [
    f"{kind}/{verb}"
    for kind in ("Microsoft.Compute/images", "Microsoft.Compute/galleries/images/versions", "Microsoft.Resources/tags")
    for verb in ("write", "delete")
]


def deployment() -> dict[str, Answer]:
    """Return the documents of a deployment that is well."""
    site = {
        "id": SITE,
        "name": "publisher-x",
        "identity": {"userAssignedIdentities": {"/x": {"principalId": "principal"}}},
        "properties": {
            "state": "Running",
            "enabled": True,
            "functionAppConfig": {"runtime": {"name": "python", "version": "3.13"}},
        },
    }
    endpoint = {
        "endpointType": "StorageQueue",
        "properties": {"resourceId": STORE, "queueName": "images", "queueMessageTimeToLiveInSeconds": 604800},
    }
    filters = [
        {"operatorType": "StringIn", "key": "data.operationName", "values": OPERATIONS},
        {
            "operatorType": "StringContains",
            "key": "data.resourceUri",
            "values": ["/providers/Microsoft.Compute/images/"],
        },
    ]
    return {
        arm(SCOPE): {"state": "Enabled", "displayName": "Images"},
        SITES: {"value": [{"id": f"{SITE}other", "name": "other"}, {"id": SITE, "name": "Publisher-X"}]},
        SITE_: site,
        SETTINGS: {
            "properties": {
                **FEDERATION,
                "PUBLISHER_WORKLOAD_AUDIENCE": "api://packer-publisher",
                "PUBLISHER_CONFIG": CONFIG,
                "PUBLISHER_QUEUE": "images",
                "PUBLISHER_STORAGE__queueServiceUri": "https://publisherx.queue.core.windows.net/",
                "PUBLISHER_STORAGE__credential": "managedidentity",
                "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey=key-1;IngestionEndpoint=https://x/",
            }
        },
        FUNCTIONS: {
            "value": [{"name": f"publisher-x/{name}"} for name in ("publish_image", "sweep_images", "sweep_weeks")]
        },
        ASSIGNED: {"value": [{"properties": {"roleDefinitionId": ROLE}}]},
        ROLE_: {
            "properties": {
                "permissions": [
                    {
                        "actions": [
                            "Microsoft.Compute/galleries/images/*",
                            "Microsoft.Compute/images/read",
                            "microsoft.resources/subscriptions/resources/read",
                        ],
                        "dataActions": [f"{MESSAGES}/*"],
                    }
                ]
            }
        },
        TOPICS: {"value": [{"id": TOPIC, "name": "publisher", "properties": {"source": SCOPE.upper()}}]},
        EVENTS: {
            "value": [
                {
                    "name": "images",
                    "properties": {
                        "provisioningState": "Succeeded",
                        "deliveryWithResourceIdentity": {"identity": {}, "destination": endpoint},
                        "deadLetterWithResourceIdentity": {"deadLetterDestination": {}},
                        "eventDeliverySchema": "EventGridSchema",
                        "filter": {
                            "includedEventTypes": [
                                "Microsoft.Resources.ResourceWriteSuccess",
                                "Microsoft.Resources.ResourceDeleteSuccess",
                            ],
                            "advancedFilters": filters,
                        },
                    },
                }
            ]
        },
        arm(f"{SCOPE}/providers/Microsoft.Storage/storageAccounts"): {"value": [{"id": STORE, "name": "publisherx"}]},
        QUEUE: {"properties": {"approximateMessageCount": 4}},
        POISON: {"properties": {"approximateMessageCount": 0}},
    }


@pytest.fixture
def azure() -> Iterator[tuple[Documents, str]]:
    with documents(deployment()) as served:
        yield served


def look(azure: tuple[Documents, str], registry: LocalRegistry, *, probe: bool = False) -> list[Finding]:
    environ = {**registry.environment(), "PUBLISHER_ARM_ENDPOINT": azure[1], "AZURE_SUBSCRIPTION_ID": SUB}
    return examine(Platform.AZURE, Named(function="publisher-x"), environ, probe=probe)


def test_a_deployment_that_is_well(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """Everything is looked at, by reading alone; the settings take a POST, as Azure has it."""
    findings = look(azure, registry)
    assert [] == bad(findings)
    assert [
        "Azure credentials", "function app", "configuration", "function's credentials", "HCP credentials", "registry",
        "clock", "functions", "role", "system topic", "event subscription", "queue", "poison queue", "probe",
    ] == [found.about for found in findings]  # fmt: skip
    assert [SETTINGS] == [asked.partition("?")[0] for asked in azure[0].asked if not asked.startswith("GET")]
    assert all("api-version=" in asked for asked in azure[0].asked)


FILTERS = "value__0__properties__filter"
DESTINATION = "value__0__properties__deliveryWithResourceIdentity__destination__properties"
Break = Callable[[Documents], object]
BROKEN: dict[str, tuple[Break, str, str]] = {
    "subscription": (
        lambda d: d.change(arm(SCOPE), state="Disabled"),
        "Azure credentials",
        "the subscription is Disabled",
    ),
    "no app": (
        lambda d: d.table.update({SITES: {"value": []}}),
        "function app",
        "there is no function app publisher-x in the subscription",
    ),
    "stopped": (
        lambda d: d.change(SITE_, properties__state="Stopped"),
        "function app",
        "it is Stopped: events stay in the queue, for 7 days at most",
    ),
    "runtime": (
        lambda d: d.change(SITE_, properties__functionAppConfig__runtime__version="3.12"),
        "function app",
        "it runs on python 3.12, and its archive is for python 3.13",
    ),
    "disabled": (
        lambda d: d.change(SETTINGS, **{"properties__AzureWebJobs.sweep_images.Disabled": "true"}),
        "functions",
        "sweep_images is disabled by a setting",
    ),
    "functions": (
        lambda d: d.table.update({FUNCTIONS: {"value": []}}),
        "functions",
        "publish_image, sweep_images, sweep_weeks is missing",
    ),
    "configuration": (
        lambda d: d.change(SETTINGS, properties__PUBLISHER_AZURE_ARTIFACT="both"),
        "configuration",
        "PUBLISHER_AZURE_ARTIFACT",
    ),
    "role": (
        lambda d: d.table.update({ASSIGNED: {"value": []}}),
        "role",
        "Microsoft.Compute/galleries/images/read is not granted;",
    ),
    "role without": (
        lambda d: d.change(ROLE_, properties__permissions__0__notActions=["Microsoft.Compute/images/*"]),
        "role",
        "Microsoft.Compute/images/read is not granted",
    ),
    "role on the queue": (
        lambda d: d.change(ROLE_, properties__permissions__0__notDataActions=[f"{MESSAGES}/process/action"]),
        "role",
        f"{MESSAGES}/process/action is not granted",
    ),
    "no identity": (lambda d: d.change(SITE_, identity=None), "function app", "it has no identity"),
    "nothing shown": (
        lambda d: d.table.pop(arm(SCOPE)),
        "Azure credentials",
        f"Azure shows no subscription {SUB}",
    ),
    "queue not named": (
        lambda d: d.change(SETTINGS, properties__PUBLISHER_QUEUE=""),
        "queue",
        "PUBLISHER_QUEUE or PUBLISHER_STORAGE__queueServiceUri is not set: no event is seen",
    ),
    "no storage account": (
        lambda d: d.change(arm(f"{SCOPE}/providers/Microsoft.Storage/storageAccounts"), value=[]),
        "queue",
        "there is no storage account publisherx in the subscription",
    ),
    "short lives": (
        lambda d: d.change(EVENTS, **{f"{DESTINATION}__queueMessageTimeToLiveInSeconds": 3600}),
        "event subscription",
        "its messages live for less than 7 days",
    ),
    "schema": (
        lambda d: d.change(EVENTS, value__0__properties__eventDeliverySchema="CloudEventSchemaV1_0"),
        "event subscription",
        "it delivers as CloudEventSchemaV1_0",
    ),
    "no topic": (
        lambda d: d.change(TOPICS, value__0__properties__source=f"{SCOPE}/resourceGroups/x"),
        "system topic",
        "the subscription has none, so Azure tells of no image",
    ),
    "no subscription": (
        lambda d: d.table.update({EVENTS: {"value": []}}),
        "event subscription",
        "none brings events to the queue images",
    ),
    "failed": (
        lambda d: d.change(EVENTS, value__0__properties__provisioningState="Failed"),
        "event subscription",
        "it is Failed",
    ),
    "types": (
        lambda d: d.change(EVENTS, **{f"{FILTERS}__includedEventTypes": ["Microsoft.Resources.ResourceWriteSuccess"]}),
        "event subscription",
        "it leaves out Microsoft.Resources.ResourceDeleteSuccess",
    ),
    "operations": (
        lambda d: d.change(EVENTS, **{f"{FILTERS}__advancedFilters__0__values": OPERATIONS[:4]}),
        "event subscription",
        "it leaves out microsoft.resources/tags/delete, microsoft.resources/tags/write",
    ),
    "no dead letters": (
        lambda d: d.change(EVENTS, value__0__properties__deadLetterWithResourceIdentity=None),
        "event subscription",
        "what it cannot deliver is lost: it has no dead-letter container",
    ),
    "no queue": (lambda d: d.table.pop(QUEUE), "queue", "there is no queue images in publisherx"),
    "poison": (
        lambda d: d.change(POISON, properties__approximateMessageCount=2),
        "poison queue",
        "2 messages given up after all tries",
    ),
    "no poison queue": (lambda d: d.table.pop(POISON), "poison queue", "there is no queue images-poison"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_named_with_what_mends_it(
    azure: tuple[Documents, str], registry: LocalRegistry, case: str
) -> None:
    """Each thing is broken by itself, and found by itself."""
    break_it, about, text = BROKEN[case]
    break_it(azure[0])

    found = only_wrong(look(azure, registry))

    assert about == found.about
    assert text in found.text
    assert found.remedy


def test_settings_that_may_not_be_read(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """A Reader may not list them: the rest is examined, and that is unknown."""
    azure[0].table[SETTINGS] = 403
    findings = look(azure, registry)
    assert [(Verdict.UNKNOWN, "settings")] == [(verdict, about) for verdict, about, _ in bad(findings)]
    assert ["right: the identity may read images and galleries, and work off its queue"] == said(findings, "role")


def test_what_somebody_should_know(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """More than is needed is told, and a filter that hears of a part alone; neither is wrong."""
    azure[0].change(ROLE_, properties__permissions__0__actions=["*"])
    azure[0].change(EVENTS, **{f"{FILTERS}__subjectBeginsWith": f"{SCOPE}/resourceGroups/images"})
    findings = look(azure, registry)
    assert [] == bad(findings)
    assert "note: the identity may do everything in a scope" in said(findings, "role")
    heard = "note: it hears only of what its filter names (subjectBeginsWith)"
    assert heard in said(findings, "event subscription")


def test_lists_go_on_page_after_page(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """The app is on the second page; a page at another host is not asked for, and that is unknown."""
    found, url = azure
    sites = found.table[SITES]
    assert isinstance(sites, dict)
    found.table[f"{SITES}?page=2"] = sites
    found.table[SITES] = {"value": [], "nextLink": f"{url}/{SITES.removeprefix('GET ')}?page=2"}
    assert [] == bad(look(azure, registry))
    found.change(SITES, nextLink="https://evil.example/2")
    assert [(Verdict.UNKNOWN, "function app", "A list of Azure goes on at another host.")] == bad(look(azure, registry))


@pytest.mark.parametrize(
    ("key", "about"),
    [
        (arm(SCOPE), "Azure credentials"),
        (SITES, "function app"),
        (FUNCTIONS, "functions"),
        (ASSIGNED, "role"),
        (ROLE_, "role"),
        (TOPICS, "event subscription"),
        (EVENTS, "event subscription"),
        (QUEUE, "queues"),
        (POISON, "queues"),
    ],
)
@pytest.mark.parametrize("refusal", [403, 500, "<html>made up</html>"], ids=["denied", "broken", "no answer"])
def test_what_may_not_be_looked_at_is_unknown(
    azure: tuple[Documents, str], registry: LocalRegistry, key: str, about: str, refusal: int | str
) -> None:
    """By itself, whatever is the matter; a denial says which role would allow it, in none of Azure's words."""
    azure[0].table[key] = refusal
    findings = look(azure, registry)
    [found] = [found for found in findings if found.verdict is not Verdict.RIGHT and found.about != "probe"]
    assert (Verdict.UNKNOWN, about) == (found.verdict, found.about)
    assert (refusal == 403) == (found.trouble is Trouble.CREDENTIALS) == ("with the role Reader on" in found.remedy)
    assert found.remedy
    assert "made up" not in str(findings)


def test_credentials_that_azure_refuses(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """It is said once, and HCP is asked all the same."""
    azure[0].table[arm(SCOPE)] = 401
    findings = look(azure, registry)
    assert ["Azure credentials", "HCP credentials", "registry", "clock"] == [found.about for found in findings]
    [(verdict, _, text)] = bad(findings)
    assert (Verdict.WRONG, "management.azure.com refuses it (HTTP 401, Refused).") == (verdict, text)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({}, "it could not be sent: There is no queue images."),
        ({PUT: 403}, "it could not be sent: publisherx.queue.core.windows.net refuses it (HTTP 403)."),
        ({PUT: {}}, "The app's Application Insights is not found."),
        ({PUT: {}, COMPONENTS: COMPONENT, QUERY: 403}, "the log cannot be read: look for "),
        ({PUT: {}, COMPONENTS: COMPONENT, QUERY: {"tables": [{"rows": [["{not json"], ["[]"], ["{}"]]}]}}, "no answer"),
    ],
)
def test_a_probe_that_comes_to_nothing(
    azure: tuple[Documents, str], registry: LocalRegistry, answers: dict[str, Answer], text: str
) -> None:
    """Where it went is said, and what is in the way."""
    azure[0].table.update(answers)
    findings = look(azure, registry, probe=True)
    [found] = [found for found in findings if found.about == "probe"]
    assert text in found.text
    assert found.verdict is (Verdict.WRONG if text == "no answer" else Verdict.UNKNOWN)


def test_what_must_be_named() -> None:
    """An app's name is everybody's own, and so is the subscription."""
    for named, environ, word in (
        (Named(), {"AZURE_SUBSCRIPTION_ID": SUB}, "function app"),
        (Named("x"), {}, "subscription"),
    ):
        with pytest.raises(ConfigurationError, match=f"No {word} is named"):
            examine(Platform.AZURE, named, environ)


def test_a_probe(azure: tuple[Documents, str], registry: LocalRegistry) -> None:
    """It is put on the Storage queue in base64, and Application Insights is asked for its id."""
    sent: list[str] = []

    def put(body: bytes) -> dict[str, Any]:
        text = ET.fromstring(body).findtext("MessageText") or ""  # noqa: S314 - our own
        sent.append(json.loads(base64.b64decode(text))["packer-publisher"]["probe"]["id"])
        return {}

    def query(body: bytes) -> dict[str, Any]:
        assert f"message has '{sent[0]}'" in json.loads(body)["query"]
        answer = {"message": "probe", "probe": sent[0], "version": __version__, "registry": "active",
                  "images": "readable",
                  "configuration": configuration_digest({"PUBLISHER_CONFIG": CONFIG}), "denied": []}  # fmt: skip
        return {"tables": [{"name": "PrimaryResult", "rows": [["Executing"], [f"[x] {json.dumps(answer)}"]]}]}

    table = azure[0].table
    table |= {PUT: put, COMPONENTS: COMPONENT, QUERY: query}
    findings = look(azure, registry, probe=True)
    assert [] == bad(findings)
    assert ["right: its own credentials are taken, the registry is active"] == said(findings, "function's way to HCP")
