"""`rhumb translate`: what one proxy would be sent, from files alone."""

import sys
from collections.abc import Mapping

import click
import msgspec

from rhumb.app import loading, offline
from rhumb.cli import inputs
from rhumb.cli.printer import Exit
from rhumb.model.finding import Level
from rhumb.model.proxy import Proxy
from rhumb.snapshot.build import World
from rhumb.xds.types import XdsType

_TYPES = {kind.short.lower(): kind for kind in offline.SECTIONS}


def _types(_context: click.Context, _option: click.Parameter, said: str) -> tuple[XdsType, ...]:
    wanted = [each.strip().lower() for each in said.split(",") if each.strip()]
    unknown = [each for each in wanted if each not in _TYPES]
    if unknown or not wanted:
        raise click.BadParameter(f'"{",".join(unknown)}" is none of {", ".join(_TYPES)}')
    return tuple(_TYPES[each] for each in wanted)


@click.command(epilog="Example: rhumb translate -f mesh/ --workload reviews-v1.default --type rds")
@inputs.PATHS
@click.argument("more", nargs=-1, metavar="[PATH]...")
@click.option(
    "--node", metavar="FILE", help="The proxy: an Envoy Node in JSON; - for standard input."
)
@click.option(
    "--workload", metavar="NAME.NAMESPACE", help="The proxy: that of a workload in the files."
)
@click.option(
    "--type",
    "kinds",
    default=",".join(_TYPES),
    show_default=True,
    callback=_types,
    help="Only these, separated by commas.",
)
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), default="json", show_default=True
)
@click.option("--redact", is_flag=True, help="Print [redacted] in the place of private keys.")
@click.option("--mesh-config", metavar="FILE", help="MeshConfig, or the ConfigMap that holds it.")
@click.option(
    "-n", "--namespace", default="default", show_default=True, help="For objects that name none."
)
@click.option(
    "--root-namespace",
    default="istio-system",
    show_default=True,
    help="Namespace whose policies hold for the whole mesh.",
)
def command(
    paths: tuple[str, ...],
    more: tuple[str, ...],
    node: str | None,
    workload: str | None,
    kinds: tuple[XdsType, ...],
    output: str,
    redact: bool,
    mesh_config: str | None,
    namespace: str,
    root_namespace: str,
) -> None:
    """Show the whole configuration of one proxy, from files alone.

    Prints one object with the keys listeners, routes, clusters, endpoints,
    secrets and extensions: Envoy's resources in protobuf JSON with original
    field names, sorted by name. Routes and endpoints are complete, however
    they are delivered to a running proxy. Secrets that the agent has are names
    only; those of the files are complete, with private keys unless --redact.

    What is wrong with the files goes to standard error. Exit code: 0 also with
    warnings; 1 when an object is rejected (the others are translated); 2 when
    nothing could be translated.
    """
    paths = inputs.named(paths, more)
    if (node is None) == (workload is None):
        raise click.UsageError("give either --node FILE or --workload NAME.NAMESPACE")
    if (*paths, node, mesh_config).count(inputs.STANDARD_INPUT) > 1:
        raise click.UsageError("standard input (-) can be read once only")
    mesh = (mesh_config, inputs.content(mesh_config)) if mesh_config is not None else None
    loaded = loading.load(
        inputs.texts(paths), mesh_config=mesh, namespace=namespace, root_namespace=root_namespace
    )
    for finding in loaded.findings:
        click.echo(inputs.line(finding), err=True)
    found = offline.configuration(loaded.world, _proxy(loaded.world, node, workload), kinds)
    for finding in found.findings:
        click.echo(inputs.line(finding), err=True)
    if redact:
        offline.redact(found)
    click.echo(_text(found.sections, output))
    has_errors = any(f.level is Level.ERROR for f in (*loaded.findings, *found.findings))
    sys.exit(Exit.FOUND if has_errors else Exit.OK)


def _proxy(world: World, node: str | None, workload: str | None) -> Proxy:
    if node is not None:
        return offline.node(inputs.content(node))
    from rhumb.app.workloads import proxy_of  # the agent's settings take their time

    assert workload is not None
    return proxy_of(world.resources, workload)


def _text(sections: Mapping[str, object], output: str) -> str:
    # What is in a resource is sorted; the sections keep their order.
    ordered = {name: _sorted(value) for name, value in sections.items()}
    if output == "json":
        return msgspec.json.format(msgspec.json.encode(ordered), indent=2).decode()
    import yaml  # only here

    text: str = yaml.dump(
        ordered, Dumper=yaml.CSafeDumper, allow_unicode=True, width=120, sort_keys=False
    )
    return text.rstrip("\n")


def _sorted(value: object) -> object:
    return msgspec.to_builtins(value, order="deterministic")
