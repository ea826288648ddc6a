"""What keeps an event until it is handled, and who may touch it on its way, read from the modules.

Terraform's own tests plan the same, where Terraform is; these here run everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.infra.hcl import Block, literal, local, members, read_module, texts

ROOT = Path(__file__).parents[2]
AZURE, GOOGLE = (read_module(ROOT / "infra" / name) for name in ("azure", "gcp"))
EVENTS = AZURE.one("resource", "azurerm_eventgrid_system_topic_event_subscription", "images")
STORAGE = AZURE.one("resource", "azurerm_storage_account", "publisher")
APP = AZURE.one("resource", "azurerm_function_app_flex_consumption", "publisher")
PUSHED = GOOGLE.one("resource", "google_pubsub_subscription", "function")
POISON = GOOGLE.one("resource", "google_pubsub_subscription", "poison")


def values(block: Block, *names: str) -> dict[str, object]:
    """Return literal attributes of a block, without the comments behind them."""
    return {name: literal(block.attributes[name].partition(" #")[0]) for name in names}


def test_azure_hears_of_the_whole_subscription() -> None:
    """The one system topic that a subscription may have lies nowhere; it must deliver as somebody."""
    topic = AZURE.one("resource", "azurerm_eventgrid_system_topic", "subscription")
    assert "data.azurerm_subscription.current.id" == topic.attributes["source_resource_id"]
    assert {"location": "Global", "topic_type": "Microsoft.Resources.Subscriptions"} == values(
        topic, "location", "topic_type"
    )
    assert {"type": "SystemAssigned"} == values(topic.one("identity"), "type")


def test_azure_delivers_for_a_day_and_keeps_what_it_could_not() -> None:
    """With the topic's identity both, and for the most that Event Grid tries."""
    assert {"event_time_to_live": 1440, "max_delivery_attempts": 30} == values(
        EVENTS.one("retry_policy"), "event_time_to_live", "max_delivery_attempts"
    )
    for name in ("delivery_identity", "dead_letter_identity"):
        assert {"type": "SystemAssigned"} == values(EVENTS.one(name), "type")
    queue = EVENTS.one("storage_queue_endpoint").attributes
    assert "azurerm_storage_queue.events.name" == queue["queue_name"]
    assert "var.event_retention_days * 86400" == queue["queue_message_time_to_live_in_seconds"]
    dead = EVENTS.one("storage_blob_dead_letter_destination").attributes
    assert "azurerm_storage_container.dead_letters.name" == dead["storage_blob_container_name"]
    assert 7 == literal(AZURE.one("variable", "event_retention_days").attributes["default"])


def test_azures_dead_letters_outlast_a_month() -> None:
    """They are deleted then, because they say who did what."""
    rule = AZURE.one("resource", "azurerm_storage_management_policy", "publisher").one("rule")
    assert ['"${azurerm_storage_container.dead_letters.name}/"'] == re.findall(
        r'".*?"', rule.one("filters").attributes["prefix_match"]
    )
    base = rule.one("actions").one("base_blob")
    assert {"delete_after_days_since_modification_greater_than": 30} == values(base, *base.attributes)


def azure_roles(who: str) -> set[tuple[str, str]]:
    """Return the roles of one principal, each with its scope, as they are written."""
    found = set()
    for block in AZURE.all("resource", "azurerm_role_assignment"):
        if block.attributes["principal_id"] == who:
            role = block.attributes.get("role_definition_name") or block.attributes["role_definition_id"]
            found.add((role.strip('"'), block.attributes["scope"]))
    return found


def test_azures_topic_may_put_events_into_the_queue_and_dead_letters_into_their_container() -> None:
    """And nothing else."""
    container = "containers/${azurerm_storage_container.dead_letters.name}"
    assert {
        ("Storage Queue Data Message Sender", "local.queue_scopes.events"),
        (
            "Storage Blob Data Contributor",
            f'"${{azurerm_storage_account.publisher.id}}/blobServices/default/{container}"',
        ),
    } == azure_roles("local.topic.principal_id")
    assert {
        "azurerm_role_assignment.event_grid_queue",
        "azurerm_role_assignment.event_grid_dead_letters",
    } == set(re.findall(r"azurerm_role_assignment\.\w+", EVENTS.attributes["depends_on"]))


def test_azures_host_has_the_roles_that_microsoft_documents() -> None:
    """Blobs and tables of its account, the two queues, its own telemetry; the app begins when it has them."""
    account = "azurerm_storage_account.publisher.id"
    roles = azure_roles("local.identity.principal_id")
    assert {
        ("Storage Blob Data Owner", account),
        ("Storage Table Data Contributor", account),
        ("Monitoring Metrics Publisher", "azurerm_application_insights.publisher.id"),
        ("Key Vault Secrets User", "var.key_vault_secret_scope"),
        ("azurerm_role_definition.queue_worker.role_definition_resource_id", "each.value"),
    } == {role for role in roles if "image_reader" not in role[0]}
    own = [
        block.labels[1]
        for block in AZURE.all("resource", "azurerm_role_assignment")
        if block.attributes["principal_id"] == "local.identity.principal_id"
    ]
    waited = re.findall(r"azurerm_role_assignment\.(\w+)", APP.attributes["depends_on"])
    assert sorted(own) == sorted(waited)


def test_azures_queue_worker_may_do_what_the_host_does_with_messages() -> None:
    """Take, keep, delete, give up; no queue is made or removed."""
    role = AZURE.one("resource", "azurerm_role_definition", "queue_worker").one("permissions").attributes
    queues = "Microsoft.Storage/storageAccounts/queueServices/queues"
    assert [f"{queues}/read"] == texts(role["actions"])
    what = ("add/action", "delete", "process/action", "read", "write")
    assert [f"{queues}/messages/{each}" for each in what] == texts(role["data_actions"])


def app_settings() -> dict[str, str]:
    """Return the settings that every deployment of the app has, as they are written."""
    return members("{" + APP.attributes["app_settings"].partition("\n    {")[2].rpartition("}")[0] + "}")


def test_azures_storage_has_no_key_and_none_is_used() -> None:
    """Neither by the host, nor by the trigger, nor for the package."""
    closed = {
        "shared_access_key_enabled": False,
        "default_to_oauth_authentication": True,
        "local_user_enabled": False,
        "allow_nested_items_to_be_public": False,
        "https_traffic_only_enabled": True,
        "min_tls_version": "TLS1_2",
    }
    assert closed == values(STORAGE, *closed)
    assert "UserAssignedIdentity" == literal(APP.attributes["storage_authentication_type"])
    assert "storage_access_key" not in APP.attributes
    settings = app_settings()
    assert '""' == settings["AzureWebJobsStorage"], "the provider puts a connection string there, unless it is named"
    for connection in ("AzureWebJobsStorage", "PUBLISHER_STORAGE"):
        assert '"managedidentity"' == settings[f"{connection}__credential"]
        assert "local.identity.client_id" == settings[f"{connection}__clientId"]
    assert "azurerm_storage_account.publisher.name" == settings["AzureWebJobsStorage__accountName"]
    assert "azurerm_storage_account.publisher.primary_queue_endpoint" == settings["PUBLISHER_STORAGE__queueServiceUri"]
    assert "azurerm_storage_queue.events.name" == settings["PUBLISHER_QUEUE"]


def test_azures_function_is_who_it_is_meant_to_be() -> None:
    """To Azure, to HCP and to its own log, whose lines are sent one and all; nobody comes in."""
    settings = app_settings()
    assert "local.identity.client_id" == settings["AZURE_CLIENT_ID"], "no identity is the default one"
    assert "data.azurerm_subscription.current.subscription_id" == settings["AZURE_SUBSCRIPTION_ID"]
    told = '"ClientId=${local.identity.client_id};Authorization=AAD"'
    assert told == settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"]
    sampling = "AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__isEnabled"
    assert '"false"' == settings[sampling], "alerts count lines"
    insights = AZURE.one("resource", "azurerm_application_insights", "publisher")
    closed = {"sampling_percentage": 100, "local_authentication_disabled": True}
    assert closed == values(insights, *closed)
    closed = {"https_only": True, "webdeploy_publish_basic_authentication_enabled": False}
    assert closed == values(APP, *closed)
    assert {"ip_restriction_default_action": "Deny"} == values(APP.one("site_config"), "ip_restriction_default_action")


@pytest.mark.parametrize(
    ("module", "local_addresses"),
    [(AZURE, {"169.254.0.0/16"}), (GOOGLE, {"169.254.169.254", "metadata.google.internal"})],
    ids=["azure", "gcp"],
)
def test_no_proxy_sees_a_token_of_the_platform(module: Block, local_addresses: set[str]) -> None:
    """Identity endpoints are local; what a person names besides comes after them."""
    left_out = members(local(module, "proxy").partition(": ")[2])["NO_PROXY"]
    assert {"localhost", "127.0.0.1", *local_addresses} <= set(re.findall(r'"([^"]+)"', left_out))
    assert "var.proxy.no_proxy" in left_out


def test_azure_lets_event_grid_through_the_firewall() -> None:
    """It is a trusted service; a private endpoint it could not use."""
    rules = STORAGE.one("network_rules").attributes
    assert ["AzureServices"] == texts(rules["bypass"])
    assert literal(STORAGE.attributes["public_network_access_enabled"].partition(" #")[0]) is True


def test_google_tries_for_seven_days_and_never_gives_up_before() -> None:
    """A hundred tries, which a dead-letter policy allows at most, end before a day's outage does."""
    assert ("10s", "600s") == tuple(values(PUSHED.one("retry_policy"), "minimum_backoff", "maximum_backoff").values())
    for subscription in (PUSHED, POISON):
        assert "604800s" == literal(subscription.attributes["message_retention_duration"])
        assert "" == literal(subscription.one("expiration_policy").attributes["ttl"]), "it would go after a month"
        assert "dead_letter_policy" not in {block.type for block in subscription.blocks}
        assert "dead_letter_policy" not in {label for block in subscription.blocks for label in block.labels}


def test_google_pushes_with_a_token_that_the_function_takes() -> None:
    """Made out for its own address, by Pub/Sub, in the name of an account that may call it and do nothing else."""
    push = PUSHED.one("dynamic", "push_config").one("content")
    assert "push_config.value" == push.attributes["push_endpoint"]
    token = push.one("oidc_token").attributes
    assert "push_config.value" == token["audience"]
    assert "google_service_account.pusher.email" == token["service_account_email"]
    invoker = GOOGLE.one("resource", "google_cloud_run_v2_service_iam_member", "pusher").attributes
    assert "google_cloudfunctions2_function.publisher.name" == invoker["name"]
    assert ("roles/run.invoker", "google_service_account.pusher.member") == (
        literal(invoker["role"]),
        invoker["member"],
    )
    maker = GOOGLE.one("resource", "google_service_account_iam_member", "push_tokens").attributes
    assert "google_service_account.pusher.name" == maker["service_account_id"]
    assert "roles/iam.serviceAccountTokenCreator" == literal(maker["role"])
    assert '"serviceAccount:service-${local.number}@gcp-sa-pubsub.iam.gserviceaccount.com"' == maker["member"]
    for needed in ("google_cloud_run_v2_service_iam_member.pusher", "google_service_account_iam_member.push_tokens"):
        assert needed in PUSHED.attributes["depends_on"]
    others = [
        block.labels
        for block in GOOGLE.all("resource")
        if "pusher" in block.attributes.get("member", "") and block.labels[1] not in ("pusher", "push_tokens")
    ]
    assert [] == others


def test_google_tells_of_the_projects_below() -> None:
    """A folder's sink and an organization's; every sink writes as somebody who may."""
    for kind in ("folder", "organization"):
        sink = GOOGLE.one("resource", f"google_logging_{kind}_sink", "images")
        assert {"include_children": True} == values(sink, "include_children")
    project = GOOGLE.one("resource", "google_logging_project_sink", "images")
    assert literal(project.attributes["unique_writer_identity"]) is True
    kinds = ("project", "folder", "organization")
    for kind in kinds:
        sink = GOOGLE.one("resource", f"google_logging_{kind}_sink", "images")
        assert '"pubsub.googleapis.com/${google_pubsub_topic.events.id}"' == sink.attributes["destination"]
    writer = local(GOOGLE, "writer_identity")
    assert {*kinds} == set(re.findall(r"google_logging_(\w+)_sink\.images\[\*\]\.writer_identity", writer))
    publisher = GOOGLE.one("resource", "google_pubsub_topic_iam_member", "sink").attributes
    assert ("google_pubsub_topic.events.name", "local.writer_identity") == (publisher["topic"], publisher["member"])
    assert "roles/pubsub.publisher" == literal(publisher["role"])


def test_googles_function_may_put_off_and_set_aside() -> None:
    """On its own topic and the poison topic, whose names it is told."""
    own = GOOGLE.one("resource", "google_pubsub_topic_iam_member", "own").attributes
    assert {"events", "poison"} == {*members(own["for_each"])}
    assert ("roles/pubsub.publisher", '"serviceAccount:${local.service_account}"') == (
        literal(own["role"]),
        own["member"],
    )
    text = (ROOT / "infra" / "gcp" / "main.tf").read_text("utf-8")
    assert re.search(r"PUBLISHER_QUEUE += google_pubsub_topic\.events\.id", text)
    assert re.search(r"PUBLISHER_POISON_TOPIC += google_pubsub_topic\.poison\.id", text)
    assert "google_pubsub_topic.poison.id" == POISON.attributes["topic"]


def test_googles_sweeps_go_to_the_topic_of_the_events() -> None:
    """Every quarter of an hour, and once a day; the same function reads both."""
    job = GOOGLE.one("resource", "google_cloud_scheduler_job", "sweep")
    assert "google_pubsub_topic.events.id" == job.one("pubsub_target").attributes["topic_name"]
    schedules = {name: literal(members(each)["schedule"]) for name, each in members(job.attributes["for_each"]).items()}
    assert {"often": "*/15 * * * *", "daily": "7 3 * * *"} == schedules
    assert "!var.enabled" == job.attributes["paused"]


# What takes no tags or labels, by the providers' own schemas; anything else must carry those of the deployment.
UNTAGGED = {
    "azurerm_eventgrid_system_topic_event_subscription", "azurerm_monitor_diagnostic_setting",
    "azurerm_role_assignment", "azurerm_role_definition", "azurerm_storage_container",
    "azurerm_storage_management_policy", "azurerm_storage_queue", "google_cloud_run_v2_service_iam_member",
    "google_cloud_scheduler_job", "google_folder_iam_member", "google_kms_crypto_key_iam_member",
    "google_logging_folder_sink", "google_logging_metric", "google_logging_organization_sink",
    "google_logging_project_bucket_config", "google_logging_project_sink", "google_organization_iam_custom_role",
    "google_organization_iam_member", "google_project_iam_custom_role", "google_project_iam_member",
    "google_project_service", "google_pubsub_topic_iam_member", "google_secret_manager_secret_iam_member",
    "google_service_account", "google_service_account_iam_member", "google_storage_bucket_iam_member",
    "google_storage_bucket_object", "google_tags_location_tag_binding", "terraform_data",
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "names", "value"),
    [(AZURE, ("tags",), "var.tags"), (GOOGLE, ("labels", "user_labels"), "var.labels")],
    ids=["azure", "gcp"],
)
def test_everything_that_takes_tags_has_them(module: Block, names: Iterable[str], value: str) -> None:
    """Whoever pays for it finds all of it."""
    bare = {
        block.labels[0]
        for block in module.all("resource")
        if value not in [block.attributes.get(name) for name in names]
    }
    assert set() == bare - UNTAGGED


@pytest.mark.parametrize(
    ("kind", "name", "attribute", "value"),
    [
        ("google_pubsub_topic", "events", "kms_key_name", "var.kms_key"),
        ("google_pubsub_topic", "poison", "kms_key_name", "var.kms_key"),
        ("google_cloudfunctions2_function", "publisher", "kms_key_name", "var.kms_key"),
        ("google_artifact_registry_repository", "function", "kms_key_name", "var.kms_key"),
    ],
)
def test_googles_key_holds_for_what_holds_something(kind: str, name: str, attribute: str, value: str) -> None:
    """The bucket of the archive has it in a block of its own."""
    assert value == GOOGLE.one("resource", kind, name).attributes[attribute]
    bucket = GOOGLE.one("resource", "google_storage_bucket", "package").one("dynamic", "encryption")
    assert "var.kms_key[*]" == bucket.attributes["for_each"]
