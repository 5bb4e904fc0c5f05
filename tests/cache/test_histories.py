"""Random histories: what is carried from snapshot to snapshot is what a newcomer would be given."""

import random
import re
from typing import cast

import pytest
from tests.cache.random_objects import ROOT, proxies, random_resources

from rhumb.ads import agent_types
from rhumb.cache.encoded import Encoded
from rhumb.cache.views import Failure, Views
from rhumb.encode.dispatch import encode
from rhumb.model.resource import Changes, Key, Resource, ResourceSet
from rhumb.snapshot.build import World, build, empty
from rhumb.snapshot.view import View
from rhumb.translate import proxy as translator
from rhumb.xds.types import XdsType

KINDS = (*(k for k in XdsType if k not in (XdsType.PCDS, XdsType.ECDS)),)
STEPS = 25
APART = (1.0, 0.15, 0.0)
"""How many come of the objects that set namespaces apart: where they are many, nothing is shared."""


def spell(value: object) -> tuple[str, str, bytes]:
    if isinstance(value, agent_types.AgentValue):
        return agent_types.encode(value)
    return encode(value)


def _raise(failure: Failure) -> None:
    raise AssertionError(failure)


def _shown(views: Views, view: View, kind: XdsType) -> dict[str, str]:
    entries = views.table(view, kind).entries
    return {name: entry.version for name, entry in entries.items()}


def _is_for_all(resource: Resource) -> bool:
    """Tell whether an object leaves all namespaces with the same view of others."""
    text = f"{resource.meta.annotations} {resource.spec}"
    if resource.key.kind == "Sidecar" or "source_namespace='t" in text or "exportTo" in text:
        return False
    if resource.key.kind == "EnvoyFilter" and resource.key.namespace != ROOT:
        return False
    if re.search(r"external_name='[^']|export_to=\('", text):
        return False
    return resource.key.kind != "DestinationRule" or f".{resource.key.namespace}.svc" in text


class History:
    """A mesh that changes at random, and what is carried along."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.apart = APART[seed % len(APART)]
        self.known = ResourceSet()
        self.world: World = empty()
        self.encoded = Encoded(spell)
        self.views = Views(self.world, translator, self.encoded, _raise)
        self.proxies = list(proxies())
        self.live: frozenset[View] = frozenset()

    def step(self) -> None:
        """Change one to three objects."""
        upserts: dict[Key, Resource] = {}
        removed: list[Key] = []
        for _ in range(self.chance.randrange(1, 4)):
            if len(self.known) > 6 and self.chance.random() < 0.35:
                removed.append(self.chance.choice(sorted(self.known)))
            else:
                made = random_resources(self.chance)
                upserts |= {r.key: r for r in made if self._may_come(r)}
        left = [key for key in removed if key not in upserts]
        self.known, changes = self.known.apply(upserts.values(), left)
        if changes:
            self.world = build(self.world, self.known, changes)
            self.views.following(self.world, self.live, self.world.impact)

    def _may_come(self, resource: Resource) -> bool:
        return _is_for_all(resource) or self.chance.random() < self.apart

    def check(self, share: float) -> None:
        """Compare some of what is carried along with what is made from nothing."""
        fresh = build(empty(), self.known, Changes(added=frozenset(self.known)))
        newcomer = Views(fresh, translator, self.encoded, _raise)
        current = [self.world.view(each) for each in self.proxies]
        assert current == [fresh.view(each) for each in self.proxies]
        self.live = frozenset(current)
        for view in current:
            for kind in KINDS:
                if self.chance.random() < share:
                    assert _shown(self.views, view, kind) == _shown(newcomer, view, kind), kind


@pytest.mark.parametrize("seed", range(50))
def test_incremental_equals_from_scratch(seed: int) -> None:
    history = History(seed)
    for number in range(STEPS):
        history.step()
        # Now and then nobody asks for some types: what happened must not be forgotten.
        history.check(1.0 if number % 5 == 4 else 0.3)


@pytest.mark.parametrize("seed", range(1000, 1015))
def test_what_is_not_stale_has_not_changed(seed: int) -> None:
    history = History(seed)
    for _ in range(STEPS):
        history.check(1.0)
        before = {(v, k): history.views.table(v, k) for v in history.live for k in KINDS}
        history.step()
        for (view, kind), table in before.items():
            if not history.views.stale(view):
                assert history.views.table(view, kind) is table


class Alone:
    """A snapshot in which nothing is common to views."""

    def __init__(self, world: World) -> None:
        self._world = world

    def common(self, view: View) -> View:
        return view

    def public(self, view: View) -> View:
        return view

    def nobodys(self, view: View) -> View:
        return view

    def __getattr__(self, name: str) -> object:
        return getattr(self._world, name)


@pytest.mark.parametrize("seed", range(2000, 2030))
def test_what_is_common_is_what_each_view_would_have_for_itself(seed: int) -> None:
    history = History(seed)
    for number in range(STEPS):
        history.step()
        if number % 4:
            continue
        alone = Views(cast("World", Alone(history.world)), translator, history.encoded, _raise)
        newcomers = Views(history.world, translator, history.encoded, _raise)
        for each in history.proxies:
            view = history.world.view(each)
            for kind in KINDS:
                assert _shown(newcomers, view, kind) == _shown(alone, view, kind), kind
