"""`rhumb agent`: the agent and Envoy beside one workload of this machine."""

import asyncio
import signal
import socket
from pathlib import Path

import click
import uvloop

from rhumb.agent import binary, redirect, redirect_apply, sds
from rhumb.agent.dns_upstream import Upstream, local_servers
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Capture, Discovery, SidecarSettings, from_environment
from rhumb.base import logs
from rhumb.base.errors import RhumbError
from rhumb.base.garbage import collect_here
from rhumb.base.tasks import Nursery
from rhumb.cli import parameters
from rhumb.identity.trust import TrustBundle
from rhumb.model.proxy import Interception, Role


@click.command(
    epilog="Example: rhumb agent --control-plane 10.0.0.2:15012 --roots root.pem "
    "--join-token token --namespace shop --service-account cart"
)
@click.option(
    "--control-plane",
    required=True,
    metavar="HOST:PORT",
    type=parameters.host_port,
    help="Its secure port.",
)
@click.option(
    "--roots",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Root certificates (PEM) to verify it against: rhumb ca show.",
)
@click.option(
    "--join-token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a join token; needed once, until there is a certificate.",
)
@click.option("--namespace", default="default", show_default=True)
@click.option("--service-account", default="default", show_default=True)
@click.option("--name", default="", help="Name of this instance; the host's name unless given.")
@click.option("--workload", default="", help="Name in metrics; that of the instance unless given.")
@click.option(
    "--address", required=True, type=parameters.address, help="By which others reach this workload."
)
@click.option("--label", "labels", multiple=True, help="NAME=VALUE; may be repeated.")
@click.option("--group", default="", help="WorkloadGroup to register with.")
@click.option("--gateway", is_flag=True, help="Be a gateway instead of a sidecar.")
@click.option(
    "--capture",
    type=click.Choice(["redirect", "none"]),
    default="none",
    show_default=True,
    help="Redirect this network namespace's traffic (needs CAP_NET_ADMIN).",
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    default=Path("rhumb-agent"),
    show_default=True,
    help="Where certificates and Envoy's files are kept.",
)
@click.option("--envoy", default="", help="Envoy binary; the installed one unless given.")
@click.option("--trust-domain", default="cluster.local", show_default=True)
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
def command(
    control_plane: str,
    roots: Path,
    join_token: Path | None,
    namespace: str,
    service_account: str,
    name: str,
    workload: str,
    address: str,
    labels: tuple[str, ...],
    group: str,
    gateway: bool,
    capture: str,
    directory: Path,
    envoy: str,
    trust_domain: str,
    log_format: str,
) -> None:
    """Run the agent and Envoy beside one workload, until SIGTERM drains it."""
    logs.set_up("info", as_json=log_format == "json")
    redirects = capture == "redirect" and not gateway
    settings = SidecarSettings(
        name=name or socket.gethostname().split(".", 1)[0],
        namespace=namespace,
        addresses=(address,),
        discovery=Discovery(address=control_plane),
        directory=directory.resolve(),
        workload=workload,
        labels=tuple(sorted(_label(text) for text in labels)),
        service_account=service_account,
        trust_domain=trust_domain,
        role=Role.ROUTER if gateway else Role.SIDECAR,
        auto_register_group=group,
        capture=Capture(
            mode=Interception.REDIRECT if redirects else Interception.NONE,
            dns=redirects,
            dns_servers=local_servers() if redirects else (),
        ),
        own_resolver=redirects,
    )
    found = binary.find(envoy, from_environment())
    binary.check(found)
    sidecar = Sidecar(
        settings,
        binary=found,
        roots=_roots(roots),
        join_token=_token(join_token, settings),
        forward=Upstream() if redirects else None,
    )
    if redirects:
        redirect_apply.apply(redirect.plan(settings))
    try:
        uvloop.run(_run(sidecar))
    finally:
        if redirects:
            redirect_apply.remove()


def _roots(path: Path) -> str:
    text = path.read_bytes().decode(errors="replace")
    try:
        TrustBundle.parse(text)
    except RhumbError as error:
        hint = "it is what `rhumb ca show -o pem` prints beside the control plane"
        raise RhumbError(f"--roots {path}: {error}", hint=hint) from None
    return text


def _token(path: Path | None, settings: SidecarSettings) -> str:
    """Return the join token; without one there must be a certificate of an earlier run."""
    if path is not None:
        return path.read_text().strip()
    if sds.read_pair(settings.directory / "sds") is None:
        who = f"--namespace {settings.namespace} --service-account {settings.service_account}"
        raise RhumbError(
            f"{settings.directory} holds no certificate, and there is no --join-token to get one",
            hint=f"make a token beside the control plane: rhumb ca token create {who}",
        )
    return ""


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise RhumbError(f'--label "{text}" is not NAME=VALUE')
    return name, value


async def _run(sidecar: Sidecar) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    nursery = Nursery("agent")
    nursery.start("garbage", collect_here())
    starting = asyncio.ensure_future(sidecar.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await stopping
    starting.cancel()
    await sidecar.stop()
    await nursery.close()
