"""The mapping's file: what is refused, in which words and at which line, and that its schema agrees."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from packer_publisher.document import MappingProblems
from packer_publisher.errors import ConfigurationError
from packer_publisher.mapping import ImageMapping
from packer_publisher.mapping_csv import read_list
from packer_publisher.mapping_file import read_mapping, read_rules, schema
from packer_publisher.mapping_versions import Window

REMEDY = "`packer-publisher mapping validate FILE` checks a mapping, `packer-publisher mapping schema` has the rules"


def read(document: Any) -> ImageMapping:
    return read_rules(json.dumps(document), "mapping.json", yaml=False)


def refused(text: str, *, yaml: bool = True) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_rules(text, "m.yaml" if yaml else "m.json", yaml=yaml)
    assert REMEDY == caught.value.remedy
    return str(caught.value)


def rule(match: Any, **rest: Any) -> dict[str, Any]:
    """Return a document of one rule; without other keys it puts everything into one bucket."""
    return {"rules": [{"match": match, **(rest or {"bucket": "web"})}]}


GOOD: list[dict[str, Any]] = [
    rule({}),
    rule({"name": "web", "owner": ["1", "2"], "region": {"regex": "eu-.*"}, "identifier": {"present": True}}),
    rule({"platform": "gcp", "architecture": "arm64"}),
    rule({"platform": ["aws", "azure"], "architecture": {"present": "false"}}),
    rule({"family": {"present": False}, "description": {"regex": "(?i)golden.*"}}),
    rule(
        {"gallery": "g", "image_definition": ["a", "b"], "image_version": {"at_least": "1.0.0", "less_than": "2.0.0"}}
    ),
    rule({"image_version": "1.0.0"}),
    rule({"image_version": {"regex": "1[.].*"}}),
    rule({"created_at": {"from": "2026-11-01", "before": "2026-11-02T03:04:05+01:00"}}),
    rule({"created_at": {"regex": "2026-.*"}, "created_at.year": "2026", "created_at.minute": {"present": True}}),
    rule({"age": {"at_least": "1h30m", "less_than": "2d"}}),
    rule({"tags": {"Env": "prod", "a.b:c": {"regex": "x+"}}, "labels": {"os_type": ["Linux"]}}),
    rule({}, bucket="{name|slug}", fingerprint="{tags.a.b}", component_type="{platform}", name="all", ignore=False),
    rule({}, bucket="web", labels={"os": "{{x}}", "a/b": "{created_at.date}"}, group="day"),
    rule({}, bucket="web", group={"by": "6h", "offset": "30m"}, labels={}),
    rule({"name": {"regex": "(?P<os>[a-z]+)-(?P<build>.*)"}}, bucket="golden-{os}", group="{os|lower} {build}"),
    rule({}, bucket="web", group={"by": "name"}),
    rule({}, ignore=True),
    {"rules": [rule({"name": "a"}, ignore="true")["rules"][0], rule({"name": "b"})["rules"][0]]},
]
BAD: list[Any] = [
    [],
    "rules",
    {},
    {"rules": None},
    {"rules": []},
    {"rules": {}},
    {"rules": ["web"]},
    {"rule": [rule({})["rules"][0]]},
    {"rules": [{"bucket": "web"}]},
    {"rules": [{"match": {}}]},
    {"rules": [{"match": {}, "ignore": False}]},
    rule(None),
    rule([]),
    rule({}, bucket=""),
    rule({}, bucket=7),
    rule({}, bucket="web", buckte="web"),
    rule({}, bucket="web", fingerprint=""),
    rule({}, bucket="web", name=""),
    rule({}, bucket="web", fingerprint="a", group="day"),
    rule({}, bucket="web", labels=["os"]),
    rule({}, bucket="web", labels={"o s": "x"}),
    rule({}, bucket="web", labels={"os": 7}),
    rule({}, bucket="web", labels={f"k{n}": "x" for n in range(33)}),
    rule({}, bucket="web", group="week"),
    rule({}, bucket="web", group=""),
    rule({}, bucket="web", group={"offset": "1h"}),
    rule({}, bucket="web", group={"by": "day", "of": "1h"}),
    rule({}, bucket="web", group=["day"]),
    rule({}, bucket="web", ignore="yes"),
    rule({}, bucket="web", ignore=True),
    rule({}, ignore=True, labels={}),
    rule({"nme": "web"}),
    rule({"name": ""}),
    rule({"name": 7}),
    rule({"name": None}),
    rule({"name": []}),
    rule({"name": [7]}),
    rule({"name": [str(n) for n in range(101)]}),
    rule({"name": {}}),
    rule({"name": {"regexp": "a"}}),
    rule({"name": {"regex": ""}}),
    rule({"name": {"regex": "a" * 1001}}),
    rule({"name": {"regex": "a", "present": True}}),
    rule({"name": {"present": "maybe"}}),
    rule({"name": {"from": "a"}}),
    rule({"platform": "amazon"}),
    rule({"platform": {"regex": "a.*"}}),
    rule({"architecture": "amd64"}),
    rule({"created_at": "2026-11-01"}),
    rule({"created_at": {"from": "1.11.2026"}}),
    rule({"created_at": {"from": "2026-11-01", "regex": ".*"}}),
    rule({"age": "1d"}),
    rule({"age": {}}),
    rule({"age": {"at_least": "1 day"}}),
    rule({"age": {"present": True}}),
    rule({"image_version": {"at_least": "1.0"}}),
    rule({"tags": {}}),
    rule({"tags": "a"}),
    rule({"tags": {"": "a"}}),
    rule({"tags": {"a" * 129: "a"}}),
    rule({"tags": {"a": {}}}),
]
BEYOND_THE_SCHEMA: list[dict[str, Any]] = [
    rule({"name": "(?P<os>[a-z]+)-.*"}),
    rule({}, bucket="w_b"),
    rule({}, bucket="{"),
    rule({}, bucket="{}"),
    rule({}, bucket="{name|title}"),
    rule({}, bucket="{nme}"),
    rule({}, bucket="web", fingerprint="a!"),
    rule({}, bucket="web", component_type="aws"),
    rule({}, bucket="web", labels={"image-owner": "x"}),
    rule({}, bucket="web", group="1s"),
    rule({}, bucket="web", group={"by": "1h", "offset": "1h"}),
    rule({}, bucket="web", group={"by": "name", "offset": "1h"}),
    rule({"name": {"regex": "("}}),
    rule({"created_at": {"from": "2026-13-01"}}),
    rule({"created_at": {"from": "2026-11-02", "before": "2026-11-02"}}),
    rule({"platform": "aws", "family": "ubuntu"}),
    rule({"platform": "aws"}, bucket="{family}"),
    {"rules": [rule({})["rules"][0], rule({"name": "a"})["rules"][0]]},
]


def valid(document: Any) -> bool:
    return jsonschema.Draft202012Validator(json.loads(schema())).is_valid(document)


def test_the_schema_is_a_schema() -> None:
    """It keeps the rules of the dialect that it names."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema()))


@pytest.mark.parametrize("document", GOOD, ids=json.dumps)
def test_schema_and_parser_accept_the_same(document: dict[str, Any]) -> None:
    """What an editor finds right, the program takes."""
    assert valid(document)
    assert len(document["rules"]) == len(read(document).rules)


@pytest.mark.parametrize("document", BAD, ids=json.dumps)
def test_schema_and_parser_refuse_the_same(document: Any) -> None:
    """What an editor underlines, the program refuses."""
    assert not valid(document)
    with pytest.raises(MappingProblems):
        read(document)


@pytest.mark.parametrize("document", BEYOND_THE_SCHEMA, ids=json.dumps)
def test_the_parser_refuses_more_than_a_schema_can(document: dict[str, Any]) -> None:
    """Names, expressions and contradictions are no matter of form."""
    assert valid(document)
    with pytest.raises(MappingProblems):
        read(document)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("m.yaml is empty and has no rule; write a list of rules, such as {match: {family: ubuntu}, bucket: "
         "golden-ubuntu}", "# nothing"),
        ("m.yaml, line 1: rules has no rule; write a list of rules, such as {match: {family: ubuntu}, bucket: "
         "golden-ubuntu}", "rules: []"),
        ("m.yaml, line 2: rule is not known; write rules", "rules: [{match: {}, bucket: web}]\nrule: []"),
        ("m.yaml, line 3: rule 1: match.nme is not known; write name", "rules:\n- match:\n    nme: x\n  bucket: web"),
        ("m.yaml, line 3: rule 1: has no bucket; give one, or ignore: true", "rules:\n\n- match: {}"),
        ("m.yaml, line 2: rule 1: match is missing; write a mapping such as {family: ubuntu}, or {} for all images",
         "rules:\n- bucket: web"),
        ("m.yaml, line 5: rule 1: match.name.regexp is not known; write regex",
         "rules:\n- bucket: web\n  match:\n    name:\n      regexp: x"),
        ('m.yaml, line 1: rule 1: match.name[1] is "web-(?P<n>[0-9]+)", a regular expression; write it as '
         "{regex: ...}; other values are exact", 'rules: [{match: {name: [web, "web-(?P<n>[0-9]+)"]}, bucket: web}]'),
        ('m.yaml, line 3: rule 1: bucket is "w_b"; a bucket has 3 to 36 letters, digits or hyphens',
         "rules:\n- match: {}\n  bucket: w_b"),
        ("m.yaml, line 3: rule 1: bucket has a { without its other half; write {{ or }} for a brace itself",
         "rules:\n- match: {}\n  bucket: web-{os"),
        ("m.yaml, line 3: rule 1: bucket has the unknown filter title; known are lower and slug",
         "rules:\n- match: {}\n  bucket: '{name|title}'"),
        ('m.yaml, line 3: rule 1: bucket names "oss", which is no group and no field; write os',
         "rules:\n- match: {name: {regex: '(?P<os>.*)'}}\n  bucket: '{oss}'"),
        ("m.yaml, line 3: rule 1: bucket names family, which only gce has, and the rule takes none",
         "rules:\n- match: {gallery: golden}\n  bucket: '{family}'"),
        ("m.yaml, line 2: rule 1: match can match no image: no cloud has platform and family like this",
         "rules:\n- match: {platform: aws, family: x}\n  bucket: web"),
        ("m.yaml, line 2: rule 1: match has two groups called os, in name and in family; give each a name of its own",
         "rules:\n- match: {name: {regex: '(?P<os>.*)'}, family: {regex: '(?P<os>.*)'}}\n  bucket: web"),
        ("m.yaml, line 2: rule 1: match has a group called region, which is a field; give it another name",
         "rules:\n- match: {name: {regex: '(?P<region>.*)'}}\n  bucket: web"),
        ("m.yaml, line 4: rule 2: is never reached: rule 1 (line 2) takes all that it would; put it before, or remove "
         "it", "rules:\n- match: {platform: aws}\n  bucket: web\n- match: {name: a, platform: aws}\n  bucket: web"),
        ("m.yaml, line 4: rule 1: has fingerprint and group; keep one of them",
         "rules:\n- match: {}\n  fingerprint: a\n  group: day\n  bucket: web"),
        ("m.yaml, line 4: rule 1: has ignore and bucket; an image that is left out belongs nowhere, keep one of them",
         "rules:\n- match: {}\n  ignore: true\n  bucket: web"),
        ("m.yaml, line 2: rule 1: match.created_at has from at or after before; no image can be within; put them right",
         "rules:\n- match: {created_at: {from: 2026-11-02, before: 2026-11-01}}\n  bucket: web"),
        ('m.yaml, line 3: rule 1: group.offset is "2h"; write less than by, which is 1h',
         "rules:\n- match: {}\n  group: {by: hour, offset: 2h}\n  bucket: web"),
        ("m.yaml, line 3: rules[0].bucket is given twice (first in line 2); keep one of them",
         "rules:\n- bucket: web\n  bucket: web\n  match: {}"),
        ("m.yaml, line 2, uses an alias (*name), which is not allowed; write the value out",
         "rules:\n- *name"),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_file_line_and_what_would_be_right(problem: str, text: str) -> None:
    """The exact texts, as a person reads them."""
    assert problem == refused(text)


def test_all_problems_are_told_at_once_in_the_order_of_their_lines() -> None:
    """Nobody mends a file one error at a time."""
    text = "rules:\n- match: {nme: x}\n  bucket: w_b\n- match: {age: 1d}\n  bucket: web\n"
    assert [
        "the mapping has 3 problems:",
        "  - m.yaml, line 2: rule 1: match.nme is not known; write name",
        '  - m.yaml, line 3: rule 1: bucket is "w_b"; a bucket has 3 to 36 letters, digits or hyphens',
        '  - m.yaml, line 4: rule 2: match.age is "1d"; write a range, {at_least: ..., less_than: ...}',
    ] == refused(text).splitlines()


def test_json_problems_have_lines_too() -> None:
    """Also of keys within lists and behind repeated ones, whose values count for nothing."""
    text = (
        '{"rules": [\n {"match": {"tags": {\n"a": {"regex": "]}\\""},\n"a": {"regex":\n [1]}}},\n  "bucket": "web"}\n]}'
    )
    assert "m.json, line 4: rules[0].match.tags.a is given twice (first in line 3); keep one of them" == refused(
        text, yaml=False
    )
    sound = '{"match": {"tags": {"a": "]}\\""}},\n  "bucket": "web"}'
    text = f'{{"rules": [\n {sound},\n\n {{"match": {{}},\n  "buckte": "web"}}\n]}}'
    assert [
        "the mapping has 2 problems:",
        "  - m.json, line 5: rule 2: has no bucket; give one, or ignore: true",
        "  - m.json, line 6: rule 2: buckte is not known; write bucket",
    ] == refused(text, yaml=False).splitlines()


def expression(pattern: str) -> str:
    """Return what is said of an expression, without its place."""
    text = json.dumps({"rules": [{"match": {"name": {"regex": pattern}}, "bucket": "web"}]})
    return refused(text, yaml=False).removeprefix("m.json, line 1: rule 1: match.name.regex ")


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("web(", 'is "web(", which is no regular expression (missing ): web(); '),
        ("[z-a]", 'is "[z-a]", which is no regular expression (invalid character class range: z-a); '),
        ("a**", 'is "a**", which is no regular expression (bad repetition operator: **); '),
        ("(?=a).*", 'is "(?=a).*", which looks ahead with (?=: RE2, the engine that cannot explode, does not; '),
        ("(?!tmp).*", 'is "(?!tmp).*", which looks ahead with (?!: RE2, the engine that cannot explode, does not; '),
        ("a(?<!b)", 'is "a(?<!b)", which looks behind with (?<!: RE2, the engine that cannot explode, does not; '),
        (
            r"(a)\1",
            r'is "(a)\\1", which refers back to a group with \1: RE2, the engine that cannot explode, does not; ',
        ),
        (
            "(?P<a>x)(?P=a)",
            'is "(?P<a>x)(?P=a)", which refers back to a group with (?P=: RE2, the engine that cannot explode, '
            "does not; write it without (an earlier rule with ignore: true leaves images out)",
        ),
        ("(?>a)", 'is "(?>a)", which has an atomic group with (?>: RE2, the engine that cannot explode, does not; '),
        ("((a{99}){99}){99}", 'is "((a{99}){99}){99}", which is too large (invalid repetition size: {99}); '),
        (r"(?:\pL{1,100}){10}", r'is "(?:\\pL{1,100}){10}", which is too large (pattern too large - compile failed); '),
        ("(?P<a>x)|(?P<a>y)", "has two groups called a; "),
        ("(?P<1>x)", 'has a group called "1"; '),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused(pattern: str, problem: str) -> None:
    """One that does not compile, that RE2 cannot express, or that would need too much memory."""
    assert expression(pattern).startswith(problem)


def test_an_expression_that_could_explode_is_harmless() -> None:
    """Python's own engine would not come back from this within a lifetime; here the answer is just no."""
    (found,) = read(rule({"name": {"regex": "(a+)+(b|bb)*$"}})).rules
    (condition,) = found.conditions
    assert "Matches" == type(condition).__name__
    assert condition.expression.match("a" * 20_000 + "!") is None  # type: ignore[union-attr]  # see the line before
    assert {} == condition.expression.match("a" * 20_000 + "b")  # type: ignore[union-attr]


def test_text_that_no_utf8_holds_is_matched_all_the_same() -> None:
    """A tag may hold half a letter; it is matched as a question mark."""
    (found,) = read(rule({"name": {"regex": r"(?P<os>.\?)"}})).rules
    (condition,) = found.conditions
    assert {"os": "ß?"} == condition.expression.match("ß\ud800")  # type: ignore[union-attr]


def test_a_window_has_a_size_and_an_offset() -> None:
    """day and hour are short for 24h and 1h."""
    groups = [
        read(rule({}, bucket="web", group=group)).rules[0].target for group in ("day", {"by": "6h", "offset": "1h"})
    ]
    assert [Window(timedelta(days=1)), Window(timedelta(hours=6), timedelta(hours=1))] == [
        target and target.group for target in groups
    ]


def test_a_digest_tells_one_mapping_from_another() -> None:
    """The same text has the same digest, rules as well as lists."""
    texts = ("image,bucket\nami-0abcdef0,web\n", "image,bucket\nami-0abcdef0,api\n")
    digests = [read_list(text, "images.csv").digest for text in texts]
    digests += [read(rule({}, bucket=bucket)).digest for bucket in ("web", "api", "web")]
    assert digests[2] == digests[4]
    assert 4 == len(set(digests))
    assert {12} == set(map(len, digests))


@pytest.mark.parametrize("name", ["rules.yaml", "rules.YML", "rules.json", "rules.csv"])
def test_the_name_says_the_form(name: str, tmp_path: Path) -> None:
    """YAML, JSON and CSV, by the ending of the file's name; a byte order mark is no letter."""
    document = rule({"name": "web"})
    texts = {".json": json.dumps(document), ".csv": "image,bucket\r\nami-0abcdef0,web\r\n"}
    file = tmp_path / name
    file.write_text(texts.get(file.suffix, "rules:\n- {match: {name: web}, bucket: web}\n"), "utf-8-sig")
    found = read_mapping(file)
    assert (str(file), 1) == (found.source, len(found.rules) + len(found.listed))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("m.yaml", None, "cannot be read (No such file or directory)"),
        ("m.csv", b"image,bucket\n\xff,web\n", "is not UTF-8 (byte 14); save it as UTF-8"),
        (
            "m.json",
            b" " * (1024 * 1024 + 1),
            "is larger than 1 MiB; write rules that match many images, or a list as CSV",
        ),
    ],
)
def test_an_unreadable_file_is_told(name: str, content: bytes | None, problem: str, tmp_path: Path) -> None:
    """The file and the reason, in one error."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MappingProblems) as caught:
        read_mapping(tmp_path / name)
    assert f"{tmp_path / name} {problem}" == str(caught.value)
