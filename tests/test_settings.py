"""Settings from the environment: each variable, what it does, and what is said where it is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.errors import ConfigurationError
from packer_publisher.policy import BucketPolicy, BucketRule
from packer_publisher.settings import Settings

ALL = '{"buckets": {"*": {}}}'


def settings(config: str = ALL, **variables: str) -> Settings:
    return Settings.from_environment({"PUBLISHER_CONFIG": config, **variables})


def refused(environ: Mapping[str, str], root: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(environ, root)
    return str(caught.value)


def test_credentials_that_cannot_be_are_refused_at_the_start() -> None:
    """With the other problems, in one error; good ones are no part of the digest, which is the same in all clouds."""
    wrong = {"PUBLISHER_CONFIG": ALL, "PUBLISHER_QUIET": "soon", "PUBLISHER_CLIENT_SECRET": "made-up-secret"}
    text = refused(wrong)
    assert "the configuration has 2 problems:" in text
    assert "PUBLISHER_CLIENT_SECRET is no reference to a secret store" in text
    assert "made-up-secret" not in text
    assert settings().digest == settings(PUBLISHER_CLIENT_SECRET="projects/p/secrets/hcp/versions/latest").digest


def test_the_smallest_configuration_allows_every_bucket_and_keeps_all_defaults() -> None:
    """One line is enough, and its defaults are those that the design names."""
    found = settings()
    assert (BucketRule("*", BucketPolicy()),) == found.policy.rules
    assert timedelta(hours=6) == found.policy.rules[0].policy.quiet
    assert timedelta(minutes=2) == found.policy.settle
    assert ("managed", "all") == (found.policy.azure_artifact, found.policy.azure_gallery_regions)
    assert ("INFO", timedelta(hours=48), timedelta(minutes=15)) == (
        found.log_level,
        found.sweep_window,
        found.sweep_rate,
    )
    assert (False, "ignore", "HCL2") == (
        found.policy.rules[0].policy.create_bucket,
        found.policy.rules[0].policy.on_delete,
        found.policy.rules[0].policy.template_type,
    )


@pytest.mark.parametrize(
    ("expected", "field", "variable", "value"),
    [
        (("aws", "gce"), "expects", "PUBLISHER_EXPECTS", "aws, Google gcp"),
        (("eu-west-1", "us-east-1"), "regions", "PUBLISHER_REGIONS", "eu-west-1 US-EAST-1"),
        (timedelta(seconds=30), "settle", "PUBLISHER_SETTLE", "30s"),
        ("gallery", "azure_artifact", "PUBLISHER_AZURE_ARTIFACT", "gallery"),
        ("single", "azure_gallery_regions", "PUBLISHER_AZURE_GALLERY_REGIONS", "single"),
    ],
)
def test_a_variable_speaks_for_the_deployment(expected: Any, field: str, variable: str, value: str) -> None:
    """What is not about one bucket is found on the policy."""
    assert expected == getattr(settings(**{variable: value}).policy, field)


@pytest.mark.parametrize(
    ("expected", "field", "variable", "value"),
    [
        (timedelta(hours=1, minutes=30), "quiet", "PUBLISHER_QUIET", "1h30m"),
        (True, "create_bucket", "PUBLISHER_CREATE_BUCKETS", "true"),
        ("revoke", "on_delete", "PUBLISHER_ON_DELETE", "revoke"),
    ],
)
def test_a_variable_speaks_for_every_bucket_that_says_nothing(
    expected: Any, field: str, variable: str, value: str
) -> None:
    """A bucket's own entry wins over the variable, the variable over the document's defaults."""
    document = {
        "defaults": {"quiet": "5h", "create_buckets": False, "on_delete": "ignore"},
        "buckets": {"own": {"quiet": "3h", "create_buckets": False, "on_delete": "ignore"}, "*": {}},
    }
    own, rest = settings(json.dumps(document), **{variable: value}).policy.rules
    without = settings(json.dumps(document)).policy.rules[0]
    assert expected == getattr(rest.policy, field)
    assert dataclasses.replace(without.policy, name="own") == own.policy


@pytest.mark.parametrize(
    ("expected", "field", "variable", "value"),
    [
        ("DEBUG", "log_level", "PUBLISHER_LOG_LEVEL", "debug"),
        (timedelta(days=3), "sweep_window", "PUBLISHER_SWEEP_WINDOW", "72h"),
        (timedelta(minutes=5), "sweep_rate", "PUBLISHER_SWEEP_RATE", "5m"),
        (True, "registry_off", "HCP_PACKER_REGISTRY", "OFF"),
        (True, "registry_off", "HCP_PACKER_REGISTRY", "0"),
        (False, "registry_off", "HCP_PACKER_REGISTRY", "on"),
    ],
)
def test_a_variable_speaks_for_the_process(expected: Any, field: str, variable: str, value: str) -> None:
    """What is about the process is found on the settings; HCP_PACKER_REGISTRY is read as Packer reads it."""
    assert expected == getattr(settings(**{variable: value}), field)


@pytest.mark.parametrize(
    ("expected", "variable", "value"),
    [
        (
            'PUBLISHER_EXPECTS[1] is "a/"; write platforms (aws azure gce) or component types (amazon-ebs.ubuntu)',
            "PUBLISHER_EXPECTS",
            "aws a/",
        ),
        (
            "PUBLISHER_EXPECTS holds 17 names; at most 16 are allowed",
            "PUBLISHER_EXPECTS",
            " ".join(f"a.{n}" for n in range(17)),
        ),
        ('PUBLISHER_REGIONS[0] is "europe"; write AWS regions such as eu-west-1', "PUBLISHER_REGIONS", "europe"),
        (
            "PUBLISHER_REGIONS holds 33 names; at most 32 are allowed",
            "PUBLISHER_REGIONS",
            " ".join(f"eu-west-{n}" for n in range(33)),
        ),
        ('PUBLISHER_SETTLE is "16m"; write at most 15m', "PUBLISHER_SETTLE", "16m"),
        ('PUBLISHER_SETTLE is "120"; write a duration such as 2m, 6h or 1h30m', "PUBLISHER_SETTLE", "120"),
        ('PUBLISHER_QUIET is "169h"; write at most 7d', "PUBLISHER_QUIET", "169h"),
        ('PUBLISHER_SWEEP_WINDOW is "59m"; write at least 1h', "PUBLISHER_SWEEP_WINDOW", "59m"),
        ('PUBLISHER_SWEEP_WINDOW is "15d"; write at most 14d', "PUBLISHER_SWEEP_WINDOW", "15d"),
        ('PUBLISHER_SWEEP_RATE is "30s"; write at least 1m', "PUBLISHER_SWEEP_RATE", "30s"),
        ('PUBLISHER_CREATE_BUCKETS is "yes"; write true or false', "PUBLISHER_CREATE_BUCKETS", "yes"),
        ('PUBLISHER_ON_DELETE is "delete"; write ignore or revoke', "PUBLISHER_ON_DELETE", "delete"),
        (
            'PUBLISHER_LOG_LEVEL is "LOUD"; write DEBUG or INFO or WARNING or ERROR or CRITICAL',
            "PUBLISHER_LOG_LEVEL",
            "loud",
        ),
        ('PUBLISHER_AZURE_ARTIFACT is "both"; write managed or gallery', "PUBLISHER_AZURE_ARTIFACT", "both"),
        (
            'PUBLISHER_AZURE_GALLERY_REGIONS is "one"; write all or single',
            "PUBLISHER_AZURE_GALLERY_REGIONS",
            "one",
        ),
        ("PUBLISHER_QUITE is not known; write PUBLISHER_QUIET", "PUBLISHER_QUITE", "6h"),
        ("PUBLISHER_EXPECT is not known; write PUBLISHER_EXPECTS", "PUBLISHER_EXPECT", "aws"),
    ],
)
def test_a_bad_variable_is_refused_with_its_value_and_what_would_be_right(
    expected: str, variable: str, value: str
) -> None:
    """The text names the variable, what it holds, and what to write."""
    assert f"the environment: {expected}" == refused({"PUBLISHER_CONFIG": ALL, variable: value})


def test_the_value_of_an_unknown_variable_is_not_repeated() -> None:
    """It may be a secret that was put in the wrong place."""
    assert "hunter2" not in refused({"PUBLISHER_CONFIG": ALL, "PUBLISHER_PASSWORD": "hunter2"})


@pytest.mark.parametrize(
    "variable",
    [
        "PUBLISHER_ARM_ENDPOINT",
        "PUBLISHER_COMPUTE_ENDPOINT",
        "PUBLISHER_QUEUE",
        "PUBLISHER_STORAGE",
        "PUBLISHER_STORAGE__queueServiceUri",
    ],
)
def test_what_deployments_and_stand_ins_set_is_left_alone(variable: str) -> None:
    """They begin with PUBLISHER_, but are read elsewhere."""
    assert settings() == settings(**{variable: "http://127.0.0.1:1"})


def test_an_empty_variable_counts_as_unset() -> None:
    """Deployment tools set a variable to nothing where they cannot leave it out."""
    assert settings() == settings(PUBLISHER_QUIET="", PUBLISHER_REGIONS="  ")


def test_without_a_configuration_nothing_is_allowed() -> None:
    """There is no default, and the text says what to write."""
    assert (
        "PUBLISHER_CONFIG is not set, so no bucket is allowed; name them under buckets, "
        'or write buckets: {"*": {}} to allow every bucket'
    ) == refused({})


def test_a_window_shorter_than_the_rate_is_refused() -> None:
    """Between two sweeps there would be images that neither sees."""
    assert (
        "the environment: PUBLISHER_SWEEP_WINDOW is 1h, less than the rate of 2h; "
        "a sweep must look back further than to the sweep before it, or images are lost"
    ) == refused({"PUBLISHER_CONFIG": ALL, "PUBLISHER_SWEEP_WINDOW": "1h", "PUBLISHER_SWEEP_RATE": "2h"})


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """A person mends variables and document in one go."""
    environ = {"PUBLISHER_CONFIG": '{"buckets": {"ab": {}}, "setle": "2m"}', "PUBLISHER_QUIET": "soon"}
    assert (
        "the configuration has 3 problems:\n"
        '  - the environment: PUBLISHER_QUIET is "soon"; write a duration such as 2m, 6h or 1h30m\n'
        "  - PUBLISHER_CONFIG: setle is not known; write settle\n"
        "  - PUBLISHER_CONFIG: buckets.ab is no bucket's name; "
        "a bucket has 3 to 36 letters, digits or hyphens, a pattern * and ? besides"
    ) == refused(environ)


def test_a_path_is_tried_against_the_working_directory_and_the_functions_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file beside the function is found wherever the platform starts it."""
    function, elsewhere = tmp_path / "function", tmp_path / "elsewhere"
    function.mkdir()
    elsewhere.mkdir()
    (function / "publisher.json").write_text('{"buckets": {"web": {}}}')
    monkeypatch.chdir(elsewhere)
    found = Settings.from_environment({"PUBLISHER_CONFIG": "publisher.json"}, function)
    assert ["web"] == [rule.pattern for rule in found.policy.rules]
    (elsewhere / "publisher.json").write_text('{"buckets": {"api": {}}}')
    found = Settings.from_environment({"PUBLISHER_CONFIG": "publisher.json"}, function)
    assert ["api"] == [rule.pattern for rule in found.policy.rules]


def test_a_path_that_is_not_there_is_refused_with_the_places_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both places are named in full."""
    monkeypatch.chdir(tmp_path)
    assert (
        f"PUBLISHER_CONFIG names a file that is not there ({tmp_path}/a.json nor {tmp_path}/beside/a.json); "
        "give a path, or the document itself"
    ) == refused({"PUBLISHER_CONFIG": "a.json"}, tmp_path / "beside")


def test_the_digest_tells_settings_apart_and_nothing_else(tmp_path: Path) -> None:
    """Spelling the same settings otherwise, or in another place, keeps the digest."""
    yaml = "buckets:\n  '*':\n"
    assert settings().digest == settings(yaml).digest
    (tmp_path / "publisher.json").write_text(ALL)
    assert settings().digest == settings(str(tmp_path / "publisher.json")).digest
    assert settings().digest != settings(PUBLISHER_QUIET="7h").digest
    assert settings().digest != settings('{"buckets": {"web": {}}}').digest
    assert 12 == len(settings().digest)


def test_a_function_needs_no_yaml_to_start(tmp_path: Path) -> None:
    """Its settings come from JSON, and importing them brings in nothing beyond the standard library."""
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from packer_publisher.settings import Settings\n"
        "import os; Settings.from_environment(os.environ)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}\n"
        "    & {'click', 'rich', 'httpx', 'boto3', 'azure', 'jsonschema', 'difflib', 'zipfile'}))\n"
    )
    environ = {**os.environ, "PUBLISHER_CONFIG": ALL}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (0, "\n", "") == (done.returncode, done.stdout, done.stderr)


def test_yaml_without_pyyaml_says_who_turns_it_into_json() -> None:
    """A function that was packaged by hand tells what packaging would have done."""
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        "from packer_publisher.settings import Settings\n"
        "from packer_publisher.errors import ConfigurationError\n"
        "try: Settings.from_environment({'PUBLISHER_CONFIG': 'buckets:\\n  web:\\n'})\n"
        "except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        "PUBLISHER_CONFIG is YAML, and pyyaml is not installed here; packaging turns it into JSON for the functions, "
        'on a laptop install "packer-publisher[cli]"\n'
    ) == done.stdout
