"""The doctor's probe on AWS: through the queue, to the function, and back in its log."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout

from packer_publisher import __version__
from packer_publisher.clouds import aws_events
from packer_publisher.deadline import Deadline
from packer_publisher.doctor.run import Examination
from packer_publisher.examiners import Named
from packer_publisher.finding import Verdict
from packer_publisher.image import Platform
from packer_publisher.intake import receive
from packer_publisher.local.registry_serve import LocalRegistry
from packer_publisher.runtime import close_publishers
from tests.doctor.aws_deployment import NAME, Deployment
from tests.doctor.aws_examined import deployed, deployment, local
from tests.doctor.examining import bad, examine, said

__all__ = ["deployed", "deployment", "local"]


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
