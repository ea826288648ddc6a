"""docs/mapping.md says what the program does: its examples, its tables of keys and fields, its commands."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from packer_publisher import runtime
from packer_publisher.cli.program import program
from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform
from packer_publisher.local.compute import ComputeEngine
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_serve import local_registry
from packer_publisher.local.server import serving
from packer_publisher.mapping import place_by_mapping
from packer_publisher.mapping_csv import read_list
from packer_publisher.mapping_fields import FIELDS
from packer_publisher.mapping_file import read_rules, schema
from packer_publisher.policy import BucketPolicy, BucketRule, Policy
from tests.switches import setting

PAGE = (Path(__file__).parents[1] / "docs" / "mapping.md").read_text("utf-8")
EVERYTHING = Policy(rules=(BucketRule("*", BucketPolicy()),))
NOW = datetime(2026, 11, 25, tzinfo=UTC)
EXAMPLES = re.findall(r"^## (Example \d)", PAGE, re.MULTILINE)


def section(heading: str) -> str:
    """Return the text under a heading that begins so."""
    return PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]


def block(text: str, language: str) -> str:
    """Return the first fenced block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of the first table, by the names of its columns."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(head, row, strict=True)) for row in rows]


def image_of(row: dict[str, str]) -> Image:
    """Return the image that a row describes; the name of a gallery image version is that of its parts."""
    platform, name = Platform(row["platform"]), row["name"]
    gallery = zip(("sig_name", "sig_image_name", "sig_image_version"), name.split("/"), strict=False)
    return Image(
        ImageRef(platform, "owner", "", name),
        name,
        ImageState.AVAILABLE,
        datetime.fromisoformat(row.get("created at", "2026-11-21T00:00:00Z")),
        (Artifact("region", name),),
        tags=dict([row["tags"].split("=")]) if row.get("tags") else {},
        family=row.get("family", ""),
        labels=tuple(gallery) if "/" in name else (),
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_places_its_images_as_the_page_says(example: str) -> None:
    """Each row of the table, by the rules above it; a dash is an image that belongs nowhere."""
    mapping = read_rules(block(section(example), "yaml"), "images.yaml", yaml=True)
    rows = table(section(example))
    assert 5 <= len(rows)
    for row in rows:
        mapped = place_by_mapping(image_of(row), mapping, EVERYTHING, NOW)
        placement = mapped and mapped.placement
        found = {
            "bucket": placement.bucket if placement else "-",
            "fingerprint": placement.fingerprint if placement else "-",
            "component type": placement.component_type if placement else "-",
        }
        assert {key: row[key] for key in found if key in row} == {key: found[key] for key in found if key in row}


def test_explain_says_what_the_page_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The commands of the page, run beside the mapping of the first example, against the stand-ins."""
    text = section("Example 1")
    monkeypatch.chdir(tmp_path)
    Path("images.yaml").write_text(block(text, "yaml"), "utf-8")
    compute = ComputeEngine()
    compute.insert_image("golden-ubuntu-2404-20261121", created=datetime(2026, 11, 21, 1, 30, tzinfo=UTC))
    with serving(compute.app) as address, local_registry(RegistryModel(switches=setting())) as registry:
        settings = {"PUBLISHER_COMPUTE_ENDPOINT": address, "PUBLISHER_CONFIG": '{"buckets": {"*": {}}}'}
        for name, value in (registry.environment() | settings | {"NO_PROXY": "127.0.0.1"}).items():
            monkeypatch.setenv(name, value)
        try:
            commands = [line[2:] for line in block(PAGE, "console").splitlines()]
            shown = block(text, "console").partition("\n")
            assert f"$ {commands[1]}" == shown[0]
            validated, explained = (run(command) for command in commands)
        finally:
            runtime.close_publishers()
    assert (0, "") == (validated.exit_code, validated.stderr)
    assert "images.yaml is fine: 2 rules." == validated.stdout.splitlines()[0]
    assert "images.yaml" in explained.stdout
    assert shown[2] in explained.stdout


def run(command: str) -> Result:
    words = shlex.split(command)
    assert "packer-publisher" == words[0]
    return CliRunner().invoke(program, words[1:], prog_name=words[0])


def test_the_tables_name_every_key() -> None:
    """Keys of a rule, and fields with the parts of the time of creation, are those of the schema."""
    rule = json.loads(schema())["$defs"]["rule"]["properties"]
    assert set(rule) == {row["key of a rule"] for row in table(section("Rules"))}
    fields = {
        name for row in table(section("Fields").partition("A condition")[0]) for name in row["field"].split("`, `")
    }
    assert set(rule["match"]["properties"]) == fields | {name for name in FIELDS if "." in name}
    parts = re.findall(r"`(?:created_at)?\.([a-z]+)`", section("Fields"))
    assert {f"created_at.{part}" for part in parts} == {name for name in FIELDS if "." in name}


def test_the_list_is_valid() -> None:
    """Each form of address that is shown is one."""
    assert 3 == len(read_list(block(section("Lists"), "csv"), "images.csv").listed)
