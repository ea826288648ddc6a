"""``--enqueue`` and ``--queue``: what is wrong is told before anything is listed or sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.clouds.aws_stand_in import forget_credentials

from packer_publisher.cli.program import program


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing answers: whoever asked would fail with another status."""
    forget_credentials(monkeypatch)
    for name in ("AWS", "AZURE", "GCP"):
        monkeypatch.delenv(f"PUBLISHER_QUEUE_{name}", raising=False)
    monkeypatch.setenv("PUBLISHER_CONFIG", json.dumps({"buckets": {"web": None}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mapping.json").write_text('{"rules": []}', encoding="utf-8")


def refused(*words: str) -> str:
    """Return what the command says when it refuses to start."""
    found = CliRunner().invoke(program, ["backfill", *words, "--yes"], prog_name="packer-publisher")
    assert (2, "") == (found.exit_code, found.stdout), found.stderr
    return found.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["azure", "--enqueue", "--queue", "azure="], "--queue azure= names no cloud's queue"),
        (["azure", "--enqueue", "--queue", "mars=https://x"], "--queue mars=https://x names no cloud's queue"),
        (["azure", "--enqueue", "--queue", "aws=https://x"], "--queue names a queue for aws, which is not asked for"),
        (["azure", "--enqueue", "--queue", "azure=a", "--queue", "azure=b"], "--queue names two queues for azure"),
        (["azure", "--enqueue", "--queue", "azure=https://example.com/q"], "is no URL of a Storage queue"),
        (
            ["azure", "--enqueue", "--queue", "azure=http://a.queue.core.windows.net/q12"],
            "is no URL of a Storage queue",
        ),
        (["aws", "--enqueue", "--queue", "aws=packer-publisher"], "packer-publisher is no URL of an SQS queue"),
        (["gcp", "--enqueue", "--queue", "gcp=images"], "images is no Pub/Sub topic"),
        (["gcp", "--enqueue", "--mapping", "mapping.json"], "--enqueue does not go with --mapping"),
        (["gcp", "--queue", "gcp=projects/p/topics/t"], "--queue goes with --enqueue"),
        (["gcp", "--timeout", "soon"], "'soon' is no duration"),
    ],
)
def test_bad_input_is_status_two(words: list[str], message: str, tmp_path: Path) -> None:
    """A clear error, and no journal."""
    assert message in refused(*words)
    assert ["mapping.json"] == [path.name for path in tmp_path.iterdir()]


def test_without_a_queue_it_says_which_setting_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every cloud that is asked for and has none."""
    monkeypatch.setenv("PUBLISHER_QUEUE_AWS", "https://sqs.eu-west-1.amazonaws.com/123456789012/packer-publisher")
    error = refused("all", "--enqueue")
    assert "--enqueue needs the queue of the function for azure and gcp" in error
    assert "set PUBLISHER_QUEUE_AZURE and PUBLISHER_QUEUE_GCP, or --queue aws=" in error
