"""The reader of Terraform's files: what is written is found, and what is no literal is never taken for one."""

from __future__ import annotations

import pytest

from tests.infra.hcl import Unreadable, literal, members, read, texts

TEXT = """
# A comment.

# What it is for,
# on two lines.
resource "kind" "name" {
  plain = "a \\"quoted\\" text" # and a comment
  long  = <<-EOT
    two
      lines
  EOT
  list = [
    "one", # first
    "two",
  ]
  made = "${var.name}-${join("}", ["{"])}"
  inner {
    number = 7
  }
  dynamic "inner" {
    for_each = [1]
    content { number = 8 }
  }
}
"""


def test_blocks_attributes_and_the_comment_above() -> None:
    """Each as it is written; what stands further up belongs to nobody."""
    block = read(TEXT).one("resource", "kind", "name")
    assert "What it is for, on two lines." == block.comment
    assert 'a "quoted" text' == literal(block.attributes["plain"])
    assert "two\n  lines\n" == literal(block.attributes["long"])
    assert ["one", "two"] == texts(block.attributes["list"])
    assert 7 == literal(block.one("inner").attributes["number"])


@pytest.mark.parametrize("expression", ['"${var.name}"', "var.name", 'join("", ["a"])', '["a", var.b]', '"a" + "b"'])
def test_what_is_no_literal_is_refused(expression: str) -> None:
    """It would be tested as something else than it is."""
    with pytest.raises(Unreadable):
        literal(expression)


def test_what_is_interpolated_is_told_by_its_very_text() -> None:
    """Also where it holds quotation marks and braces."""
    block = read(TEXT).one("resource")
    known = {"var.name": "x", 'join("}", ["{"])': "y"}
    assert "x-y" == literal(block.attributes["made"], known)
    assert 'a"\\.b' == literal(r'"a\"${var.name}b"', {"var.name": "\\."}), "what is put in is not read once more"


def test_members_of_an_object() -> None:
    """As they are written."""
    assert {"a": "1", "b": '{ c = "d" }'} == members('{\n  a = 1\n  b = { c = "d" }\n}')
    assert {"a": '"x, y"', "b": "{}", "c": "f(1, 2)"} == members('{ a = "x, y", b = {}, c = f(1, 2) }')


@pytest.mark.parametrize("text", ["a {", "a }", "= 1", 'a "b" c'])
def test_what_is_no_terraform_is_refused(text: str) -> None:
    """A file that is read in half would hide its other half."""
    with pytest.raises((Unreadable, IndexError)):
        read(text)
