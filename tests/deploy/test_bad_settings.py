"""Wrong settings under the real runtimes: told at the start, by the variable's name; no event is lost meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.azure_host import Worker
from tests.deploy.google_framework import GoogleFunction
from tests.deploy.lambda_runtime import LambdaProcess, sqs_event

EVENTS = Path(__file__).parents[1] / "events"
WRONG = {
    "PUBLISHER_CONFIG": '{"buckets": {"web": {"quite": "6h"}}}',
    "PUBLISHER_QUIET": "soon",
    "PUBLISHER_EXPECT": "aws",
    "PUBLISHER_SWEEP_WINDOW": "5m",
    "HCP_ORGANIZATION_ID": "11111111-1111-1111-1111-111111111111",
}
SENTENCES = (
    "PUBLISHER_CONFIG: buckets.web.quite is not known; write quiet",
    'the environment: PUBLISHER_QUIET is "soon"; write a duration such as 2m, 6h or 1h30m',
    "the environment: PUBLISHER_EXPECT is not known; write PUBLISHER_EXPECTS",
    'the environment: PUBLISHER_SWEEP_WINDOW is "5m"; write at least 1h',
)
MISSING = {"PUBLISHER_CONFIG": "publisher.json"}
REMEDY = "`packer-publisher config validate FILE` checks a document"


def told(message: str) -> list[str]:
    """Return the sentences that a message lacks."""
    return [sentence for sentence in SENTENCES if sentence not in message]


def test_aws(unpacked: Callable[[str], Path]) -> None:
    """Lambda: the log of the start names each variable, before any event; a message about an image is kept."""
    event = json.loads((EVENTS / "aws" / "ami_available.json").read_text("utf-8"))
    with LambdaProcess(unpacked("aws"), {**WRONG, "AWS_REGION": "eu-west-1"}) as function:
        function.wait_until_ready()
        batch = sqs_event(event)
        kept = function.invoke(batch)
    first, *rest = function.lines()
    assert ("ERROR", []) == (first["level"], told(first["message"]))
    assert first["remedy"].startswith(REMEDY)
    assert [batch["Records"][0]["messageId"]] == [item["itemIdentifier"] for item in kept["batchItemFailures"]]
    assert ["deferred"] == [line["outcome"] for line in rest if "outcome" in line]


def test_azure(unpacked: Callable[[str], Path]) -> None:
    """Azure Functions: the same, and the functions are there nevertheless: the message waits in its queue."""
    event = (EVENTS / "azure" / "managed_image_written.json").read_text("utf-8")
    with Worker(unpacked("azure"), WRONG) as worker:
        assert worker.started.succeeded
        (first,) = worker.started.reports()
        ended = worker.invoke("publish_image", {"message": {"string": event}}, {"DequeueCount": {"json": "1"}})
    assert [] == told(first["message"])
    assert first["remedy"].startswith(REMEDY)
    assert (False, []) == (ended.succeeded, told(ended.exception))
    assert ended.exception.startswith("ConfigurationProblems: the configuration has 4 problems:")


def test_google(unpacked: Callable[[str], Path]) -> None:
    """Cloud Run functions: the same, and the push is answered with 503, so that it comes again."""
    entry = json.loads((EVENTS / "gcp" / "image_insert_last.json").read_text("utf-8"))
    with GoogleFunction(unpacked("gcp"), WRONG) as function:
        function.wait_for_lines(1)
        first = function.lines()[0]
        assert 503 == function.push(entry)
    assert ("ERROR", []) == (first["severity"], told(first["message"]))
    assert first["remedy"].startswith(REMEDY)


@pytest.mark.parametrize("variable", ["PUBLISHER_CLIENT_SECRET", "PUBLISHER_WORKLOAD_PROVIDER"])
def test_what_may_be_a_secret_is_named_and_not_shown(unpacked: Callable[[str], Path], variable: str) -> None:
    """Credentials that are no reference are told at the start, too; a secret by mistake is in no log."""
    environment = {"PUBLISHER_CONFIG": '{"buckets": {"*": {}}}', variable: "hunter2-the-secret"}
    with LambdaProcess(unpacked("aws"), environment) as function:
        function.wait_until_ready()
    (line,) = function.lines()
    assert variable in line["message"]
    assert ("ERROR", variable == "PUBLISHER_CLIENT_SECRET") == (line["level"], "hunter2" not in function.log)


def test_a_secret_of_another_cloud(unpacked: Callable[[str], Path]) -> None:
    """No archive can read it, and that is told at the start, not with the first image."""
    reference = "projects/img-proj/secrets/hcp/versions/latest"
    environment = {"PUBLISHER_CONFIG": '{"buckets": {"*": {}}}', "PUBLISHER_CLIENT_SECRET": reference}
    with LambdaProcess(unpacked("aws"), environment) as function:
        function.wait_until_ready()
    (line,) = function.lines()
    assert f"PUBLISHER_CLIENT_SECRET names a secret of Google Cloud ({reference})" in line["message"]


def test_a_document_that_is_not_there(unpacked: Callable[[str], Path]) -> None:
    """An archive that was built without CONFIG, and told to read it: the sentence names variable and file."""
    folder = unpacked("aws")
    (folder / "publisher.json").unlink(missing_ok=True)
    with LambdaProcess(folder, MISSING) as function:
        function.wait_until_ready()
    (line,) = function.lines()
    named = f"PUBLISHER_CONFIG names a file that is not there ({folder}/publisher.json"
    assert line["message"].startswith(named), line["message"]
