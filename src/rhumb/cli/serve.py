"""`rhumb serve`: run the control plane."""

import asyncio
import contextlib
import signal
from pathlib import Path

import click
import uvloop

from rhumb.app.control_plane import ControlPlane
from rhumb.app.settings import ServeSettings, state_directory
from rhumb.base import logs
from rhumb.base.errors import RhumbError
from rhumb.base.garbage import collect_here
from rhumb.base.tasks import Nursery
from rhumb.ca.settings import SERVING_NAMES, CaSettings
from rhumb.cli import parameters
from rhumb.cli.parameters import PORT, PORT_OR_NONE
from rhumb.identity.trust import TrustDomains


@click.command(epilog="Example: rhumb serve --config ./mesh --state /var/lib/rhumb")
@click.option(
    "--config",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Directory or file of Istio and Kubernetes YAML; may be repeated.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    show_default="$XDG_STATE_HOME/rhumb/control-plane",
    help="Directory for what outlives a restart: CA, join tokens, health.",
)
@click.option("--mesh-config", type=click.Path(path_type=Path), help="File with MeshConfig.")
@click.option("--namespace", default="default", show_default=True, help="Of objects without one.")
@click.option(
    "--root-namespace",
    default="istio-system",
    show_default=True,
    help="Namespace whose policies hold for the whole mesh.",
)
@click.option(
    "--trust-domain", default="cluster.local", show_default=True, help="Of identities issued here."
)
@click.option(
    "--cacerts", type=click.Path(path_type=Path), help="Given CA (Istio's cacerts files)."
)
@click.option("--address", default="0.0.0.0", show_default=True, help="Of the secure port.")  # noqa: S104 - as Settings.address
@click.option("--local-address", default="127.0.0.1", show_default=True, help="Of the other ports.")
@click.option(
    "--secure-port",
    default=15012,
    type=PORT,
    metavar="PORT",
    show_default=True,
    help="xDS and CA over TLS.",
)
@click.option(
    "--xds-port",
    default=15010,
    type=PORT_OR_NONE,
    metavar="PORT",
    show_default=True,
    help="Plaintext xDS for this machine; 0: a free port, -1: none.",
)
@click.option(
    "--monitoring-port",
    default=15014,
    type=PORT,
    metavar="PORT",
    show_default=True,
    help="Metrics and debug.",
)
@click.option("--serving-name", multiple=True, help="Further DNS names of the control plane.")
@click.option(
    "--serving-address", multiple=True, type=parameters.address, help="Further IP addresses of it."
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--log-level",
    metavar="LEVEL",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="debug, info, warning or error.",
)
def command(
    config: tuple[Path, ...],
    state: Path | None,
    mesh_config: Path | None,
    namespace: str,
    root_namespace: str,
    trust_domain: str,
    cacerts: Path | None,
    address: str,
    local_address: str,
    secure_port: int,
    xds_port: int,
    monitoring_port: int,
    serving_name: tuple[str, ...],
    serving_address: tuple[str, ...],
    log_format: str,
    log_level: str,
) -> None:
    """Run the control plane: configuration, xDS, CA, debug pages.

    Ends on SIGTERM or Ctrl-C. Proxies go on with what they have while it is
    away, and get only what changed when it is back.
    """
    logs.set_up(log_level, as_json=log_format == "json")
    home = state or state_directory()
    settings = ServeSettings(
        config=config,
        state=home,
        mesh_config=mesh_config,
        namespace=namespace,
        root_namespace=root_namespace,
        address=address,
        local_address=local_address,
        secure_port=secure_port,
        xds_port=None if xds_port < 0 else xds_port,
        monitoring_port=monitoring_port,
        ca=CaSettings(
            directory=home / "ca",
            cacerts=cacerts,
            trust=TrustDomains(own=trust_domain),
            serving_names=(*SERVING_NAMES, *serving_name),
            serving_addresses=("127.0.0.1", "::1", *serving_address),
        ),
    )
    uvloop.run(_run(ControlPlane(settings)))


async def _run(plane: ControlPlane) -> None:
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)
    nursery = Nursery("serve")
    nursery.start("garbage", collect_here())
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await plane.run()
        except* RhumbError as group:
            raise group.exceptions[0] from None
        finally:
            await nursery.close()
