"""A past taken apart: events and deliveries as parsed JSON, found by what tests ask for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from examples.shop.shop import Entry

Json = dict[str, Any]


class Past:
    """`all` in the order things happened; `events` of all kinds; `deliveries`."""

    def __init__(self, entries: list[Entry]) -> None:
        decode = msgspec.json.decode
        self.all: list[tuple[str, Json]] = [(door, decode(line)) for door, line in entries]
        self.events = [entry for door, entry in self.all if door == "events"]
        self.deliveries = [entry for door, entry in self.all if door == "deliveries"]
        self.by_id = {event["id"]: event for event in self.events}
        self.by_type: dict[str, list[Json]] = defaultdict(list)
        self.by_flow: dict[str, list[Json]] = defaultdict(list)
        for event in self.events:
            self.by_type[event["type"]].append(event)
            self.by_flow[event.get("correlationid", "")].append(event)
        self.by_event: dict[str, list[Json]] = defaultdict(list)
        for delivery in self.deliveries:
            self.by_event[delivery["event"]["id"]].append(delivery)

    def flow(self, correlation: str, type: str = "") -> list[Json]:
        """Return the events of a flow, of one type if given; answers from outside left out."""
        return [
            event
            for event in self.by_flow[correlation]
            if event.get("evdebugkind") != "response" and type in ("", event["type"])
        ]

    def outcomes(self, event: Json, subscriber: str) -> list[tuple[int, str]]:
        """Return attempt and outcome of each delivery of an event to a subscriber."""
        return [
            (delivery["attempt"], delivery["outcome"])
            for delivery in self.by_event[event["id"]]
            if delivery["subscriber"] == subscriber
        ]

    def stream(self, name: str) -> list[Json]:
        return [event for event in self.events if event.get("subject") == name]
