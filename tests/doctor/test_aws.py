"""The doctor on AWS, against a whole deployment in moto: what is right, and each thing that can be wrong."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import boto3
import pytest

from packer_publisher import __version__
from packer_publisher.clouds import aws_events
from packer_publisher.clouds.aws_calls import Clients
from packer_publisher.clouds.aws_desk import Desk
from packer_publisher.clouds.aws_policies import allowed, sweeping
from packer_publisher.deadline import Deadline
from packer_publisher.doctor.run import Examination
from packer_publisher.examiners import Named
from packer_publisher.finding import Finding, Trouble, Verdict
from packer_publisher.image import Platform
from packer_publisher.intake import receive
from packer_publisher.local.aws import LocalAWS
from packer_publisher.local.registry_serve import LocalRegistry
from packer_publisher.runtime import close_publishers
from packer_publisher.settings import configuration_digest
from tests.clouds.aws_stand_in import fresh_account_id
from tests.doctor.aws_deployment import CONFIG, NAME, QUEUEING, READING, STATES, TAGS, Deployment
from tests.doctor.examining import FEDERATION, bad, examine, said
from tests.doctor.gate import WORDS, Gate, gate
from tests.registry.peer import Says, running_peer

REGIONS = ("eu-west-1", "us-east-1")


@pytest.fixture(scope="module")
def local() -> Iterator[LocalAWS]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with LocalAWS(REGIONS, ("me-south-1",)) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(local: LocalAWS) -> Deployment:
    return Deployment(local.account(fresh_account_id(), "eu-west-1"), ("us-east-1",))


@pytest.fixture
def deployment(deployed: Deployment, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The one deployment, mended; boto3's default session would keep the credentials of somebody else."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in {**deployed.account.environment, **registry.environment()}.items():
        monkeypatch.setenv(name, value)
    # Every boto3 session reads the services' models anew; this one has them.
    monkeypatch.setattr(boto3, "Session", deployed.account.session)
    deployed.mend()
    return deployed


def look(registry: LocalRegistry, **named: Any) -> list[Finding]:
    return examine(Platform.AWS, Named(**named), registry.environment())


WELL = [
    "AWS credentials", "function", "archive", "configuration", "function's credentials", "HCP credentials", "registry",
    "clock", "buckets", "role", "event source", "queue", "dead letters", "queue policy", "rule of tag changes",
    "rule of state changes", "sweeps", "region us-east-1", "dead letters of us-east-1", "probe",
]  # fmt: skip


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


def test_no_credentials_for_hcp_are_no_good_sign(deployment: Deployment) -> None:
    """The rest is examined; what could not be looked at is not taken for right."""
    findings = examine(Platform.AWS, Named(), {"HOME": "/nonexistent-home"})
    assert [(Verdict.UNKNOWN, "HCP credentials")] == [(verdict, about) for verdict, about, _ in bad(findings)]


def serve(deployment: Deployment, registry: LocalRegistry, *, idle: bool = False) -> Callable[[Examination], None]:
    """Let the function work off its queue once the probe is sent, and write its log as Lambda does.

    The event source is taken away just before: moto would start the archive in a container.
    """
    environ = {**deployment.account.environment, **registry.environment(), **deployment.variables}

    def attach(run: Examination) -> None:
        send = run.examiner.send_probe

        def sent(text: str) -> None:
            from moto.sqs.models import sqs_backends

            queue = sqs_backends[deployment.account.account_id]["eu-west-1"].queues["publisher-Events"]
            queue.lambda_event_source_mappings.clear()
            send(text)
            if idle:
                return
            identifier = json.loads(text)["packer-publisher"]["probe"]["id"]
            for line in (f"START RequestId: {identifier}", f'["{identifier}"]', f'{{"probe": "x{identifier}"}}'):
                deployment.write_log(line)  # lines that have the id in them, and are no answer
            [message] = deployment.sqs.receive_message(QueueUrl=deployment.url)["Messages"]
            with redirect_stdout(io.StringIO()):
                answer = receive(
                    message["Body"].encode(), aws_events.read_event, Platform.AWS, environ, Deadline.after(20), None,
                    not_ours="none",
                )  # fmt: skip
            for entry in answer.entries:
                deployment.write_log(json.dumps({"level": entry.level, "message": entry.title, **entry.fields}))
            close_publishers()

        run.examiner.send_probe = sent  # type: ignore[method-assign]  # the queue is moto's, the function is played

    return attach


def test_a_probe_goes_through_the_queue_and_comes_back_in_the_log(
    deployment: Deployment, registry: LocalRegistry
) -> None:
    """The function's own credentials, its version and its configuration are what it says itself."""
    findings = examine(Platform.AWS, Named(), registry.environment(), probe=True, before=serve(deployment, registry))
    assert [] == bad(findings)
    tail = {found.about: f"{found.verdict}: {found.text}" for found in findings[-4:]}
    assert f"right: {__version__}" == tail["function's version"]
    assert "right: its own credentials are taken, the registry is active" == tail["function's way to HCP"]
    assert "right: readable" == tail["function's view of images"]
    assert tail["probe"].startswith("right: answered after ")


def test_a_probe_tells_what_only_the_function_knows(deployment: Deployment, registry: LocalRegistry) -> None:
    """HCP refuses the function's key, although the person's is good."""
    deployment.function(deployment.variables | {"HCP_CLIENT_ID": "x", "HCP_CLIENT_SECRET": "made-up-secret"})
    findings = examine(Platform.AWS, Named(), registry.environment(), probe=True, before=serve(deployment, registry))
    [(verdict, about, text)] = bad(findings)
    assert (Verdict.WRONG, "function's way to HCP") == (verdict, about)
    assert "made-up-secret" not in text


def test_a_probe_that_nobody_answers(deployment: Deployment, registry: LocalRegistry) -> None:
    """It is said where to look; a log that is not there says more."""
    idle = serve(deployment, registry, idle=True)
    findings = examine(Platform.AWS, Named(), registry.environment(), probe=True, before=idle)
    assert "wrong: no answer to " in said(findings, "probe")[0]
    deployment.mend()
    deployment.logs.delete_log_group(logGroupName=f"/aws/lambda/{NAME}")
    findings = examine(
        Platform.AWS, Named(), registry.environment(), probe=True, before=serve(deployment, registry, idle=True)
    )
    assert "There is no log group /aws/lambda/packer-publisher" in said(findings, "probe")[0]


@pytest.fixture(scope="module")
def guarded(deployed: Deployment) -> Iterator[tuple[Gate, str]]:
    with gate(deployed.account.endpoint) as found:
        yield found


@pytest.fixture
def guard(guarded: tuple[Gate, str], deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate between the doctor and the account, open at first."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", guarded[1])
    guarded[0].denied.clear()
    yield guarded[0]
    guarded[0].closed.clear()
    guarded[0].words.clear()


RULES = {"rule of tag changes", "rule of state changes", "sweeps"}
DENIED: list[tuple[set[str], set[str], set[str]]] = [
    (
        {
            "lambda:GET /2015-03-31/event-source-mappings",
            "iam:ListAttachedRolePolicies",
            "sqs:GetQueueUrl",
            "events:ListTargetsByRule",
        },
        {"event source", "role", "dead letters", "rules", "region us-east-1"},
        {*RULES, "dead letters of us-east-1"},
    ),
    (
        {"iam:GetRole", "sqs:GetQueueAttributes", "events:DescribeRule", "ec2:DescribeRegions"},
        {"role", "queue", "rules", "forwarders"},
        {*RULES, "dead letters", "queue policy", "region us-east-1", "dead letters of us-east-1"},
    ),
    ({"iam:GetPolicy", "events in us-east-1"}, {"role", "region us-east-1"}, {"dead letters of us-east-1"}),
    ({"iam:GetPolicyVersion", "sqs in us-east-1"}, {"role", "dead letters of us-east-1"}, set()),
    ({"events", "ec2:DescribeImages"}, {"rules", "region us-east-1"}, {*RULES, "dead letters of us-east-1"}),
]
"""What is denied, what is unknown then, and what cannot be told of at all."""


@pytest.mark.parametrize(("closed", "unseen", "untold"), DENIED)
def test_a_look_that_is_denied_is_unknown_and_the_others_go_on(
    deployment: Deployment, registry: LocalRegistry, guard: Gate, closed: set[str], unseen: set[str], untold: set[str]
) -> None:
    """Each line that cannot be told says which permission is missing, in none of AWS's words; no other line is lost."""
    guard.closed |= closed
    with deployment.attached_policy():
        findings = look(registry)

    denied = [found for found in findings if found.verdict is Verdict.UNKNOWN]
    assert unseen == {found.about for found in denied} == {about for _, about, _ in bad(findings)}
    assert {*WELL} - untold | unseen == {found.about for found in findings}
    named = set(re.findall(r"[a-z0-9]+:\w+", " ".join(found.remedy for found in denied)))
    assert set() == {call for call in guard.denied if not call.startswith("lambda:GET")} - named
    assert {Trouble.CREDENTIALS} == {found.trouble for found in denied}
    assert WORDS not in str(findings)


def test_a_region_that_a_policy_closes(deployment: Deployment, registry: LocalRegistry, guard: Gate) -> None:
    """It is told from one whose rules these credentials may not read: the home region shows what they may."""
    guard.closed.add("us-east-1")
    text = "it denies access (AccessDeniedException): a service control policy, or missing permissions"
    findings = look(registry)
    assert ([], [f"note: {text}"]) == (bad(findings), said(findings, "region us-east-1"))
    deployment.function(deployment.variables | {"PUBLISHER_REGIONS": "eu-west-1 us-east-1"})
    assert [(Verdict.UNKNOWN, "region us-east-1", text)] == bad(look(registry))


def test_a_queue_that_goes_before_the_probe_comes(deployment: Deployment, registry: LocalRegistry) -> None:
    """It was there when it was looked at."""

    def take_away(run: Examination) -> None:
        send = run.examiner.send_probe

        def sent(text: str) -> None:
            deployment.sqs.delete_queue(QueueUrl=deployment.url)
            send(text)

        run.examiner.send_probe = sent  # type: ignore[method-assign]  # the moment is the test's

    findings = examine(Platform.AWS, Named(), registry.environment(), probe=True, before=take_away)
    assert [f"unknown: it could not be sent: There is no queue {deployment.url}."] == said(findings, "probe")


def test_lists_go_on_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the token of EventBridge, and by the marker of Lambda."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with running_peer() as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{peer.address}")
        desk = Desk(Clients(), "eu-west-1", Deadline.after(20))
        peer.says(Says({"RuleNames": ["a"], "NextToken": "more"}), Says({"RuleNames": ["b"]}))
        assert ["a", "b"] == list(
            desk.pages("events", "list_rule_names_by_target", "RuleNames", TargetArn="arn:aws:x:y")
        )
        assert "more" == peer.api[-1].json["NextToken"]
        mappings = "EventSourceMappings"
        peer.says(Says({mappings: [{"UUID": "1"}], "NextMarker": "2nd"}), Says({mappings: [{"UUID": "2"}]}))
        found = list(desk.pages("lambda", "list_event_source_mappings", mappings, FunctionName=NAME))
        assert ["1", "2"] == [each["UUID"] for each in found]
        assert "Marker=2nd" in peer.api[-1].target


def test_credentials_that_may_not_look(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS denies everything: unknown, with the permission that is missing, and in none of AWS's words."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAFAKE",
        "AWS_SECRET_ACCESS_KEY": "fake",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    denial = json.dumps({"__type": "AccessDeniedException", "message": "User arn:made:up is not authorized"})
    with running_peer() as peer:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{peer.address}")
        answer = Says(text=denial, status=403, headers={"Content-Type": "application/json"})
        peer.says(answer, answer)
        findings = look(registry)
    assert {"unknown"} == {found.verdict for found in findings if found.about in ("AWS credentials", "function")}
    [function] = [found for found in findings if found.about == "function"]
    assert "run the doctor with credentials that may lambda:GetFunctionConfiguration" == function.remedy
    assert "made:up" not in str(findings)


@pytest.mark.parametrize(
    ("expected", "action", "resource"),
    [
        (True, "ec2:DescribeImages", "*"),
        (True, "SQS:receivemessage", "arn:aws:sqs:eu-west-1:1:events"),
        (False, "sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:1:other"),
        (False, "sqs:DeleteMessage", "arn:aws:sqs:eu-west-1:1:events"),
        (False, "iam:PassRole", "*"),
        (True, "s3:GetObject", "arn:aws:s3:::x"),
        (False, "s3:PutObject", "arn:aws:s3:::x"),
    ],
)
def test_policies(expected: bool, action: str, resource: str) -> None:
    """Allow and deny, patterns in both places, actions without case, NotAction."""
    documents: list[dict[str, Any]] = [
        {"Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}},
        {
            "Statement": [
                {"Effect": "Allow", "Action": ["sqs:*"], "Resource": ["arn:aws:sqs:*:1:events"]},
                {"Effect": "Deny", "Action": "sqs:Delete*", "Resource": "*"},
                {"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"Bool": {"x": "true"}}},
                {"Effect": "Allow", "NotAction": ["iam:*", "ec2:*", "sqs:*", "s3:Put*"], "Resource": "*"},
            ]
        },
    ]
    assert expected == allowed(documents, action, resource)
    assert ["sqs:*"] == sweeping(documents)
