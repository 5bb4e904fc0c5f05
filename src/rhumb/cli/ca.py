"""`rhumb ca`: make and inspect a certificate authority, make join tokens, rotate the root."""

import os
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec

from rhumb.app.settings import state_directory
from rhumb.base.clock import SystemClock
from rhumb.base.durations import Duration
from rhumb.base.errors import RhumbError
from rhumb.ca import rotation
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.authority import load_directory
from rhumb.ca.rotation import Phase
from rhumb.ca.settings import CaSettings
from rhumb.ca.store import Store
from rhumb.ca.tokens import TokenBook
from rhumb.cli.printer import say
from rhumb.identity.trust import DEFAULT_TRUST_DOMAIN, TrustDomains

_state = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=state_directory,
    show_default="~/.local/state/rhumb/control-plane",
    envvar="RHUMB_STATE",
    show_envvar=True,
    help="State directory of the control plane.",
)
_trust_domain = click.option(
    "--trust-domain",
    default=DEFAULT_TRUST_DOMAIN,
    show_default=True,
    help="Trust domain of the mesh.",
)


def _ttl(_ctx: click.Context, _param: click.Parameter, value: str) -> timedelta:
    try:
        return timedelta(seconds=Duration.parse(value).seconds)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def command() -> None:
    """Make and inspect certificate authorities and join tokens.

    The commands work on the state directory; a running control plane picks up
    what they change within seconds.

    \b
    Examples:
      rhumb ca init
      rhumb ca token create --namespace default --service-account reviews
      rhumb ca rotate
    """


@command.command()
@_state
@_trust_domain
@click.option(
    "--cacerts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Take this CA (ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem) instead of a new root.",
)
def init(state: Path, trust_domain: str, cacerts: Path | None) -> None:
    """Make a self-signed root, or take over a given CA.

    Prints the root certificate (PEM); joining machines verify the control
    plane with it. A CA that exists already is left as it is.
    """
    ca = _open(state, trust_domain, cacerts)
    say(f"CA {ca.signing.id} in {_directory(state)}, valid until {_when(ca.signing.expires)}")
    click.echo(ca.bundle.pem, nl=False)


@command.command()
@_state
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "pem"]),
    default="table",
    show_default=True,
)
def show(state: Path, output: str) -> None:
    """Show the authorities in force and where a rotation stands.

    -o pem prints the trusted roots, which is what joining machines need.
    """
    ca = _opened(state)
    if output == "pem":
        click.echo(ca.bundle.pem, nl=False)
        return
    due = rotation.due_at(ca.state, trust_period=ca.settings.trust_period)
    if output == "json":
        facts = {
            "phase": ca.state.phase,
            "since": ca.state.since,
            "signing": ca.state.signing,
            "other": ca.state.other,
            "nextStep": due,
            "expires": ca.signing.expires,
            "roots": [
                {"subject": r.subject, "fingerprint": r.fingerprint, "expires": r.not_after}
                for r in ca.bundle.roots
            ],
        }
        click.echo(msgspec.json.format(msgspec.json.encode(facts)).decode())
        return
    click.echo(
        f"signing   {ca.state.signing}  {ca.signing.certificate.subject}  until {_when(ca.signing.expires)}"
    )
    if ca.state.other:
        word = "coming" if ca.state.phase is Phase.TRUSTING else "leaving"
        click.echo(f"{word:9} {ca.state.other}")
    click.echo(
        f"phase     {ca.state.phase} since {_when(ca.state.since)}"
        + (f", next step {_when(due)}" if due else "")
    )
    for root in ca.bundle.roots:
        click.echo(
            f"trusted   {root.fingerprint[:16]}  {root.subject}  until {_when(root.not_after)}"
        )


@command.command()
@_state
@click.option(
    "--cacerts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Rotate to this CA instead of a new self-signed root.",
)
@click.option("--advance", is_flag=True, help="Take the next step now, before it is due.")
@click.confirmation_option(
    "-y", "--yes", prompt="Change the roots that the mesh trusts?", help="Do not ask."
)
def rotate(state: Path, cacerts: Path | None, advance: bool) -> None:
    """Replace the root of the mesh without an error.

    First the new root is trusted beside the old one; after the trust period
    (24 h) it signs; when the last certificate of the old one has expired, the
    old root is dropped. The control plane takes the later steps by itself.

    --advance takes the next step at once. Proxies that have not fetched the
    new roots yet then fail to connect.
    """
    ca, now = _opened(state), SystemClock().now()
    if advance:
        ca.advance(now)
    else:
        ca.rotate(now, load_directory(cacerts) if cacerts else None)
    due = rotation.due_at(ca.state, trust_period=ca.settings.trust_period)
    say(
        f"phase {ca.state.phase}, {ca.state.signing} signs"
        + (f"; next step {_when(due)}" if due else "")
    )


@command.group()
def token() -> None:
    """Make join tokens for machines and workloads."""


@token.command()
@_state
@click.option("-n", "--namespace", required=True, help="Namespace of the workload.")
@click.option(
    "--service-account", default="default", show_default=True, help="Its service account."
)
@click.option(
    "--ttl",
    callback=_ttl,
    metavar="DURATION",
    default="1h",
    show_default=True,
    help="How long it may be used.",
)
def create(state: Path, namespace: str, service_account: str, ttl: timedelta) -> None:
    """Make a one-time join token and print it.

    Whoever holds it gets certificates of that service account for one key.
    It cannot be shown again.
    """
    _opened(state)
    made = TokenBook(Store(_directory(state)).tokens).create(
        namespace=namespace, service_account=service_account, now=SystemClock().now(), ttl=ttl
    )
    say(f"for {namespace}/{service_account}, for {ttl}, for one use")
    click.echo(made)


def _directory(state: Path) -> Path:
    return state.expanduser() / "ca"


def _open(state: Path, trust_domain: str, cacerts: Path | None) -> CertificateAuthority:
    os.umask(0o077)
    ca = CertificateAuthority(
        CaSettings(
            directory=_directory(state), cacerts=cacerts, trust=TrustDomains.of(trust_domain)
        )
    )
    ca.open(SystemClock().now())
    return ca


def _opened(state: Path) -> CertificateAuthority:
    if Store(_directory(state)).read() is None:
        raise RhumbError(
            f"no CA in {_directory(state)}",
            hint="make one with rhumb ca init, or name the control plane's state directory with --state",
        )
    return _open(state, DEFAULT_TRUST_DOMAIN, None)


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
