"""Envoy's config dump and what stands in for one, read into one shape."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from rhumb.base.errors import RhumbError

Json = Mapping[str, object]
"""A message in protobuf JSON with original field names."""


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A secret and whether it is in use."""

    name: str
    state: str
    value: Json


class Dump(msgspec.Struct, kw_only=True):
    """The resources of one proxy."""

    listeners: list[Json] = []
    routes: list[Json] = []
    clusters: list[Json] = []
    endpoints: list[Json] = []
    statuses: list[Json] = []
    """Of `/clusters?format=json`: endpoints with what Envoy has found out about them."""
    secrets: list[Secret] = []
    extensions: list[Json] = []
    bootstrap: Json = {}

    @property
    def node(self) -> Json:
        """Return who the proxy says it is; empty when the dump does not tell."""
        return mapping(self.bootstrap.get("node"))


def parse(text: bytes, name: str) -> Dump:
    """Read what `/config_dump`, `/clusters?format=json`, `rhumb translate` or `/debug/config_dump` prints.

    Raises RhumbError for anything else.
    """
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise RhumbError(f"{name} is not JSON: {error}", hint=_HINT) from None
    if not isinstance(said, dict) or not (said.keys() & {"configs", "cluster_statuses", *_LISTS}):
        raise RhumbError(f"{name} is no dump of Envoy's configuration", hint=_HINT)
    dump = Dump(statuses=mappings(said.get("cluster_statuses")))
    for config in mappings(said.get("configs")):
        take = _TAKE.get(str(config.get("@type", "")).rpartition(".")[2])
        if take is not None:
            take(dump, config)
    for word in _LISTS:
        getattr(dump, word).extend(mappings(said.get(word)))
    dump.secrets += [
        Secret(name=text_of(each, "name"), state="ACTIVE", value=each)
        for each in mappings(said.get("secrets"))
    ]
    return dump


def mapping(value: object) -> Json:
    """Return a message; an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Json]:
    """Return a list of messages; an empty one where there is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """Return a list of texts; an empty one where there is none."""
    return [str(each) for each in value] if isinstance(value, list) else []


def text_of(value: Json, field: str) -> str:
    """Return a field as text, empty where it is not set."""
    found = value.get(field)
    return "" if found is None else str(found)


def dig(value: object, *path: str) -> object:
    """Return what stands at a path of fields, None when something on it is not there."""
    for part in path:
        value = mapping(value).get(part)
    return value


def host_name(table: Json, host: Json) -> str:
    """Return the name of a virtual host, without that of its route configuration.

    Envoy has both where the virtual host came by itself: that is then the name of the resource.
    """
    return text_of(host, "name").removeprefix(f"{text_of(table, 'name')}/")


_HINT = "save one with: curl 127.0.0.1:15000/config_dump?include_eds"
_LISTS = ("listeners", "routes", "clusters", "endpoints", "extensions")


def _each(config: Json, lists: tuple[str, ...], field: str) -> Iterator[Json]:
    for name in lists:
        for row in mappings(config.get(name)):
            found = row.get(field)
            if isinstance(found, dict):
                yield found


def _listeners(dump: Dump, config: Json) -> None:
    dump.listeners += _each(config, ("static_listeners",), "listener")
    for row in mappings(config.get("dynamic_listeners")):
        state = mapping(row.get("active_state")) or mapping(row.get("warming_state"))
        if isinstance(state.get("listener"), dict):
            dump.listeners.append(mapping(state["listener"]))


def _routes(dump: Dump, config: Json) -> None:
    lists = ("static_route_configs", "dynamic_route_configs")
    dump.routes += _each(config, lists, "route_config")


def _clusters(dump: Dump, config: Json) -> None:
    lists = ("static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters")
    dump.clusters += _each(config, lists, "cluster")


def _endpoints(dump: Dump, config: Json) -> None:
    lists = ("static_endpoint_configs", "dynamic_endpoint_configs")
    dump.endpoints += _each(config, lists, "endpoint_config")


def _secrets(dump: Dump, config: Json) -> None:
    for lists, state in (
        ("static_secrets", "ACTIVE"),
        ("dynamic_active_secrets", "ACTIVE"),
        ("dynamic_warming_secrets", "WARMING"),
    ):
        dump.secrets += [
            Secret(name=text_of(row, "name"), state=state, value=mapping(row.get("secret")))
            for row in mappings(config.get(lists))
        ]


def _extensions(dump: Dump, config: Json) -> None:
    dump.extensions += _each(config, ("ecds_filters",), "ecds_filter")


def _bootstrap(dump: Dump, config: Json) -> None:
    dump.bootstrap = mapping(config.get("bootstrap"))


_TAKE: Mapping[str, Callable[[Dump, Json], None]] = {
    "BootstrapConfigDump": _bootstrap,
    "ListenersConfigDump": _listeners,
    "RoutesConfigDump": _routes,
    "ClustersConfigDump": _clusters,
    "EndpointsConfigDump": _endpoints,
    "SecretsConfigDump": _secrets,
    "EcdsConfigDump": _extensions,
}
