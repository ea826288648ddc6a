"""The configuration document: what it means, what is refused and in which words, and that its schema agrees."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from packer_publisher.configuration import Configuration, read_configuration, schema
from packer_publisher.document import Document, read_document, read_text, to_json
from packer_publisher.errors import ConfigurationError
from packer_publisher.policy import BucketPolicy, BucketRule, Policy

PROJECT = "0c6d3f7e-0000-4000-8000-00000000c0de"


def read(document: Any) -> Configuration:
    return read_configuration(read_text(json.dumps(document), "publisher.json", yaml=False))


def policy(text: str) -> Policy:
    return read_configuration(read_text(text, "publisher.yaml", yaml=True)).policy({})


def refused(text: str, *, yaml: bool = True) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(read_text(text, "publisher.yaml" if yaml else "publisher.json", yaml=yaml))
    return str(caught.value)


GOOD: list[dict[str, Any]] = [
    {"buckets": {"*": {}}},
    {"buckets": {"web": None}},
    {"buckets": {"web": {}, "app-*": {}, "???": {}}},
    {"buckets": {"web": {"project": PROJECT, "description": "Two\nlines", "template_type": "JSON"}}},
    {"buckets": {"web": {"bucket_labels": {"team": "platform", "cost": 42, "gold": True, "empty": ""}}}},
    {"buckets": {"web": {"expects": "aws azure gcp"}}},
    {"buckets": {"web": {"expects": ["amazon-ebs.ubuntu", "azure-arm"]}}},
    {"buckets": {"web": {"expects": [f"a.{n}" for n in range(16)]}}},
    {"buckets": {"web": {"quiet": "7d", "on_delete": "revoke", "create_buckets": True}}},
    {"buckets": {"web": {"create_buckets": "false", "channels": []}}},
    {"buckets": {"web": {"channels": "production staging-2"}}},
    {"buckets": {"web": {}}, "defaults": None},
    {"buckets": {"web": {}}, "defaults": {"quiet": "1h30m", "channels": ["production"]}},
    {
        "buckets": {"web": {}},
        "tag_keys": {"bucket": "HCPPackerBucket", "fingerprint": ["A b", "hcp-packer-fingerprint"]},
    },
    {"buckets": {"web": {}}, "labels": ["git-sha", "team"], "fingerprint_case": "keep"},
    {"buckets": {"web": {}}, "labels": []},
    {"buckets": {"web": {}}, "regions": ["eu-west-1", "us-gov-west-1"], "settle": "0s"},
    {"buckets": {"web": {}}, "regions": "eu-west-1,us-east-1", "azure_artifact": "gallery"},
    {"buckets": {"web": {}}, "azure_gallery_regions": "single"},
]

BAD: list[Any] = [
    [],
    "web",
    {},
    {"buckets": None},
    {"buckets": {}},
    {"buckets": ["web"]},
    {"buckets": {"ab": {}}},
    {"buckets": {"w_b": {}}},
    {"buckets": {"w[ae]b": {}}},
    {"buckets": {"": {}}},
    {"buckets": {"a" * 37: {}}},
    {"buckets": {"a" * 36 + "*": {}}},
    {"buckets": {"web": "aws"}},
    {"buckets": {"web": []}},
    {"buckets": {"web": {"quiet": 6}}},
    {"buckets": {"web": {"quiet": "6"}}},
    {"buckets": {"web": {"quiet": ""}}},
    {"buckets": {"web": {"quiet": None}}},
    {"buckets": {"web": {"quite": "6h"}}},
    {"buckets": {"web": {"project": "my-project"}}},
    {"buckets": {"web": {"description": ""}}},
    {"buckets": {"web": {"description": " "}}},
    {"buckets": {"web": {"description": 7}}},
    {"buckets": {"web": {"description": "a" * 256}}},
    {"buckets": {"web": {"description": "bell\u0007"}}},
    {"buckets": {"web": {"bucket_labels": ["team"]}}},
    {"buckets": {"web": {"bucket_labels": {"team": None}}}},
    {"buckets": {"web": {"bucket_labels": {"team": ["a"]}}}},
    {"buckets": {"web": {"bucket_labels": {"team": "a" * 257}}}},
    {"buckets": {"web": {"bucket_labels": {"te\u001bam": "a"}}}},
    {"buckets": {"web": {"bucket_labels": {"": "a"}}}},
    {"buckets": {"web": {"bucket_labels": {f"k{n}": "a" for n in range(33)}}}},
    {"buckets": {"web": {"expects": []}}},
    {"buckets": {"web": {"expects": ""}}},
    {"buckets": {"web": {"expects": ["aws", 42]}}},
    {"buckets": {"web": {"expects": [["aws"]]}}},
    {"buckets": {"web": {"expects": {"aws": 1}}}},
    {"buckets": {"web": {"expects": ["a b"]}}},
    {"buckets": {"web": {"expects": [f"a.{n}" for n in range(17)]}}},
    {"buckets": {"web": {"expects": " ".join(f"a.{n}" for n in range(17))}}},
    {"buckets": {"web": {"channels": ["latest"]}}},
    {"buckets": {"web": {"channels": "production LATEST"}}},
    {"buckets": {"web": {"channels": ["ab"]}}},
    {"buckets": {"web": {"channels": [f"channel-{n}" for n in range(9)]}}},
    {"buckets": {"web": {"create_buckets": "yes"}}},
    {"buckets": {"web": {"create_buckets": 1}}},
    {"buckets": {"web": {"on_delete": "delete"}}},
    {"buckets": {"web": {"template_type": "hcl2"}}},
    {"buckets": {"web": {}}, "defaults": {"quite": "6h"}},
    {"buckets": {"web": {}}, "defaults": "6h"},
    {"buckets": {"web": {}}, "tag_keys": {"bukcet": "a"}},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": []}},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": ""}},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": "a" * 129}},
    {"buckets": {"web": {}}, "tag_keys": ["a"]},
    {"buckets": {"web": {}}, "labels": {"team": "a"}},
    {"buckets": {"web": {}}, "labels": ["with blank"]},
    {"buckets": {"web": {}}, "labels": ["_private"]},
    {"buckets": {"web": {}}, "fingerprint_case": "lower"},
    {"buckets": {"web": {}}, "regions": []},
    {"buckets": {"web": {}}, "regions": ["europe"]},
    {"buckets": {"web": {}}, "settle": "2 minutes"},
    {"buckets": {"web": {}}, "azure_artifact": "both"},
    {"buckets": {"web": {}}, "azure_gallery_regions": True},
    {"buckets": {"web": {}}, "sweep_rate": "15m"},
]

BEYOND_THE_SCHEMA: list[dict[str, Any]] = [
    {"buckets": {"web": {}, "WEB": {}}},
    {"buckets": {"web": {"quiet": "8d"}}},
    {"buckets": {"web": {}}, "settle": "1h"},
    {"buckets": {"web": {}}, "labels": ["image-owner"]},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": "name", "fingerprint": "Name"}},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": "hcp-packer-fingerprint"}},
    {"buckets": {"web": {}}, "tag_keys": {"bucket": "hcp-packer-label-bucket"}},
]


def valid(document: Any) -> bool:
    return jsonschema.Draft202012Validator(json.loads(schema())).is_valid(document)


def test_the_schema_is_a_schema() -> None:
    """It keeps the rules of the dialect that it names."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))


@pytest.mark.parametrize("document", GOOD, ids=json.dumps)
def test_schema_and_parser_accept_the_same(document: dict[str, Any]) -> None:
    """What an editor finds right, a function takes."""
    assert valid(document)
    assert read(document).entries


@pytest.mark.parametrize("document", BAD, ids=lambda document: json.dumps(document)[:60])
def test_schema_and_parser_refuse_the_same(document: Any) -> None:
    """What an editor underlines, a function refuses."""
    assert not valid(document)
    with pytest.raises(ConfigurationError):
        read(document)


@pytest.mark.parametrize("document", BEYOND_THE_SCHEMA, ids=json.dumps)
def test_what_no_schema_can_say_the_parser_says(document: dict[str, Any]) -> None:
    """These are the only differences, and all are refusals of the parser."""
    assert valid(document)
    with pytest.raises(ConfigurationError):
        read(document)


@pytest.mark.parametrize("document", GOOD, ids=json.dumps)
def test_packaging_changes_nothing_but_the_notation(document: dict[str, Any], tmp_path: Path) -> None:
    """A document that went through packaging means the same, again and again."""
    once = to_json(Document("publisher.yaml", read_text(json.dumps(document), "x", yaml=False).root))
    path = tmp_path / "publisher.json"
    path.write_text(once, "utf-8")
    packaged = read_document(path)
    assert read(document).policy({}) == read_configuration(packaged).policy({})
    assert once == to_json(packaged)
    assert valid(json.loads(once))


def test_an_entry_in_full() -> None:
    """Every key of an entry arrives where the core looks for it."""
    found = policy(f"""
buckets:
  Web-Server:
    project: {PROJECT.upper()}
    description: >
      Hardened web servers
    bucket_labels: {{team: platform, cost: 0042}}
    expects: [aws, gcp, azure-arm.ubuntu]
    quiet: 1h30m
    channels: production, staging
    create_buckets: true
    on_delete: revoke
    template_type: JSON
""")
    expected = BucketPolicy(
        name="Web-Server",
        project=PROJECT,
        description="Hardened web servers",
        labels=(("cost", "0042"), ("team", "platform")),
        expects=("aws", "gce", "azure-arm.ubuntu"),
        quiet=timedelta(hours=1, minutes=30),
        channels=("production", "staging"),
        create_bucket=True,
        on_delete="revoke",
        template_type="JSON",
    )
    assert (BucketRule("Web-Server", expected),) == found.rules


def test_names_come_before_patterns_and_patterns_keep_their_order() -> None:
    """A pattern written above a name does not hide it."""
    found = policy("buckets:\n  '*':\n  app-*:\n  web:\n  app-one:\n")
    assert ["web", "app-one", "*", "app-*"] == [rule.pattern for rule in found.rules]
    assert ["web", "app-one", None, None] == [rule.policy.name for rule in found.rules]


def test_defaults_fill_what_an_entry_leaves_out() -> None:
    """A key of an entry replaces the same key of the defaults."""
    found = policy("defaults: {quiet: 2h, channels: [production]}\nbuckets: {web: {quiet: 1h}, api: }\n")
    assert [(timedelta(hours=1), ("production",)), (timedelta(hours=2), ("production",))] == [
        (rule.policy.quiet, rule.policy.channels) for rule in found.rules
    ]


def test_expects_among_the_defaults_is_for_buckets_that_say_nothing() -> None:
    """It stands apart from what a bucket says itself, as the variable for it does."""
    found = policy("defaults: {expects: aws}\nbuckets: {web: {expects: aws azure}, api: }\n")
    assert ("aws",) == found.expects
    assert [("aws", "azure"), ()] == [rule.policy.expects for rule in found.rules]


def test_tag_keys_replace_the_keys_of_their_fields() -> None:
    """A field takes one key or several, the others keep theirs."""
    found = policy("buckets: {web: }\ntag_keys: {bucket: HCPPackerBucket, expects: [a, b]}\n").contract.keys
    assert ("HCPPackerBucket",) == found["bucket"]
    assert ("a", "b") == found["expects"]
    assert ("hcp-packer-fingerprint",) == found["fingerprint"]


@pytest.mark.parametrize(
    "scalar", ["0123456", "1e3", "no", "null", "~", "0x1f", "1_000", "2026-11-21", "12:30:45", "1.10"]
)
def test_scalars_of_yaml_stay_text(scalar: str) -> None:
    """No octal number, no boolean, no date, no sexagesimal: what was written is what is meant."""
    found = policy(f"buckets: {{web: {{bucket_labels: {{value: {scalar}}}}}}}\n")
    assert (("value", scalar),) == found.rules[0].policy.labels


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            "publisher.yaml, line 4: buckets.web.quiet is given twice (first in line 3); keep one of them",
            "buckets:\n  web:\n    quiet: 1h\n    quiet: 2h\n",
        ),
        (
            "publisher.yaml, line 3: buckets.web is given twice (first in line 2); keep one of them",
            "buckets:\n  web:\n  'web':\n",
        ),
        (
            "publisher.yaml, line 3, uses an alias (*name), which is not allowed; write the value out",
            "buckets:\n  web: {quiet: 2h}\n  api: *web\n",
        ),
        (
            "publisher.yaml, line 2, sets an anchor (&name), which is not allowed; write the value out",
            "buckets:\n  web: &web {quiet: 2h}\n  api: *web\n",
        ),
        (
            "publisher.yaml, line 1, uses a tag (!name), which is not allowed; leave it out, scalars stay text",
            "buckets: !!python/object:os.system {}\n",
        ),
        (
            "publisher.yaml, line 3, holds a second document; write one document without ---",
            "buckets: {web: }\n\n---\nbuckets: {api: }\n",
        ),
        (
            "publisher.yaml, line 2, is not YAML (while scanning for the next token "
            "found character '\\t' that cannot start any token)",
            "buckets:\n\tweb:\n",
        ),
        ("publisher.yaml, line 1, uses a mapping or a list as a key; a key is a text", "? [a]\n: b\n"),
        ("publisher.yaml, line 1, is nested too deeply; 16 levels are the most", "[" * 5000),
        (
            "publisher.yaml is empty, so no bucket is allowed; name them under buckets, "
            'or write buckets: {"*": {}} to allow every bucket',
            "# nothing yet\n",
        ),
        (
            'publisher.yaml, line 3: buckets.web.quiet is "8d"; write at most 7d',
            "buckets:\n  web:\n    quiet: 8d\n",
        ),
        (
            "publisher.yaml, line 3: buckets.web.quiet is empty; write a duration such as 2m, 6h or 1h30m",
            "buckets:\n  web:\n    quiet:\n",
        ),
        ("publisher.yaml, line 2: buckets.web.quite is not known; write quiet", "buckets:\n  web: {quite: 2h}\n"),
        (
            "publisher.yaml, line 2: buckets.web.labels is not known; write bucket_labels",
            "buckets:\n  web: {labels: {team: a}}\n",
        ),
        (
            "publisher.yaml, line 2: tag_keys.component-type is not known; write component_type",
            "buckets: {web: }\ntag_keys: {component-type: a}\n",
        ),
        (
            "publisher.yaml, line 1: xyz is not known; known are azure_artifact, azure_gallery_regions, buckets, "
            "defaults, fingerprint_case, labels, regions, settle, tag_keys",
            "xyz: 1\nbuckets: {web: }\n",
        ),
        (
            "publisher.yaml, line 3: buckets.Web and buckets.web differ in case only; "
            "keep the one that HCP Packer shows",
            "buckets:\n  web:\n  Web:\n",
        ),
        (
            'publisher.yaml, line 2: buckets["a.b"] is no bucket\'s name; '
            "a bucket has 3 to 36 letters, digits or hyphens, a pattern * and ? besides",
            "buckets:\n  a.b:\n",
        ),
        (
            'publisher.yaml, line 2: buckets.web.channels[1] is "Latest"; '
            "HCP Packer assigns that channel itself, leave it out",
            "buckets:\n  web: {channels: [production, Latest]}\n",
        ),
        (
            'publisher.yaml, line 2: buckets.web.create_buckets is "yes"; write true or false',
            "buckets:\n  web: {create_buckets: yes}\n",
        ),
        (
            'publisher.yaml, line 2: buckets.web.project is "acme"; '
            "write the id of an HCP project (a UUID, as its page in the portal shows it)",
            "buckets:\n  web: {project: acme}\n",
        ),
        (
            "publisher.yaml, line 2: buckets.web.expects is an empty list; "
            "list all platforms or component types that a version consists of, or leave the key out",
            "buckets:\n  web: {expects: []}\n",
        ),
        (
            'publisher.yaml, line 2: tag_keys.fingerprint and tag_keys.bucket are both "name"; one tag has one meaning',
            "buckets: {web: }\ntag_keys: {bucket: Name, fingerprint: name}\n",
        ),
    ],
)
def test_what_is_wrong_in_yaml_is_told_with_its_line(expected: str, text: str) -> None:
    """File, line, key, value and what would be right."""
    assert expected == refused(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (
            "publisher.json: buckets.web.quiet is given twice; keep one of them",
            '{"buckets": {"web": {"quiet": "1h", "quiet": "2h"}}}',
        ),
        ("publisher.json, line 2, is not JSON (Expecting value, column 12)", '{\n"buckets": }'),
        ("publisher.json is nested too deeply; 16 levels are the most", "[" * 100_000 + "]" * 100_000),
        ("publisher.json is nested too deeply; 16 levels are the most", "[" * 30 + "]" * 30),
        (
            "publisher.json: buckets.web.quiet is the number 6; write it in quotes, a duration such as 2m, 6h or 1h30m",
            '{"buckets": {"web": {"quiet": 6}}}',
        ),
        (
            'publisher.json: buckets.web.description is "\\u0007\\ud800"; write a text without control characters',
            '{"buckets": {"web": {"description": "\\u0007\\ud800"}}}',
        ),
    ],
)
def test_what_is_wrong_in_json_is_told_with_its_key(expected: str, text: str) -> None:
    """Scalars of JSON keep the form in which they were written, so that none is misread."""
    assert expected == refused(text, yaml=False)


def test_a_document_beyond_the_size_limit_is_not_parsed(tmp_path: Path) -> None:
    """A configuration is a few pages; anything else is a mistake or an attack."""
    path = tmp_path / "publisher.yaml"
    path.write_text("# " + "ä" * 1024 * 600)
    with pytest.raises(ConfigurationError) as caught:
        read_document(path)
    assert f"{path} is larger than 1 MiB; a configuration document is a few pages at most" == str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Latin-1 would turn a description into something else."""
    path = tmp_path / "publisher.yaml"
    path.write_bytes(b"buckets: {web: {description: caf\xe9}}")
    with pytest.raises(ConfigurationError) as caught:
        read_document(path)
    assert f"{path} is not UTF-8 (byte 33); save it as UTF-8" == str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_document(tmp_path: Path) -> None:
    """Windows editors write one."""
    path = tmp_path / "publisher.json"
    path.write_text('{"buckets": {"web": {}}}', "utf-8-sig")
    assert ["web"] == [name for name, _ in read_configuration(read_document(path)).entries]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """The operating system's reason is passed on."""
    with pytest.raises(ConfigurationError) as caught:
        read_document(tmp_path)
    assert f"{tmp_path} cannot be read (Is a directory)" == str(caught.value)
