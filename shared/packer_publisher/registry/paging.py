"""Lists that come in pages, read to their end or to a limit, and never in circles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryTrouble
from packer_publisher.registry.decoding import Document, next_page
from packer_publisher.registry.transport import Call, Transport

PAGES = 1000
"""The most pages of one list that are read."""


def pages(transport: Transport, call: Call, deadline: Deadline) -> Iterator[Document]:
    """Yield the pages of a list, asking for each when it is wanted.

    HCP's default and largest page size are not documented, so none is asked for. Raises RegistryTrouble when a page
    token comes twice, and as Transport.send.
    """
    seen: set[str] = set()
    page = call
    for _ in range(PAGES):
        document = transport.send(page, deadline).document or {}
        yield document
        token = next_page(document)
        if not token:
            return
        if token in seen:
            raise RegistryTrouble(f"{call.what}: the list leads in a circle, HCP gave the same page token twice.")
        seen.add(token)
        page = replace(call, query=(*call.query, ("pagination.next_page_token", token)))
    raise RegistryTrouble(f"{call.what}: the list has more than {PAGES} pages.")
