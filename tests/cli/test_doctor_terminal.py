"""``doctor`` at a terminal: lines that fit, a question before the probe, Ctrl-C at any moment."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.terminal import CTRL_C, CTRL_D, on_terminal
from tests.cli.test_doctor import environment
from tests.doctor.rest_stand_in import Documents, documents
from tests.doctor.test_gcp import CONFIG, ENTRIES, PUBLISH, SINK, deployment
from tests.switches import setting

from packer_publisher import __version__
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.settings import configuration_digest

QUESTION = "Send a probe through the function's queue? It answers with a line in its log, no more. [y/N] "
COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def registry() -> Iterator[LocalRegistry]:
    with local_registry(RegistryModel(seed=1, switches=setting())) as registry:
        yield registry


@pytest.fixture
def google() -> Iterator[tuple[Documents, str]]:
    with documents(deployment()) as served:
        yield served


def answering(google: tuple[Documents, str]) -> list[str]:
    """Let the function answer probes; return the list of those that were sent."""
    sent: list[str] = []

    def publish(body: bytes) -> dict[str, Any]:
        message = json.loads(base64.b64decode(json.loads(body)["messages"][0]["data"]))
        sent.append(message["packer-publisher"]["probe"]["id"])
        return {}

    line = {"version": __version__, "configuration": configuration_digest({"PUBLISHER_CONFIG": CONFIG}),
            "registry": "active", "images": "readable", "denied": []}  # fmt: skip
    google[0].table |= {PUBLISH: publish, ENTRIES: lambda _: {"entries": [{"jsonPayload": line}]}}
    return sent


@pytest.mark.parametrize(
    ("keys", "sent", "status", "last"),
    [
        ("y\r", 1, 0, "18 right"),
        ("\r", 0, 0, "14 right, 1 note"),
        (CTRL_C, 0, 130, ""),
        (CTRL_D, 0, 0, "14 right, 1 note"),
    ],
    ids=["yes", "nothing typed", "ctrl-c", "ctrl-d"],
)
def test_a_probe_is_sent_when_a_person_says_so(
    google: tuple[Documents, str], registry: LocalRegistry, tmp_path: Path, keys: str, sent: int, status: int, last: str
) -> None:
    """Everything is on the screen before the question; whoever types nothing, or leaves, sends none."""
    asked = answering(google)
    environ = {"PATH": os.environ["PATH"], **environment(google, registry)}
    with on_terminal(("doctor", "gcp"), environ, tmp_path) as screen:
        screen.until(QUESTION)
        assert "sweeps: 2 schedules" in screen.seen
        screen.type(keys)
        assert status == screen.end(), screen.seen
    assert sent == len(asked)
    shown = COLOURS.sub("", screen.seen)
    assert "Traceback" not in shown
    assert last in shown.splitlines()[-1]
    lines = [line for line in shown.splitlines() if line and not line.startswith(QUESTION)]
    assert max(len(line) for line in lines) <= 80


def test_ctrl_c_while_an_answer_is_waited_for(
    google: tuple[Documents, str], registry: LocalRegistry, tmp_path: Path
) -> None:
    """It ends at once, and says so."""
    answering(google)
    google[0].table[ENTRIES] = {}
    environ = {"PATH": os.environ["PATH"], **environment(google, registry)}
    with on_terminal(("doctor", "gcp", "--yes"), environ, tmp_path) as screen:
        screen.until("waiting for the answer to probe")
        screen.type(CTRL_C)
        assert 130 == screen.end(seconds=10), screen.seen
    assert "Traceback" not in screen.seen


def test_lines_are_folded_and_what_mends_stands_below(
    google: tuple[Documents, str], registry: LocalRegistry, tmp_path: Path
) -> None:
    """The verdict is said by a word, and by a colour besides."""
    google[0].table[SINK] = 403
    environ = {"PATH": os.environ["PATH"], **environment(google, registry)}
    with on_terminal(("doctor", "gcp", "--no-probe"), environ, tmp_path) as screen:
        assert 4 == screen.end()
    assert "\x1b[35munknown" in screen.seen
    shown = COLOURS.sub("", screen.seen).replace("\r\n", "\n")
    folded = "  right    role: packer-publisher@img-proj.iam.gserviceaccount.com may read\n"
    assert f"{folded}           images in projects/img-proj\n" in shown
    mended = (
        "  unknown  sink: logging.googleapis.com refuses it (HTTP 403, REFUSED).\n           > run the doctor with "
    )
    assert mended in shown
