"""The doctor on AWS, against a whole deployment in moto: what is right, and each thing that can be wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from packer_publisher.examiners import Named
from packer_publisher.finding import Verdict
from packer_publisher.image import Platform
from packer_publisher.local.registry_serve import LocalRegistry
from packer_publisher.settings import configuration_digest
from tests.doctor.aws_deployment import CONFIG, NAME, QUEUEING, READING, STATES, TAGS, Deployment
from tests.doctor.aws_examined import WELL, deployed, deployment, guard, guarded, local, look
from tests.doctor.examining import FEDERATION, bad, examine, said
from tests.doctor.gate import Gate

__all__ = ["deployed", "deployment", "guard", "guarded", "local"]


def test_a_deployment_that_is_well(deployment: Deployment, registry: LocalRegistry) -> None:
    """Nothing is wrong, everything was looked at, and nothing was changed."""
    findings = look(registry)

    assert [] == bad(findings)
    assert WELL == [found.about for found in findings]
    assert f"right: digest {configuration_digest({'PUBLISHER_CONFIG': CONFIG})}" in said(findings, "configuration")[0]
    assert {"archive", "probe"} == {found.about for found in findings if found.verdict is Verdict.NOTE}
    assert {"GetRegistry", "GetBucket"} == set(registry.requests.operations())


Break = Callable[[Deployment], object]


def wreck(deployment: Deployment, **attributes: str) -> None:
    given = {"Policy": deployment.policy, **attributes}  # which moto forgets where it is not given
    deployment.sqs.set_queue_attributes(QueueUrl=deployment.url, Attributes=given)


BROKEN: dict[str, tuple[Break, str, str]] = {
    "function gone": (
        lambda d: d.awslambda.delete_function(FunctionName=NAME),
        "function",
        f"there is no function {NAME} in eu-west-1",
    ),
    "runtime": (
        lambda d: d.function(d.variables, "python3.12"),
        "function",
        "it runs on python3.12, and its archive holds bytecode for python3.13",
    ),
    "throttled": (
        lambda d: d.awslambda.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=0),
        "concurrency",
        "it is throttled to 0: nothing is worked on",
    ),
    "role": (
        lambda d: d.role(READING[:2], QUEUEING[1:]),
        "role",
        "ec2:GetImageAncestry is not allowed; sqs:ReceiveMessage is not allowed",
    ),
    "secret": (
        lambda d: d.function(
            d.variables
            | {
                "PUBLISHER_CLIENT_SECRET": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hcp",
                "HCP_CLIENT_ID": "x",
                "PUBLISHER_WORKLOAD_PROVIDER": "",
            }
        ),
        "role",
        "secretsmanager:GetSecretValue is not allowed",
    ),
    "mapping gone": (
        lambda d: d.awslambda.delete_event_source_mapping(UUID=d.mapping),
        "event source",
        "no queue is connected to the function",
    ),
    "paused": (
        lambda d: d.awslambda.update_event_source_mapping(UUID=d.mapping, Enabled=False),
        "event source",
        "it is Disabled: events stay in the queue, for 14 days at most",
    ),
    "queue gone": (
        lambda d: d.sqs.delete_queue(QueueUrl=d.url),
        "queue",
        "there is no queue",
    ),
    "visibility": (
        lambda d: wreck(d, VisibilityTimeout="300"),
        "queue",
        "its visibility timeout of 300 s is less than 6 times the function's",
    ),
    "settle delay": (
        lambda d: wreck(d, DelaySeconds="0"),
        "queue",
        "events rest for 0 s only: Packer may still remove its images",
    ),
    "retention": (
        lambda d: wreck(d, MessageRetentionPeriod="86400"),
        "queue",
        "it keeps messages for less than 14 days",
    ),
    "tries": (
        lambda d: wreck(d, RedrivePolicy=json.dumps({"deadLetterTargetArn": d.dead_arn, "maxReceiveCount": 5})),
        "queue",
        "a message is given up after 5 tries",
    ),
    "queue policy": (
        lambda d: wreck(d, Policy=json.dumps({"Version": "2012-10-17", "Statement": []})),
        "queue policy",
        "it does not admit EventBridge: no event arrives",
    ),
    "dead letters": (
        lambda d: d.sqs.send_message(QueueUrl=d.dead_url, MessageBody="{}"),
        "dead letters",
        "1 message given up, or never taken by the queue",
    ),
    "tag rule gone": (
        lambda d: d.events.remove_targets(Rule="TagChanges", Ids=["target"]),
        "rule of tag changes",
        "there is none: its events do not arrive, and only the sweep finds images",
    ),
    "tag rule off": (
        lambda d: d.events.disable_rule(Name="TagChanges"),
        "rule of tag changes",
        "TagChanges is disabled; it does not hear of hcp-packer-bucket,",
    ),
    "tags of something else": (
        lambda d: d.rule(
            "TagChanges",
            d.home,
            d.arn,
            d.dead_arn,
            pattern=TAGS | {"detail": TAGS["detail"] | {"resource-type": ["instance"]}},
        ),
        "rule of tag changes",
        "there is none: its events do not arrive, and only the sweep finds images",
    ),
    "tag prefix": (
        lambda d: d.rule(
            "TagChanges",
            d.home,
            d.arn,
            d.dead_arn,
            pattern=TAGS | {"detail": TAGS["detail"] | {"changed-tag-keys": ["hcp-packer-bucket"]}},
        ),
        "rule of tag changes",
        "it does not hear of hcp-packer-channels, hcp-packer-component-type, hcp-packer-expects,",
    ),
    "states": (
        lambda d: d.rule(
            "StateChanges", d.home, d.arn, d.dead_arn, pattern=STATES | {"detail": {"State": ["available"]}}
        ),
        "rule of state changes",
        "it does not hear of deregistered, disabled, failed",
    ),
    "lower-case state": (
        lambda d: d.rule("StateChanges", d.home, d.arn, d.dead_arn, pattern=STATES | {"detail-type": ["EC2 Instance"]}),
        "rule of state changes",
        "there is none",
    ),
    "sweep off": (
        lambda d: d.events.disable_rule(Name="SweepDaily"),
        "sweeps",
        "not all run: SweepDaily; lost events are found late, or not at all",
    ),
    "forwarder off": (
        lambda d: d.client("events", "us-east-1").disable_rule(Name="StateChanges"),
        "region us-east-1",
        "StateChanges is disabled; images that become available, deregistered, disabled, failed are not forwarded",
    ),
    "forwarder's dead letters": (
        lambda d: d.client("sqs", "us-east-1").send_message(QueueUrl=d.forwarders["us-east-1"], MessageBody="{}"),
        "dead letters of us-east-1",
        "1 message not taken by eu-west-1",
    ),
    "region not enabled": (
        lambda d: d.function(d.variables | {"PUBLISHER_REGIONS": "eu-west-1 us-east-1 me-south-1"}),
        "region me-south-1",
        "the configuration names it, and it is not enabled",
    ),
    "queue not named": (
        lambda d: d.function({"PUBLISHER_CONFIG": CONFIG, **FEDERATION}),
        "queue",
        "PUBLISHER_QUEUE is not set, so events cannot rest and sweeps hand nothing over",
    ),
    "role gone": (
        lambda d: (
            d.iam.delete_role_policy(RoleName=NAME, PolicyName="publish"),
            d.iam.delete_role(RoleName=NAME),
        ),
        "role",
        "there is no role packer-publisher",
    ),
    "parameter": (
        lambda d: d.function(
            d.variables
            | {
                "PUBLISHER_CLIENT_SECRET": "arn:aws:ssm:eu-west-1:111122223333:parameter/hcp",
                "PUBLISHER_WORKLOAD_PROVIDER": "",
            }
        ),
        "role",
        "ssm:GetParameter is not allowed",
    ),
    "one at a time": (
        lambda d: d.awslambda.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=1),
        "concurrency",
        "1 is reserved, less than the 2 of the event source: throttled messages use up their tries",
    ),
    "whole batches": (
        lambda d: (
            d.awslambda.delete_event_source_mapping(UUID=d.mapping),
            d.awslambda.create_event_source_mapping(EventSourceArn=d.arn, FunctionName=NAME),
        ),
        "event source",
        "it does not report single failures: one message in trouble repeats its whole batch",
    ),
    "dead letters gone": (
        lambda d: d.sqs.delete_queue(QueueUrl=d.dead_url),
        "dead letters",
        "there is no queue arn:aws:sqs:eu-west-1:",
    ),
    "rule without dead letters": (
        lambda d: d.events.put_targets(Rule="StateChanges", Targets=[{"Id": "target", "Arn": d.arn}]),
        "rule of state changes",
        "StateChanges has no dead-letter queue",
    ),
    "no sweeps": (
        lambda d: [d.events.remove_targets(Rule=rule, Ids=["target"]) for rule in ("SweepOften", "SweepDaily")],
        "sweeps",
        "no schedule sweeps: lost events are never found",
    ),
    "one sweep": (
        lambda d: d.events.remove_targets(Rule="SweepOften", Ids=["target"]),
        "sweeps",
        "not all run: one is missing; lost events are found late, or not at all",
    ),
    "forwarder's tags": (
        lambda d: d.client("events", "us-east-1").put_rule(
            Name="TagChanges",
            EventPattern=json.dumps(TAGS | {"detail": TAGS["detail"] | {"changed-tag-keys": ["hcp-packer-bucket"]}}),
        ),
        "region us-east-1",
        "tag changes of hcp-packer-channels, hcp-packer-component-type, hcp-packer-expects,",
    ),
    "configuration": (
        lambda d: d.function(d.variables | {"PUBLISHER_QUIET": "soon"}),
        "configuration",
        "the environment: PUBLISHER_QUIET",
    ),
    "credentials": (
        lambda d: d.function(d.variables | {"PUBLISHER_WORKLOAD_PROVIDER": "packer"}),
        "configuration",
        "the environment: PUBLISHER_WORKLOAD_PROVIDER is 'packer', which is no resource name",
    ),
    "no credentials": (
        lambda d: d.function(d.variables | {"PUBLISHER_WORKLOAD_PROVIDER": ""}),
        "function's credentials",
        "none are set: HCP takes nothing from it",
    ),
    "bucket": (
        lambda d: d.function(d.variables | {"PUBLISHER_CONFIG": '{"buckets": {"missing": {}}}'}),
        "bucket missing",
        "it does not exist, and may not be created: its images are rejected",
    ),
}


ALONE = ("function gone", "queue gone", "queue not named", "configuration", "credentials", "secret")
"""Cases that hide others, or show in a second place."""


def groups() -> list[list[str]]:
    """Return the cases in groups whose things are all different: each look takes a second."""
    found: list[list[str]] = [[case] for case in ALONE]
    for case in BROKEN:
        room = [
            group
            for group in found
            if group and group[0] not in ALONE and BROKEN[case][1] not in {BROKEN[c][1] for c in group}
        ]
        if case not in ALONE:
            (room[0] if room else _new(found)).append(case)
    return found


def _new(found: list[list[str]]) -> list[str]:
    found.append([])
    return found[-1]


@pytest.mark.parametrize("cases", groups(), ids=", ".join)
def test_what_is_wrong_is_named_with_what_mends_it(
    deployment: Deployment, registry: LocalRegistry, cases: list[str]
) -> None:
    """Each broken thing is found, with its remedy, and nothing else is said to be wrong."""
    for case in cases:
        BROKEN[case][0](deployment)

    findings = look(registry)

    for case in cases:
        _, about, text = BROKEN[case]
        [found] = [found for found in findings if found.verdict is Verdict.WRONG and found.about == about]
        assert text in found.text
        assert found.remedy
    assert {BROKEN[case][1] for case in cases} == {about for _, about, _ in bad(findings)}


def test_regions_without_a_forwarder(deployment: Deployment, registry: LocalRegistry) -> None:
    """A region that is named must forward; of the others it is only said that the sweep alone finds their images."""
    for rule in ("TagChanges", "StateChanges"):
        deployment.client("events", "us-east-1").remove_targets(Rule=rule, Ids=["target"])
    text = "no events come from us-east-1: their images are found by the sweep only"
    assert [f"note: {text}"] == said(look(registry), "forwarders")
    deployment.function(deployment.variables | {"PUBLISHER_REGIONS": "eu-west-1 us-east-1"})
    assert [f"wrong: {text}"] == said(look(registry), "forwarders")


def test_the_archive_of_a_release(deployment: Deployment, registry: LocalRegistry) -> None:
    """What runs is compared with what was built."""
    digest = said(look(registry), "archive")[0].removeprefix("note: sha256 ")
    configuration = deployment.awslambda.get_function_configuration(FunctionName=NAME)
    whole = base64.b64decode(configuration["CodeSha256"]).hex()
    assert [f"right: sha256 {digest}, as in the manifest"] == said(look(registry, archive=whole), "archive")
    assert ["wrong: sha256 " + digest + ", the manifest has aaaaaaaaaaaaaaaa"] == said(
        look(registry, archive="a" * 64), "archive"
    )


def test_what_a_role_may_is_what_all_its_policies_and_its_boundary_say(
    deployment: Deployment, registry: LocalRegistry
) -> None:
    """A managed policy counts as an inline one, what is granted by the service is told, and a boundary limits both."""
    deployment.role(READING[:1], QUEUEING)
    with deployment.attached_policy("ec2:*"):
        broad = "note: packer-publisher allows far more than is needed: ec2:*"
        assert ["right: packer-publisher allows what the function does", broad] == said(look(registry), "role")
        with deployment.attached_policy(*READING[:2], "sqs:*", boundary=True) as boundary:
            [text, _] = said(look(registry), "role")
            assert f"wrong: ec2:GetImageAncestry is not allowed by the boundary {boundary}" == text


def test_messages_that_wait(deployment: Deployment, registry: LocalRegistry, guard: Gate) -> None:
    """More than a hundred are told, because trouble may be behind them; that there are some is nothing."""
    guard.words[b'"ApproximateNumberOfMessages": "0"'] = b'"ApproximateNumberOfMessages": "101"'
    told = said(look(registry), "queue")
    assert ["right: 101 messages to be worked on, 0 resting", "note: 101 messages wait"] == told


def test_what_lambda_says_of_a_function_in_trouble(
    deployment: Deployment, registry: LocalRegistry, guard: Gate
) -> None:
    """Its state, and its last update, each with Lambda's reason."""
    guard.words |= {
        b'"State": "Active"': b'"State": "Failed", "StateReason": "no subnet is left"',
        b'"LastUpdateStatus": "Successful"': b'"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no role"',
    }
    [text] = said(look(registry), "function")
    assert "wrong: it is Failed: no subnet is left; its last update failed: no role" == text


def test_a_partition_without_events_across_regions(
    deployment: Deployment, registry: LocalRegistry, guard: Gate
) -> None:
    """In China each region has the whole stack; a forwarder is asked for nowhere."""
    guard.words[b"arn:aws:sts:"] = b"arn:aws-cn:sts:"
    findings = look(registry)
    assert ["note: events cross no regions in aws-cn: 1 other region"] == said(findings, "forwarders")
    assert [] == [found for found in findings if found.about.startswith("region ")]


def test_another_configuration_than_the_one_at_hand(deployment: Deployment, registry: LocalRegistry) -> None:
    """The digest of the document is the same wherever the document is."""
    same = examine(
        Platform.AWS, Named(), {**registry.environment(), "PUBLISHER_CONFIG": json.dumps(json.loads(CONFIG), indent=1)}
    )
    assert ["right: the same document"] == said(same, "configuration here")
    other = examine(Platform.AWS, Named(), {**registry.environment(), "PUBLISHER_CONFIG": '{"buckets": {"*": {}}}'})
    [text] = said(other, "configuration here")
    assert text.startswith("wrong: another document, digest ")


def test_hcp_is_asked_with_the_functions_tenant_and_never_at_its_address(
    deployment: Deployment, registry: LocalRegistry
) -> None:
    """Whoever deploys the function must not learn the key of whoever examines it."""
    elsewhere = {"HCP_PROJECT_ID": "99999999-9999-4999-8999-999999999999", "HCP_AUTH_URL": "https://evil.example"}
    deployment.function(deployment.variables | elsewhere)
    findings = look(registry)
    assert said(findings, "registry")[0].startswith(("wrong: ", "unknown: "))
    assert "evil" not in str(findings)
