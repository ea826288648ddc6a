"""Terraform's files, read as far as the tests need it: blocks, attributes as they are written, literal values.

Nothing is evaluated. What is no literal raises Unreadable, so a filter that is put together from variables can never
be tested as something else than it is.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SPACE = re.compile(r"\s+")
_COMMENT = re.compile(r"(?:#|//)([^\n]*)\n?|/\*.*?\*/", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LABEL = re.compile(r'"([^"]*)"|([A-Za-z_][A-Za-z0-9_-]*)')
_HEREDOC = re.compile(r"<<(-?)(\w+)\n(.*?)\n([ \t]*)\2(?=\n|$)", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


class Unreadable(ValueError):
    """Says what in a text is no literal, or no Terraform at all."""


@dataclass(frozen=True)
class Block:
    """One block: its type, labels, attributes (as written), inner blocks, and the comment that stands above it."""

    type: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    comment: str = ""

    def all(self, type_: str, *labels: str) -> Iterator[Block]:
        """Yield the inner blocks of a type, those of ``dynamic`` blocks not among them."""
        for block in self.blocks:
            if block.type == type_ and block.labels[: len(labels)] == labels:
                yield block

    def one(self, type_: str, *labels: str) -> Block:
        """Return the only inner block of a type; Unreadable where there is none, or another."""
        found = list(self.all(type_, *labels))
        if len(found) != 1:
            raise Unreadable(f"{len(found)} blocks {type_} {labels}")
        return found[0]


def read_module(folder: Path) -> Block:
    """Return all blocks of a module's files as one."""
    parts = [read(path.read_text("utf-8")) for path in sorted(folder.glob("*.tf"))]
    return Block("module", blocks=tuple(block for part in parts for block in part.blocks))


def read(text: str) -> Block:
    """Return the blocks of one file."""
    found, end = _body(text, 0)
    if end != len(text):
        raise Unreadable(f"a brace too many at {text[end : end + 40]!r}")
    return found


def local(module: Block, name: str) -> str:
    """Return a local value as it is written."""
    (found,) = [block.attributes[name] for block in module.all("locals") if name in block.attributes]
    return found


def members(expression: str) -> dict[str, str]:
    """Return an object's members as they are written."""
    text = expression.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise Unreadable(f"no object: {expression[:60]!r}")
    return dict(read("o {\n" + text[1:-1].strip() + "\n}").blocks[0].attributes)


def literal(expression: str, known: Mapping[str, str] | None = None) -> object:
    """Return the value of a literal: text, number, boolean, null, list.

    ``known`` holds what stands for interpolated expressions, by their very text; any other one is Unreadable.
    """
    value, end = _value(expression, _skip(expression, 0), known or {})
    if _skip(expression, end) != len(expression):
        raise Unreadable(f"no literal: {expression[:60]!r}")
    return value


def texts(expression: str) -> list[str]:
    """Return a list of texts."""
    found = literal(expression)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise Unreadable(f"no list of texts: {expression[:60]!r}")
    return found


def _body(text: str, at: int) -> tuple[Block, int]:
    attributes: dict[str, str] = {}
    blocks: list[Block] = []
    while True:
        before = at
        at = _skip(text, at)
        if at == len(text) or text[at] == "}":
            return Block("", (), attributes, tuple(blocks)), at
        name = _NAME.match(text, at)
        if name is None:
            raise Unreadable(f"neither an attribute nor a block at {text[at : at + 40]!r}")
        at = _skip(text, name.end())
        if text[at] == "=":
            end = _end(text, at + 1)
            attributes[name[0]] = text[at + 1 : end].strip()
            at = end + text.startswith(",", end)
            continue
        labels = []
        while label := _LABEL.match(text, at):
            labels.append(label[1] if label[1] is not None else label[2])
            at = _skip(text, label.end())
        if text[at] != "{":
            raise Unreadable(f"no block at {text[at : at + 40]!r}")
        inner, at = _body(text, at + 1)
        if at == len(text):
            raise Unreadable(f"{name[0]} has no end")
        comment = _above(text[before : name.start()])
        blocks.append(Block(name[0], tuple(labels), inner.attributes, inner.blocks, comment))
        at += 1


def _above(text: str) -> str:
    """Return the comment that ends right above a block, without its marks."""
    last = text.rpartition("\n\n")[2]
    return " ".join(line.strip().lstrip("#").strip() for line in last.splitlines() if line.strip().startswith("#"))


def _skip(text: str, at: int) -> int:
    """Return where space and comments end."""
    while found := _SPACE.match(text, at) or _COMMENT.match(text, at):
        at = found.end()
    return at


def _end(text: str, at: int) -> int:
    """Return where an expression ends: at its line's end, at a comma (of an object), or at the brace of its block."""
    depth = 0
    while at < len(text):
        if found := _HEREDOC.match(text, at):
            at = found.end()
        elif text[at] == '"':
            at = _after_string(text, at)
        elif text[at] == "#":
            at = text.find("\n", at)
        elif text[at] in "([{":
            depth, at = depth + 1, at + 1
        elif text[at] in ")]}":
            if depth == 0:
                return at
            depth, at = depth - 1, at + 1
        elif text[at] in ",\n" and depth == 0:
            return at
        else:
            at += 1
    return at


def _after_string(text: str, at: int) -> int:
    """Return where a quoted text ends, what is interpolated in it and quoted there included."""
    at += 1
    while text[at] != '"':
        if text[at] == "\\":
            at += 2
        elif text.startswith("${", at) and not text.startswith("$${", at - 1):
            at = _end(text, at + 2) + 1
        else:
            at += 1
    return at + 1


def _value(text: str, at: int, known: Mapping[str, str]) -> tuple[object, int]:
    if found := _HEREDOC.match(text, at):
        content = textwrap.dedent(found[3]) if found[1] else found[3]
        return _filled(content, known) + "\n", found.end()
    if text[at : at + 1] == '"':
        end = _after_string(text, at)
        return _filled(text[at + 1 : end - 1], known, _unescaped), end
    if text[at : at + 1] == "[":
        items: list[object] = []
        at = _skip(text, at + 1)
        while text[at] != "]":
            item, at = _value(text, at, known)
            items.append(item)
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
        return items, at + 1
    for word, value in (("true", True), ("false", False), ("null", None)):
        if text.startswith(word, at):
            return value, at + len(word)
    if number := _NUMBER.match(text, at):
        return float(number[0]) if "." in number[0] else int(number[0]), number.end()
    raise Unreadable(f"no literal: {text[at : at + 60]!r}")


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: _ESCAPES[escape[1]], text)


def _filled(text: str, known: Mapping[str, str], read: Callable[[str], str] = str) -> str:
    """Return a text with what is known in place of what is interpolated; the rest of it is read, that is not."""
    parts, at = [], 0
    while (begin := text.find("${", at)) >= 0:
        end = _end(text, begin + 2)
        expression = text[begin + 2 : end]
        if expression not in known:
            raise Unreadable(f"not literal: {expression}")
        parts += [read(text[at:begin]), known[expression]]
        at = end + 1
    return "".join((*parts, read(text[at:])))
