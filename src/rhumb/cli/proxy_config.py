"""`rhumb proxy-config`: what one Envoy has, and where it comes from."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate
from urllib.parse import quote

import click

from rhumb.base.errors import RhumbError
from rhumb.cli import columns
from rhumb.cli.printer import say
from rhumb.cli.proxies import clusters, listeners, routes
from rhumb.cli.proxies.dump import Dump, Json, dig, mapping, mappings, text_of
from rhumb.cli.proxies.origins import Origins
from rhumb.cli.proxies.where import DUMP, STATUSES, Chosen, Proxy

_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")
_DEFAULT_LEVEL = "warning"
_ALIASES = {
    "listener": "listeners",
    "l": "listeners",
    "route": "routes",
    "r": "routes",
    "cluster": "clusters",
    "c": "clusters",
    "endpoint": "endpoints",
    "ep": "endpoints",
    "eds": "endpoints",
    "secret": "secrets",
    "s": "secrets",
    "b": "bootstrap",
    "o": "log",
    "a": "all",
}


class _Group(click.Group):
    """Knows istioctl's short names too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        _, found, rest = super().resolve_command(ctx, args)
        return found.name if found else None, found, rest


@click.group(cls=_Group, epilog="Example: rhumb proxy-config routes reviews-v1 --name 9080")
def command() -> None:
    """Show what one Envoy has, and which object, file and line it comes from.

    WORKLOAD is one of the local mesh (NAME or NAME.NAMESPACE; a service's name
    means its first workload). -f reads a dump instead, --proxy-admin asks an
    Envoy anywhere. The names, columns and filters are istioctl's; the column
    ORIGIN is added. With --config the origins are looked up in files, otherwise
    the control plane is asked.
    """


def _with(
    *outputs: str, default: str = "short"
) -> Callable[[Callable[Concatenate[Proxy, ...], None]], Callable[..., None]]:
    """Give a command the argument and options that tell which proxy."""

    def decorate(
        function: Callable[Concatenate[Proxy, ...], None],
    ) -> Callable[..., None]:
        def wrapper(
            workload: str | None,
            file: str | None,
            mesh: Path | None,
            proxy_admin: str | None,
            control_plane: str | None,
            config: tuple[str, ...],
            **options: object,  # whatever the command itself declares
        ) -> None:
            chosen = Chosen(
                workload=workload,
                file=file,
                mesh=mesh,
                proxy_admin=proxy_admin,
                control_plane=control_plane,
                config=config,
            )
            function(Proxy(chosen), **options)

        made: Callable[..., None] = update_wrapper(wrapper, function)
        for option in reversed(_options(outputs, default)):
            made = option(made)
        return made

    return decorate


def _options(outputs: tuple[str, ...], default: str) -> list[Callable[..., Any]]:
    return [
        click.argument("workload", required=False),
        click.option("-f", "--file", metavar="DUMP", help="A dump; - for standard input."),
        click.option(
            "-o", "--output", type=click.Choice(outputs), default=default, show_default=True
        ),
        click.option("--config", multiple=True, metavar="PATH", help="Files to find origins in."),
        click.option("--proxy-admin", metavar="HOST:PORT", help="An Envoy's admin interface."),
        click.option("--control-plane", metavar="HOST:PORT", help="Who is asked for origins."),
        click.option("--mesh", type=click.Path(path_type=Path), help="rhumb.yaml of a local mesh."),
    ]


_TABLES = ("short", "json", "yaml")
_verbose = click.option(
    "--verbose",
    type=bool,
    is_flag=False,
    flag_value=True,
    default=True,
    metavar="BOOLEAN",
    help="Output more information.  [default: true]",
)


@command.command("listeners")
@_with(*_TABLES)
@click.option("--address", default="", help="Only listeners at this address.")
@click.option("--port", type=int, help="Only listeners at this port.")
@click.option("--type", "type_", default="", help="Only HTTP, TCP or HTTP+TCP listeners.")
@_verbose
def listeners_(
    proxy: Proxy, output: str, address: str, port: int | None, type_: str, verbose: bool
) -> None:
    """Listeners and their filter chains."""
    wanted = listeners.Wanted(address=address, port=port, type=type_)
    dump = proxy.dump()
    found = [each for each in dump.listeners if wanted.takes(each)]
    if output != "short":
        columns.document(found, output)
    elif verbose:
        columns.show(
            listeners.HEAD, listeners.rows(found, proxy.origins(dump, "listeners").listeners)
        )
    else:
        columns.show(listeners.SHORT_HEAD, listeners.short_rows(found))


@command.command("routes")
@_with(*_TABLES)
@click.option("--name", default="", help="Only the route configuration of this name.")
@_verbose
def routes_(proxy: Proxy, output: str, name: str, verbose: bool) -> None:
    """Route configurations, virtual hosts and routes."""
    dump = proxy.dump()
    found = [each for each in dump.routes if not name or name == each.get("name")]
    if output != "short":
        columns.document(found, output)
    elif verbose:
        columns.show(routes.HEAD, routes.rows(found, proxy.origins(dump, "routes").routes))
    else:
        columns.show(routes.SHORT_HEAD, routes.short_rows(found))


@command.command("clusters")
@_with(*_TABLES)
@click.option("--fqdn", default="", help="Only clusters of this service.")
@click.option("--direction", default="", help="Only inbound or outbound clusters.")
@click.option("--port", type=int, help="Only clusters of this port.")
@click.option("--subset", default="", help="Only clusters of this subset.")
def clusters_(
    proxy: Proxy, output: str, fqdn: str, direction: str, port: int | None, subset: str
) -> None:
    """Clusters, and the DestinationRules that shaped them."""
    wanted = clusters.Wanted(fqdn=fqdn, direction=direction, port=port, subset=subset)
    dump = proxy.dump()
    found = [each for each in dump.clusters if wanted.takes(each)]
    if output == "short":
        columns.show(clusters.HEAD, clusters.rows(found, proxy.origins(dump, "clusters").clusters))
    else:
        columns.document(found, output)


@command.command("endpoints")
@_with(*_TABLES)
@click.option("--address", default="", help="Only endpoints at this address.")
@click.option("--port", type=int, help="Only endpoints at this port.")
@click.option("--cluster", default="", help="Only endpoints of this cluster.")
@click.option("--status", default="", help="Only endpoints that are healthy, unhealthy, ...")
def endpoints_(
    proxy: Proxy, output: str, address: str, port: int | None, cluster: str, status: str
) -> None:
    """Endpoints, and what Envoy thinks of their health."""
    wanted = clusters.WantedEndpoints(address=address, port=port, cluster=cluster, status=status)
    dump = proxy.dump(STATUSES)
    found = [each for each in clusters.endpoints(dump) if wanted.takes(each)]
    if output == "short":
        # The page of endpoints does not say whose it is.
        known = proxy.origins(dump if dump.node else proxy.dump(), "endpoints").endpoints
        columns.show(clusters.ENDPOINT_HEAD, clusters.endpoint_rows(found, known))
        return
    names = {each.cluster for each in found}
    rows = [s for s in dump.statuses if s.get("name") in names]
    rows = rows or [e for e in dump.endpoints if e.get("cluster_name") in names]
    columns.document(rows, output)


@command.command("secrets")
@_with(*_TABLES)
def secrets_(proxy: Proxy, output: str) -> None:
    """Certificates and roots. Private keys are never shown: Envoy does not tell them."""
    dump = proxy.dump()
    if output == "short":
        _secrets(dump, proxy.origins(dump, "secrets"))
    else:
        columns.document([each.value for each in dump.secrets], output)


@command.command("bootstrap")
@_with(*_TABLES, default="json")
def bootstrap_(proxy: Proxy, output: str) -> None:
    """What Envoy started with."""
    found = proxy.dump().bootstrap
    if not found:
        raise RhumbError("the dump has no bootstrap configuration")
    if output == "short":
        _bootstrap(found)
    else:
        columns.document({"bootstrap": found}, output)


@command.command("log")
@_with("short", "json", "yaml")
@click.option(
    "--level",
    metavar="[LOGGER:]LEVEL,...",
    help=f"Set levels: {', '.join(_LEVELS)}; of all loggers, or of those named.",
)
@click.option("-r", "--reset", is_flag=True, help=f"Set all loggers to {_DEFAULT_LEVEL}.")
def log_(proxy: Proxy, output: str, level: str | None, reset: bool) -> None:
    """Show the levels of Envoy's loggers, or set them."""
    if level and reset:
        raise click.UsageError("--level and --reset exclude each other")
    text = ""
    for query in _level_queries(_DEFAULT_LEVEL if reset else level or ""):
        text = proxy.ask(f"/logging{query}", post=True)
    if output == "short":
        click.echo(text.rstrip())
        return
    pairs = (line.partition(":") for line in text.splitlines() if line.startswith("  "))
    columns.document({name.strip(): value.strip() for name, _, value in pairs}, output)


@command.command("all")
@_with(*_TABLES)
@_verbose
def all_(proxy: Proxy, output: str, verbose: bool) -> None:
    """Everything: the tables one after the other, or the whole dump."""
    text = proxy.text(DUMP)
    if output != "short":
        columns.document(json.loads(text), output)
        return
    dump = proxy.dump()
    known = proxy.origins(dump)
    columns.show(clusters.HEAD, clusters.rows(dump.clusters, known.clusters))
    click.echo()
    if verbose:
        columns.show(listeners.HEAD, listeners.rows(dump.listeners, known.listeners))
        click.echo()
        columns.show(routes.HEAD, routes.rows(dump.routes, known.routes))
    else:
        columns.show(listeners.SHORT_HEAD, listeners.short_rows(dump.listeners))
        click.echo()
        columns.show(routes.SHORT_HEAD, routes.short_rows(dump.routes))
    click.echo()
    endpoints = clusters.endpoints(dump)
    columns.show(clusters.ENDPOINT_HEAD, clusters.endpoint_rows(endpoints, known.endpoints))
    click.echo()
    _secrets(dump, known)


def _level_queries(said: str) -> list[str]:
    """Return the queries that set what was said; one that sets nothing and shows all."""
    wanted = [part.strip() for part in said.split(",") if part.strip()]
    whole = [part for part in wanted if ":" not in part]
    named = [part for part in wanted if ":" in part]
    for part in wanted:
        level = part.rpartition(":")[2]
        if level not in _LEVELS:
            raise click.BadParameter(
                f'"{level}" is none of {", ".join(_LEVELS)}', param_hint="--level"
            )
    queries = [f"?level={quote(part)}" for part in whole]
    if named:
        queries.append(f"?paths={quote(','.join(named), safe=',:')}")
    return queries or [""]


def _secrets(dump: Dump, known: Origins) -> None:
    from rhumb.cli.proxies import secrets  # certificates take time to import

    if not dump.secrets:
        say("the dump has no secrets")
    columns.show(secrets.HEAD, secrets.rows(dump.secrets, known.secrets, datetime.now(UTC)))


def _bootstrap(found: Json) -> None:
    node = found.get("node")
    admin = dig(found, "admin", "address", "socket_address")
    version = mapping(dig(node, "user_agent_build_version", "version"))
    numbers = [str(version.get(part, 0)) for part in ("major_number", "minor_number", "patch")]
    names = [text_of(each, "name") for each in mappings(dig(found, "static_resources", "clusters"))]
    address = f"{dig(admin, 'address') or '-'}:{dig(admin, 'port_value') or '-'}"
    columns.show(
        ("FIELD", "VALUE"),
        [
            ("Node", str(dig(node, "id") or "-")),
            ("Cluster", str(dig(node, "cluster") or "-")),
            ("Version", str(dig(node, "metadata", "ISTIO_VERSION") or "-")),
            ("Envoy", ".".join(numbers) if version else "-"),
            ("Admin", address),
            ("Static clusters", ", ".join(names) or "-"),
        ],
    )
