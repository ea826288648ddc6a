"""Event Grid's filters of an event subscription, as far as the template uses them; what it does not know it refuses.

From Microsoft's pages on event filtering and on subscriptions: values of one filter are joined by OR, filters by AND;
texts are compared without case; a key that is not there matches nothing; 25 filters and 25 values altogether, 512
characters each, keys of at most two levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.infra.hcl import Block, literal, texts

MOST_FILTERS, MOST_VALUES, LONGEST = 25, 25, 512

_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "string_in": lambda found, value: found == value,
    "string_contains": lambda found, value: value in found,
}
# Where the events go, and how often that is tried, decides nothing about which ones do.
_ELSEWHERE = {
    "name", "system_topic", "resource_group_name", "depends_on", "event_delivery_schema", "storage_queue_endpoint",
    "delivery_identity", "retry_policy", "storage_blob_dead_letter_destination", "dead_letter_identity",
}  # fmt: skip


class Unknown(ValueError):
    """Says what in a subscription is not known here."""


def compile_subscription(block: Block) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether an event, in Event Grid's own schema, goes through; Unknown for anything not known."""
    unknown = {*block.attributes, *(inner.type for inner in block.blocks)} - _ELSEWHERE
    if rest := unknown - {"included_event_types", "advanced_filter"}:
        raise Unknown(f"not known: {sorted(rest)}")
    if literal(block.attributes["event_delivery_schema"]) != "EventGridSchema":
        raise Unknown("another schema has other names")
    types = {kind.lower() for kind in texts(block.attributes["included_event_types"])}
    filters = [_filter(inner) for outer in block.all("advanced_filter") for inner in outer.blocks]
    if len(filters) > MOST_FILTERS or sum(len(values) for _, _, values in filters) > MOST_VALUES:
        raise Unknown("more than Event Grid takes")

    def passes(event: Mapping[str, Any]) -> bool:
        if str(event.get("eventType", "")).lower() not in types:
            return False
        for key, compare, values in filters:
            found = _at(event, key)
            if not isinstance(found, str) or not any(compare(found.lower(), value) for value in values):
                return False
        return True

    return passes


def _filter(block: Block) -> tuple[str, Callable[[str, str], bool], list[str]]:
    if block.type not in _OPERATORS or {*block.attributes} != {"key", "values"} or block.blocks:
        raise Unknown(f"not known: {block.type} {sorted(block.attributes)}")
    key, values = literal(block.attributes["key"]), texts(block.attributes["values"])
    if not isinstance(key, str) or key.count(".") > 1 or any(len(value) > LONGEST for value in values):
        raise Unknown(f"more than Event Grid takes: {key}")
    return key, _OPERATORS[block.type], [value.lower() for value in values]


def _at(event: Any, key: str) -> Any:
    for name in key.split("."):
        event = event.get(name) if isinstance(event, Mapping) else None
    return event
