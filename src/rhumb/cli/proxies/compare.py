"""What an Envoy has against what its control plane means it to have."""

import difflib
import json
from collections.abc import Iterator, Mapping

from rhumb.cli.proxies.dump import Dump, Json, dig, host_name, mappings, text_of

SECTIONS = ("clusters", "listeners", "routes")


def differences(envoy: Dump, control_plane: Dump) -> Mapping[str, list[str]]:
    """Return the lines of a difference by section, from the control plane's to Envoy's; none: they match."""
    return {section: list(_lines(section, envoy, control_plane)) for section in SECTIONS}


def _lines(section: str, envoy: Dump, control_plane: Dump) -> Iterator[str]:
    meant, has = _named(section, control_plane), _named(section, envoy)
    own = {text_of(each, "name") for each in _static(section, envoy)}
    # Route configurations that nobody meant are those inside listeners.
    strangers = has.keys() - own if section != "routes" else set()
    for name in sorted(meant.keys() | strangers):
        before, after = _text(meant.get(name)), _text(has.get(name))
        yield from difflib.unified_diff(
            before, after, f"control plane {name}", f"envoy {name}", lineterm=""
        )


def _named(section: str, dump: Dump) -> dict[str, Json]:
    found: list[Json] = getattr(dump, section)
    return {name: each for each in found if (name := text_of(each, "name"))}


def _static(section: str, envoy: Dump) -> list[Json]:
    return mappings(dig(envoy.bootstrap, "static_resources", section))


def _text(resource: Json | None) -> list[str]:
    if resource is None:
        return []
    # Virtual hosts that came by themselves have other names and another order.
    said = {field: value for field, value in resource.items() if field not in ("@type", "vhds")}
    hosts = [{**h, "name": host_name(resource, h)} for h in mappings(said.get("virtual_hosts"))]
    if hosts:
        said["virtual_hosts"] = sorted(hosts, key=lambda host: str(host["name"]))
    return json.dumps(said, indent=1, sort_keys=True).splitlines()
