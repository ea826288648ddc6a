"""YAML as the configuration document uses it: mappings, lists and text, and nothing that surprises.

Scalars are never guessed at: ``0123456`` is no octal number and ``no`` is no boolean. Anchors, aliases, tags
and several documents in one file are refused: a document that is small on disk must be small in memory, too.
This module needs pyyaml; nothing that the functions import imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from packer_publisher.document import MOST_LEVELS, ConfigurationProblems, Problem, Table


def read_yaml(text: str, source: str) -> Any:
    """Return the tree of one YAML document: Table, list, str, or None for a value left empty.

    Raises ConfigurationError with the line for bad syntax and for everything that is refused.
    """
    try:
        return _Composer(yaml.parse(text, Loader=yaml.SafeLoader), source).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigurationProblems(
            [Problem(source, f"is not YAML ({what})", mark.line + 1 if mark else None, key=False)]
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationProblems(
            [Problem(source, f"is not YAML ({str(error).splitlines()[0]})", key=False)]
        ) from error


class _Composer:
    """Builds the tree from pyyaml's events, so that nothing is resolved, constructed or expanded."""

    def __init__(self, events: Iterator[Event], source: str) -> None:
        self.events = events
        self.source = source

    def document(self) -> Any:
        """Return the one document, None when there is none."""
        next(self.events)  # StreamStart
        event = next(self.events)
        if isinstance(event, StreamEndEvent):
            return None
        if isinstance(event, DocumentStartEvent):
            event = next(self.events)
        root = self.value(event, 0)
        end = next(self.events)
        if not isinstance(end, DocumentEndEvent):
            raise self.refused(end, "holds something after its document")
        event = next(self.events)
        if not isinstance(event, StreamEndEvent):
            raise self.refused(event, "holds a second document; write one document without ---")
        return root

    def value(self, event: Event, level: int) -> Any:
        """Return the value that begins with an event."""
        if isinstance(event, AliasEvent):
            raise self.refused(event, "uses an alias (*name), which is not allowed; write the value out")
        if isinstance(event, NodeEvent) and event.anchor is not None:
            raise self.refused(event, "sets an anchor (&name), which is not allowed; write the value out")
        if getattr(event, "tag", None) not in (None, "!"):
            raise self.refused(event, "uses a tag (!name), which is not allowed; leave it out, scalars stay text")
        if level > MOST_LEVELS:
            raise self.refused(event, f"is nested too deeply; {MOST_LEVELS} levels are the most")
        if isinstance(event, MappingStartEvent):
            return self.mapping(level)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(level)
        if isinstance(event, ScalarEvent):
            return None if event.value == "" and event.style is None else event.value
        raise self.refused(event, "cannot be read here")

    def mapping(self, level: int) -> Table:
        """Return the mapping whose start was just read."""
        table = Table()
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self.value(event, level + 1)
            if key is not None and not isinstance(key, str):
                raise self.refused(event, "uses a mapping or a list as a key; a key is a text")
            line = _line(event)
            table.put(key or "", self.value(next(self.events), level + 1), line)
        return table

    def sequence(self, level: int) -> list[Any]:
        """Return the list whose start was just read."""
        items = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.value(event, level + 1))
        return items

    def refused(self, event: Event, what: str) -> ConfigurationProblems:
        """Return the error for something at an event."""
        return ConfigurationProblems([Problem(self.source, what, _line(event), key=False)])


def _line(event: Event) -> int | None:
    return event.start_mark.line + 1 if event.start_mark else None
