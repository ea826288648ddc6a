"""No message hurts: each is ignored or rejected with a reason, none comes again for ever, none harms its neighbours.

Thousands of spoiled messages go through the three real functions; ``PROOF=long`` makes it a hundred thousand
(``python -m tests.proof.poison`` prints the figures), ``PROOF_SEED=n`` others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from packer_publisher.image import Platform
from tests.proof.poison import COUNT, SEED, SHOWN, figures, play
from tests.proof.poison_clouds import Site, sites
from tests.proof.poison_corpus import CORPUS, Case, cases
from tests.proof.poison_doors import Handled, Message
from tests.proof.poison_inputs import Inputs
from tests.proof.poison_json import write
from tests.proof.poison_mutations import STRUCTURAL, TEXTUAL, another_type, places, tags_bent
from tests.proof.poison_requests import push
from tests.proof.poison_rules import LONGEST_LINE, broken_rules
from tests.proof.poison_words import ODD, TAGS

CASES = list(cases())
GONE: Mapping[str, object] = {"outcome": "ignored", "reason": "its cloud does not know the image (any more)"}
LONG: Mapping[str, object] = {**GONE, "image": "x" * LONGEST_LINE}


@pytest.fixture(scope="module")
def at() -> Iterator[dict[Platform, Site]]:
    """Open the stand-ins and the three functions once."""
    with sites() as found:
        yield found


def deliver(site: Site, *messages: Message) -> list[Handled]:
    """Hand messages over at once to a cloud's function."""
    with site.deployed():
        return site.door.deliver(messages)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_of_the_corpus_ends_as_its_folder_says(at: dict[Platform, Site], case: Case) -> None:
    """With a reason, at once and for good; what was found once is never lost again."""
    site = at[case.cloud]
    (handled,) = deliver(site, case.message)
    assert [] == broken_rules(handled, batch=1, textual=False, secrets=site.secrets())
    assert {case.outcome} == {line["outcome"] for line in handled.reports}
    assert not handled.kept


def test_no_found_input_waits_to_become_a_case() -> None:
    """What a run has found and kept, a person gives its outcome, and the defect behind it is mended."""
    assert [] == [str(path.relative_to(CORPUS)) for path in (CORPUS / "found").rglob("*") if path.is_file()]


@pytest.mark.parametrize("cloud", list(Platform))
def test_no_spoiled_message_hurts(at: dict[Platform, Site], cloud: Platform) -> None:
    """Whatever is spoiled, alone or in a batch with good messages; the seed and the number of a failure repeat it."""
    tally = play(at[cloud], SEED, COUNT)
    assert [] == [str(failure) for failure in tally.failures[:SHOWN]], f"PROOF_SEED={SEED}"
    told = {outcome for _, outcomes in tally.outcomes for outcome in outcomes.split("+")}
    assert {"ignored", "rejected", "unchanged"} <= told, figures([tally])
    assert (COUNT, True) == (tally.inputs, "unchanged" in tally.neighbours)


def test_poison_is_no_batchs_end(at: dict[Platform, Site]) -> None:
    """A batch of Lambda's with all sorts of poison and one good record: nothing comes again, the good one is filed."""
    site = at[Platform.AWS]
    poison = [Message(text) for text in (b"", b"[" * 100_000, b"\xff", b'{"packer-publisher": 1}')]
    good = site.neighbours[-1]
    for place in range(len(poison) + 1):
        handled = deliver(site, *poison[:place], good.message, *poison[place:])
        assert 5 * [False] == [answer.kept for answer in handled]
        outcomes = [line["outcome"] for answer in handled for line in answer.reports]
        assert outcomes.pop(place) in good.outcomes
        assert 4 * ["rejected"] == outcomes


@pytest.mark.parametrize("cloud", list(Platform))
def test_an_image_that_nobody_knows_is_asked_for_an_hour_at_most(at: dict[Platform, Site], cloud: Platform) -> None:
    """The only poison that comes again: it cannot be told from an image that its cloud does not show yet."""
    kept = {}
    for minutes in (-90, 1, 59, 61):
        (handled,) = deliver(at[cloud], ghost(cloud, datetime.now(UTC) - timedelta(minutes=minutes)))
        kept[minutes] = handled.kept
    assert {-90: False, 1: True, 59: True, 61: False} == kept
    assert [GONE["reason"]] == [line["reason"] for line in handled.reports]


def ghost(cloud: Platform, then: datetime) -> Message:
    """Return the event of an image that does not exist."""
    folder, name, key = {
        Platform.AWS: ("aws", "ami_available", "time"),
        Platform.AZURE: ("azure", "managed_image_written", "eventTime"),
        Platform.GCE: ("gcp", "image_insert_last", "timestamp"),
    }[cloud]
    event = json.loads((CORPUS.parent / folder / f"{name}.json").read_text(encoding="utf-8"))
    body = json.dumps({**event, key: then.isoformat()}).encode()
    return push(body) if cloud is Platform.GCE else Message(body)


@pytest.mark.parametrize("cloud", list(Platform))
def test_a_seed_and_a_number_are_one_input(at: dict[Platform, Site], cloud: Platform) -> None:
    """A failure can be had again, in whatever order inputs are asked for; other seeds have others."""
    one, same, other = (Inputs(cloud, seed, at[cloud].events, at[cloud].images) for seed in (7, 7, 8))
    numbers = range(500)
    forwards = [one[number] for number in numbers]
    assert forwards == [same[number] for number in reversed(numbers)][::-1]
    assert not any(found == other[number] for number, found in enumerate(forwards) if len(found.message.body) > 7)


@pytest.mark.parametrize("mutate", [another_type, tags_bent])
def test_no_input_spoils_the_words_of_another(mutate: Callable[..., Any]) -> None:
    """Else the numbers of a failure would not repeat it."""
    words = write([*ODD, *TAGS])
    for number in range(400):
        for container, key in list(places(mutate({"tags": "x"}, Random(number)))):
            container[key] = "spoiled"
    assert words == write([*ODD, *TAGS])


@pytest.mark.parametrize("mutate", [*STRUCTURAL, *TEXTUAL], ids=lambda mutate: mutate.__name__)
def test_every_mutation_spoils(at: dict[Platform, Site], mutate: Callable[..., Any]) -> None:
    """None is an empty word: of a hundred tries at a real event most differ from it."""
    clean = write(at[Platform.AZURE].events[0])
    textual, spoiled = mutate in TEXTUAL, 0
    for number in range(100):
        rng = Random(number)
        found = mutate(clean, rng) if textual else write(mutate(json.loads(clean), rng))
        spoiled += clean != found
    assert spoiled > 80


def handled(*lines: Mapping[str, object], text: str = "", kept: bool = False, escaped: str = "") -> Handled:
    """Return an answer that a function might give."""
    written = "".join(f"{json.dumps(line)}\n" for line in lines) + text
    return Handled(lines, written, kept, escaped)


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (handled(GONE, escaped="KeyError"), "KeyError left the function"),
        (handled(), "nobody is told what became of it"),
        (handled({"outcome": "rejected"}), "rejected without a reason"),
        (handled({"outcome": "ignored", "reason": " "}), "ignored without a reason"),
        (
            handled({"outcome": "deferred", "reason": "the image is not available yet"}, kept=True),
            "asks to come again without trouble: the image is not available yet",
        ),
        (handled(GONE, kept=True), "comes again without a word"),
        (replace(handled(GONE), bred=2), "breeds 2 messages"),
        (handled(GONE, {"name": "made-up-caller@example.com"}), "tells a secret: made-up-..."),
        (handled(GONE, {"unreadable": "Traceback"}), "not a log line: Traceback"),
        (handled(GONE, text="\n" * 64), "65 lines"),
        (handled(LONG), f"a line of {len(json.dumps(LONG))} bytes"),
        (handled(GONE, text="\u2028"), "a line that breaks in the middle"),
        (handled({**GONE, "level": "ERROR"}), "told as ERROR"),
    ],
)
def test_the_judge_sees_what_breaks_a_rule(answer: Handled, rule: str) -> None:
    """Each rule is broken by an answer that is right otherwise."""
    assert [rule] == broken_rules(answer, batch=1, textual=False)


def test_the_judge_lets_pass_what_is_right() -> None:
    """An outcome with its reason, a sweep's own line, and trouble that Azure has with a stranger's subscription."""
    trouble = "Azure refused to show /subscriptions/9 (HTTP 404 SubscriptionNotFound)."
    assert [] == broken_rules(handled(GONE), batch=1, textual=False)
    assert [] == broken_rules(handled({"message": "sweep", "window": "2d"}), batch=1, textual=False)
    assert [] == broken_rules(handled({"outcome": "deferred", "reason": trouble}, kept=True), batch=1, textual=False)
