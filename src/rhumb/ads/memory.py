"""What holds how much: one page that says where the memory of a control plane is."""

import msgspec

from rhumb.ads.server import AdsServer
from rhumb.cache.encoded import Encoded
from rhumb.model.resource import ResourceSet
from rhumb.snapshot.build import World


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """How many there are of something, and the bytes of what was encoded for them."""

    count: int
    bytes: int = 0


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and bytes. Python objects around the bytes are not in it; `resident` is everything."""

    objects: Held
    """Configuration in force."""
    services: Held
    endpoints: Held
    resources: Held
    """Distinct encoded xDS resources, each held once for all views."""
    differences: Held
    """Differences and response bodies that are remembered for streams to come."""
    views: Held
    parts: Held
    """Parts of views, most of them common to many."""
    tables: Held
    streams: Held
    resident: int
    """Bytes of the process."""


def memory(
    resources: ResourceSet, world: World, ads: AdsServer, encoded: Encoded, resident: int
) -> Memory:
    """Return what holds what now."""
    views, differences = ads.views, ads.differences
    endpoints = sum(map(len, world.catalog.endpoints.values()))
    return Memory(
        objects=Held(count=len(resources)),
        services=Held(count=len(world.catalog.services)),
        endpoints=Held(count=endpoints),
        resources=Held(count=len(encoded), bytes=encoded.size),
        differences=Held(count=len(differences), bytes=differences.size),
        views=Held(count=len(views)),
        parts=Held(count=views.parts),
        tables=Held(count=sum(1 for _ in views.known())),
        streams=Held(count=len(ads.streams)),
        resident=resident,
    )
