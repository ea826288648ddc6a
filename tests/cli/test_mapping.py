"""``mapping validate`` and ``schema``, and ``explain --mapping``, against the stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.switches import setting

from packer_publisher import runtime
from packer_publisher.cli.program import program
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import LocalRegistry, local_registry
from packer_publisher.local.server import serving
from packer_publisher.mapping_file import schema

RULES = """rules:
- name: scratch
  match: {name: {regex: "scratch-.*"}}
  ignore: true
- match: {family: {regex: "(?P<os>[a-z]+)(-(?P<minor>[0-9]+))?"}}
  bucket: golden-{os}
  group: {by: day, offset: 12h}
  labels: {minor: "{minor}"}
- name: broken
  match: {name: web-1}
  bucket: "web_{name}"
  fingerprint: a1
"""


@pytest.fixture
def compute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ComputeEngine]:
    """An empty Compute Engine; the mapping above is beside us as ``m.yaml``."""
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(RULES, "utf-8")
    engine = ComputeEngine()
    with serving(engine.app) as address:
        monkeypatch.setenv("PUBLISHER_COMPUTE_ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield engine


@pytest.fixture
def registry(compute: ComputeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """An empty registry, and a configuration that allows everything."""
    with local_registry(RegistryModel(switches=setting())) as registry:
        for name, value in registry.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PUBLISHER_CONFIG", '{"defaults": {"create_buckets": true}, "buckets": {"*": {}}}')
        yield registry
        runtime.close_publishers()


def run(*words: str) -> Result:
    return CliRunner().invoke(program, words, prog_name="packer-publisher")


def image(compute: ComputeEngine, name: str, family: str = "", **labels: str) -> str:
    """Make an image of 2026-11-21 and return its address."""
    compute.insert_image(name, family=family, labels=labels, created=datetime(2026, 11, 21, 1, 30, tzinfo=UTC))
    return f"projects/img-proj/global/images/{name}"


def paragraph(found: Result, heading: str) -> list[str]:
    """Return the lines below a heading of explain's answer."""
    paragraphs = {part.splitlines()[0]: part.splitlines()[1:] for part in found.stdout.split("\n\n")}
    return paragraphs[heading]


def test_explain_tells_the_rule_its_groups_and_the_place(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """Which rules passed the image over and why, which took it, and where it would be written; nothing is."""
    found = run("explain", image(compute, "ubuntu-1", "ubuntu"), "--mapping", "m.yaml")
    assert (0, "") == (found.exit_code, found.stderr)
    assert [
        "  rule 1 (scratch)  name is ubuntu-1, which does not match scratch-.* as a whole",
        "  rule 2            takes it",
        "  groups            os=ubuntu",
        "  fingerprint from  bucket golden-ubuntu and the day that began 2026-11-20 12:00 UTC",
    ] == paragraph(found, "Mapping m.yaml")
    assert "  bucket          golden-ubuntu, allowed by buckets.*" in paragraph(found, "Rules applied")
    assert "  2.  create version 2026-11-20-1200-6ce9da63724d86e5, template type HCL2" in paragraph(found, "Plan")
    assert "  created       2026-11-21 01:30:00 UTC" in found.stdout.splitlines(), "Google's own offset is another"
    assert {"GET"} == {request.method for request in registry.requests.calls()}


def test_explain_tells_of_every_rule_why_none_took_the_image(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """An answer, no failure; the registry is not asked."""
    found = run("explain", image(compute, "other"), "--mapping", "m.yaml")
    assert (0, "") == (found.exit_code, found.stderr)
    assert found.stdout.startswith("ignored  other (gce:img-proj)")
    assert [
        "  rule 1 (scratch)  name is other, which does not match scratch-.* as a whole",
        "  rule 2            it has no family",
        "  rule 3 (broken)   name is other, not web-1",
    ] == paragraph(found, "Mapping m.yaml")
    assert ["  why  carries no contract tag, and the mapping puts it nowhere"] == paragraph(found, "Verdict")
    assert [] == registry.requests.calls()


def test_explain_tells_that_a_rule_leaves_an_image_out(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """Taken, and meant to be left out."""
    found = run("explain", image(compute, "scratch-1"), "--mapping", "m.yaml")
    assert (0, True) == (found.exit_code, found.stdout.startswith("ignored  scratch-1"))
    assert ["  rule 1 (scratch)  takes it and leaves it out (ignore)"] == paragraph(found, "Mapping m.yaml")


def test_an_image_with_tags_is_not_asked_of_the_mapping(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """Its tags place it, and explain says so."""
    tags = {"hcp-packer-bucket": "web", "hcp-packer-fingerprint": "a1"}
    found = run("explain", image(compute, "scratch-2", **tags), "--mapping", "m.yaml")
    assert (0, "") == (found.exit_code, found.stderr)
    assert ["  not asked: the image carries contract tags, and these alone place it"] == paragraph(
        found, "Mapping m.yaml"
    )
    assert "  bucket          web, allowed by buckets.*" in paragraph(found, "Rules applied")


def test_a_place_that_breaks_the_contract_is_rejected_with_the_line(
    compute: ComputeEngine, registry: LocalRegistry
) -> None:
    """The error names image, file, line and rule; nothing was asked of the registry."""
    found = run("explain", image(compute, "web-1"), "--mapping", "m.yaml")
    assert (
        1,
        "Error: web-1 (gce:img-proj): m.yaml, line 9, rule 3 (broken): bucket 'web_web-1' is no bucket name\n"
        "What to do: use 3 to 36 letters, digits and hyphens\n",
    ) == (found.exit_code, found.stderr)
    assert "  rule 3 (broken)   takes it" in paragraph(found, "Mapping m.yaml")
    assert [] == registry.requests.calls()


def test_explain_in_json_has_the_same(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """For programs: the rule, its groups, and the reasons of those before."""
    found = run("explain", image(compute, "ubuntu-2", "ubuntu-24"), "--mapping", "m.yaml", "--json")
    assert (0, "") == (found.exit_code, found.stderr)
    document = json.loads(found.stdout)
    assert {
        "file": "m.yaml",
        "rule": {"number": 2, "name": "", "line": 5, "ignore": False},
        "groups": {"os": "ubuntu", "minor": "24"},
        "fingerprint_from": "the day that began 2026-11-20 12:00 UTC",
        "not_taken": [
            {
                "number": 1,
                "name": "scratch",
                "line": 2,
                "ignore": True,
                "reasons": ["name is ubuntu-2, which does not match scratch-.* as a whole"],
            }
        ],
    } == document["mapping"]
    assert ("golden-ubuntu", "2026-11-20-1200-6ce9da63724d86e5") == (document["bucket"], document["fingerprint"])
    assert "minor=24" == document["rules"]["build labels"]


def test_explain_tells_that_a_list_does_not_name_the_image(compute: ComputeEngine, registry: LocalRegistry) -> None:
    """And of one that it names, the line."""
    Path("l.csv").write_text(f"image,bucket\n{image(compute, 'listed')},web\n", "utf-8")
    found = run("explain", image(compute, "unlisted"), "--mapping", "l.csv")
    assert ["  lists 1 image, and not this one"] == paragraph(found, "Mapping l.csv")
    found = run("explain", "listed", "--project", "img-proj", "--mapping", "l.csv")
    assert [
        "  line 2            takes it",
        "  fingerprint from  bucket web and listed",
    ] == paragraph(found, "Mapping l.csv")


@pytest.mark.parametrize("option", ["--bucket", "--fingerprint", "--component-type", "--expects"])
def test_a_mapping_and_an_option_do_not_both_say_where_an_image_belongs(option: str, compute: ComputeEngine) -> None:
    """One of them would have to win, and nobody could tell which."""
    found = run("explain", "web-1", "--project", "img-proj", option, "web", "--mapping", "m.yaml")
    assert 2 == found.exit_code
    assert f"{option} and --mapping both say where the image belongs; leave out one of them" in found.stderr


def test_a_broken_mapping_is_refused_before_anything_is_looked_at(
    compute: ComputeEngine, registry: LocalRegistry
) -> None:
    """Exit status 2, each problem with its line; neither cloud nor registry hears of it."""
    Path("m.yaml").write_text(RULES.replace("web-1", "{regex: '(a'}").replace("offset", "offest"), "utf-8")
    found = run("explain", image(compute, "web-1"), "--mapping", "m.yaml")
    problems = [
        "Error: the mapping has 2 problems:",
        "  - m.yaml, line 7: rule 2: group.offest is not known; write offset",
        '  - m.yaml, line 10: rule 3: match.name.regex is "(a", which is no regular expression (missing ): (a); '
        "https://github.com/google/re2/wiki/Syntax has the rules",
        "What to do: `packer-publisher mapping validate FILE` checks a mapping, `packer-publisher mapping schema` has "
        "the rules",
    ]
    assert (2, "", problems) == (found.exit_code, found.stdout, found.stderr.splitlines())
    assert problems == run("mapping", "validate", "m.yaml").stderr.splitlines()
    assert [] == registry.requests.calls()


def test_validate_shows_the_rules(compute: ComputeEngine) -> None:
    """One line each, with its line in the file."""
    found = run("mapping", "validate", "m.yaml")
    assert (0, "") == (found.exit_code, found.stderr)
    assert [
        "m.yaml is fine: 3 rules.",
        "  RULE  LINE  BUCKET       FINGERPRINT         NAME",
        "  1     2     (ignore)     -                   scratch",
        "  2     5     golden-{os}  by day from 12h on  -",
        "  3     9     web_{name}   a1                  broken",
    ] == found.stdout.splitlines()


def test_validate_counts_a_list(compute: ComputeEngine) -> None:
    """Ten thousand rows are no table."""
    Path("l.csv").write_text("image,bucket\nami-0abcdef0,web\nami-0abcdef1,web\n", "utf-8")
    assert "l.csv is fine: 2 images in 1 bucket.\n" == run("mapping", "validate", "l.csv").stdout


def test_the_schema_is_printed_as_it_is_shipped() -> None:
    """For editors."""
    assert schema() == run("mapping", "schema").stdout
