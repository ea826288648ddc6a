"""Nothing that is secret or personal reaches a log: everything that is written anywhere is looked at."""

from __future__ import annotations

import json
import logging

import pytest
from tests.switches import setting

from packer_publisher.local.arm_events import IDENTITY
from packer_publisher.local.compute_events import CALLER
from packer_publisher.local.demo import play
from packer_publisher.local.demo_stage import Stage
from packer_publisher.local.registry_tokens import WRITER
from packer_publisher.runtime import close_publishers


@pytest.mark.switches(completion_lag=0.0, same_identifier_twice="accept")
def test_no_secret_and_no_personal_data_is_ever_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Credentials, tokens, and the claims, authorization and callers of events; a whole demo, with our own at DEBUG."""
    caplog.set_level(logging.INFO)
    for name in ("packer_publisher", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=name)
    with Stage(run=1, switches=setting(), on_leaving=close_publishers) as stage:
        result = play(stage, 11, lambda *_: None)
        sent = json.dumps(stage.sent)
        tokens = stage.tokens.issued()
        printed = capfd.readouterr()
        written = "\n".join((stage.logged, printed.out, printed.err, caplog.text))
    assert result.exact
    assert 3 == len(tokens)  # one of each function
    for seen in ("claims", "authorization", "principalEmail", IDENTITY, CALLER, "203.0.113.7"):
        assert seen in sent, "what must not be logged was there to be logged"
    assert 10 < written.count('"outcome"')
    secrets = [WRITER.secret, *tokens, IDENTITY, CALLER, "203.0.113.7"]
    words = ["claims", "principalEmail", "Bearer ", '"authorization"', "Basic "]
    assert [] == [word for word in (*secrets, *words) if word in written]
