"""What the README says is what the program does: commands, tables, snippets and links."""

from __future__ import annotations

import re
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml

from packer_publisher.cli.program import program
from packer_publisher.configuration import read_configuration
from packer_publisher.credential_settings import VARIABLES as CREDENTIALS
from packer_publisher.document import VARIABLE, read_document
from packer_publisher.image import Image, ImageRef, ImageState, Platform
from packer_publisher.placement import place
from packer_publisher.policy import (
    CONTRACT_KEYS,
    DEFAULT_LABEL_KEYS,
    LABEL_PREFIX,
    BucketPolicy,
    BucketRule,
    Policy,
)
from packer_publisher.provenance import in_packers_words, read_metadata
from packer_publisher.report import Outcome
from packer_publisher.settings import FOR_BUCKETS, FOR_PROCESS, Settings
from packer_publisher.tag_values import MAX_CHANNELS, MAX_EXPECTS, MAX_REGIONS, parse_fingerprint

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = {page.stem: page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", *(f"docs/{page}.md" for page in PAGES))


def blocks(language: str, text: str = README) -> list[str]:
    """Return a text's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table(heading: str, text: str = README) -> dict[str, list[str]]:
    """Return the table under a heading: the first column without its backticks, and the other cells."""
    section = text.partition(f"# {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" |")]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def command_lines() -> list[list[str]]:
    """Return every call of the program that a page shows, in its console blocks and in its sentences, each once."""
    texts = [README, CONTRIBUTING, *PAGES.values()]
    consoles = [block.replace("\\\n", "") for text in texts for block in blocks("console", text)]
    shown = [line.removeprefix("$ ") for block in consoles for line in block.splitlines()]
    calls = [line for line in shown if line.startswith("packer-publisher ")]
    calls += [call for text in texts for call in re.findall(r"`(packer-publisher [^`]+)`", text)]
    return [shlex.split(call) for call in dict.fromkeys(calls)]


@pytest.mark.parametrize("call", command_lines(), ids=" ".join)
def test_a_command_exists_with_its_options(call: list[str]) -> None:
    """Every command that is shown exists, and knows every option that it is shown with."""
    assert "packer-publisher" == call[0]
    command: click.Command = program
    words = call[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, call
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert set() == {word for word in words if word.startswith("-")} - known


def test_the_demo_knows_the_options_that_the_readme_names() -> None:
    """``--seed``, ``--keep`` and ``--json`` are options of the demo."""
    demo = program.get_command(click.Context(program), "demo")
    assert demo is not None
    assert set() == {"--seed", "--keep", "--json"} - {option for parameter in demo.params for option in parameter.opts}


def test_the_make_targets_exist() -> None:
    """Every `make` target that is named exists."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z]+)", README + CONTRIBUTING, re.MULTILINE))
    assert {"demo", "test", "check"} <= named <= targets


def test_the_contract_table() -> None:
    """The table lists the contract's keys, which of them are required, and their limits."""
    rows = table("The tag contract")
    assert list(CONTRACT_KEYS.values()) == list(rows)
    assert ["required", "required", *["optional"] * 6] == [row[0] for row in rows.values()]
    for key, limit in (("expects", MAX_EXPECTS), ("regions", MAX_REGIONS), ("channels", MAX_CHANNELS)):
        assert rows[CONTRACT_KEYS[key]][1].endswith(f"at most {limit}")
    assert f"`{LABEL_PREFIX}`" in README


def test_the_metadata_table() -> None:
    """It lists the tags that become labels by themselves, and says what each becomes."""
    rows = table("Ancestry and metadata", PAGES["ancestry"])
    assert set(DEFAULT_LABEL_KEYS) == set(rows)
    run = "https://gitlab.com/acme/web/-/jobs/7"
    values = {"ci-run": run, "packer-run-uuid": "6f3c", "packer-version": "1.16.0"}
    for key, (label, metadata) in rows.items():
        found = in_packers_words({key: values.get(key, "3f2a91c")})
        assert [label.strip("`")] == list(found)
        assert metadata.startswith("none") == (read_metadata(found.items()) is None)


def test_the_outcome_table() -> None:
    """The table lists every outcome, in the program's order."""
    assert [str(outcome) for outcome in Outcome] == list(table("Outcomes"))


def test_the_settings_table() -> None:
    """The table lists every setting of ours, and the default that it states is the one in force."""
    rows = table("Settings")
    assert {VARIABLE, *FOR_BUCKETS, *FOR_PROCESS, *CREDENTIALS} == set(rows)
    entry, common, process = BucketPolicy(), Policy(), Settings(Policy())
    defaults = {
        "create_buckets": entry.create_bucket,
        "on_delete": entry.on_delete,
        "quiet": entry.quiet,
        "settle": common.settle,
        "azure_artifact": common.azure_artifact,
        "azure_gallery_regions": common.azure_gallery_regions,
        "log_level": process.log_level,
        "sweep_window": process.sweep_window,
        "sweep_rate": process.sweep_rate,
    }
    stated = {
        key: reader(rows[variable][0].strip("`"))
        for variable, (key, reader) in {**FOR_BUCKETS, **FOR_PROCESS}.items()
        if rows[variable][0].startswith("`")
    }
    assert defaults == stated


HCL = {
    "amazon-ebs": (Platform.AWS, "tags"),
    "azure-arm": (Platform.AZURE, "azure_tags"),
    "googlecompute": (Platform.GCE, "image_labels"),
}


@pytest.mark.parametrize("builder", HCL)
def test_an_image_built_as_shown_is_placed(builder: str) -> None:
    """The tags of each HCL snippet, as Packer would write them, place the image and name what its version awaits."""
    platform, argument = HCL[builder]
    (block,) = [block for block in blocks("hcl") if f'source "{builder}"' in block]
    assert "run_tags" not in block
    assert block.count("{") == block.count("}")
    inner = re.search(rf"^  {argument} = {{\n(.*?)^  }}$", block, re.MULTILINE | re.DOTALL)
    assert inner is not None
    tags = {}
    for line in inner[1].splitlines():
        key, _, value = line.partition(" = ")
        value = re.sub(r"lower\((.*)\)", r"\1", value.strip())
        tags[key.strip()] = {"var.bucket": "golden-ubuntu", "var.fingerprint": "3f2a9c1b7d04-412"}.get(
            value, value.strip('"')
        )
    assert set() == set(tags) - set(CONTRACT_KEYS.values())
    ref = ImageRef(platform, "owner", "", "image")
    image = Image(ref, "image", ImageState.AVAILABLE, datetime(2026, 11, 21, tzinfo=UTC), (), tags)
    placement = place(image, Policy(rules=(BucketRule("golden-ubuntu", BucketPolicy()),)))
    assert placement is not None
    assert ("golden-ubuntu", "3f2a9c1b7d04-412", builder) == (
        placement.bucket,
        placement.fingerprint,
        placement.component_type,
    )
    assert {"aws", "azure", "gce"} == set(placement.expects)


def test_the_github_job_makes_a_fingerprint(tmp_path: Path) -> None:
    """The job's own command makes a fingerprint that every cloud can hold, and all three builds get it."""
    (text,) = [block for block in blocks("yaml", PAGES["pipelines"]) if ".github/workflows" in block]
    jobs = yaml.safe_load(text)["jobs"]
    output = tmp_path / "output"
    subprocess.run(
        ["sh", "-c", jobs["fingerprint"]["steps"][0]["run"]],
        check=True,
        env={
            "PATH": "/usr/bin:/bin",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_SHA": "3f2a9c1b7d04c5e6f708192a3b4c5d6e7f809102",
            "GITHUB_RUN_ID": "19573004125",
        },
    )
    name, _, value = output.read_text("utf-8").strip().partition("=")
    assert ("fingerprint", "3f2a9c1b7d04-19573004125") == (name, value)
    assert value == parse_fingerprint("fingerprint", value)
    assert "fingerprint" == jobs["build"]["needs"]
    assert "${{ needs.fingerprint.outputs.fingerprint }}" == jobs["build"]["env"]["PKR_VAR_fingerprint"]
    assert "${{ steps.name.outputs.fingerprint }}" == jobs["fingerprint"]["outputs"]["fingerprint"]
    assert "name" == jobs["fingerprint"]["steps"][0]["id"]


def test_the_gitlab_job_makes_a_fingerprint() -> None:
    """The job's variable makes a fingerprint that every cloud can hold."""
    (text,) = [block for block in blocks("yaml", PAGES["pipelines"]) if ".gitlab-ci.yml" in block]
    job = yaml.safe_load(text)["images"]
    value = job["variables"]["PKR_VAR_fingerprint"]
    for variable, of_this_run in (("CI_COMMIT_SHORT_SHA", "3f2a9c1b"), ("CI_PIPELINE_IID", "412")):
        value = value.replace(f"${{{variable}}}", of_this_run)
    assert "3f2a9c1b-412" == parse_fingerprint("fingerprint", value)
    assert [{"CLOUD": ["aws", "azure", "gcp"]}] == job["parallel"]["matrix"]


def test_no_job_puts_packer_into_hcp_mode() -> None:
    """No snippet sets what the pages warn of."""
    snippets = "".join(blocks("yaml") + blocks("hcl") + blocks("yaml", PAGES["pipelines"]))
    for trap in ("HCP_PACKER_BUCKET_NAME", "packer.versionFingerprint", "run_tags"):
        assert trap in README + PAGES["pipelines"]
        assert trap not in snippets


def test_the_configuration_document_is_valid(tmp_path: Path) -> None:
    """The sample document is read without a problem."""
    (text,) = [block for block in blocks("yaml") if "publisher.yaml" in block]
    file = tmp_path / "publisher.yaml"
    file.write_text(text, "utf-8")
    rules = read_configuration(read_document(file)).policy({}).rules
    assert [("golden-ubuntu", False), ("team-*", True)] == [(rule.pattern, rule.policy.create_bucket) for rule in rules]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_links_lead_somewhere(document: str) -> None:
    """Every relative link names something that exists."""
    prose = re.sub(r"`[^`]*`", "", (ROOT / document).read_text("utf-8"))
    targets = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert [] == [target for target in targets if not (ROOT / document).parent.joinpath(target).exists()]


def test_the_readme_says_what_it_must_in_its_first_lines() -> None:
    """When not to use it comes before how to use it; no affiliation is claimed."""
    order = [
        "When not to use it",
        "Not affiliated with HashiCorp or IBM",
        "make demo",
        "```hcl",
        "## Deploying",
        "## Publish one image",
    ]
    places = [README.index(text) for text in order]
    assert sorted(places) == places
