"""`rhumb demo`: the Bookinfo sample as a mesh on this machine, until Ctrl-C."""

import contextlib
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from importlib.resources import files
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table

from rhumb.base.errors import RhumbError
from rhumb.cli import tables
from rhumb.cli.printer import Exit, say
from rhumb.cli.up import CAPTURE, start
from rhumb.local import control, state, traffic, up
from rhumb.local.check import run as check
from rhumb.local.state import State

_HTTP = 80
_PAGE_S = 20.0
_EVERY_S = 1.0
_PACE_S = 0.1


@click.command(epilog="Example: rhumb demo --check")
@click.option("--check", "checks", is_flag=True, help="Run every scenario once, then end.")
@click.option("--quiet", is_flag=True, help="No traffic of our own.")
@CAPTURE
def command(checks: bool, quiet: bool, capture: str) -> None:
    """Run the Bookinfo sample as a mesh on this machine, until Ctrl-C.

    With --check it runs a copy on free ports, switches every scenario on and
    off under load, prints a line for each with what it saw, and ends with 0 or
    1. For --capture see `rhumb up --help`.

    Where the sample runs already, its traffic is shown; Ctrl-C leaves it alone.
    """
    samples = _samples()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begin = partial(start, capture=capture, with_parent=True)
    if checks:
        sys.exit(Exit.OK if check.run(samples, click.echo, begin) else Exit.FOUND)
    file = samples / "rhumb.yaml"
    found = state.of(file)
    ours = found.pid is None
    if ours:
        say("starting Bookinfo as a mesh: seven proxies, mutual TLS between them ...")
    else:
        say("Bookinfo runs already ...")
    began = time.monotonic()
    try:
        page = _page(begin(file, found))
        _wait_for(page)
        click.echo(f"ready after {time.monotonic() - began:.1f} s; the page: {page}")
        shown = _from_here(samples)
        click.echo(f"routes to try: copy a file of {shown / 'scenarios'}/*/ into {shown / 'mesh'}")
        ends = "Ctrl-C ends the demo" if ours else "Ctrl-C leaves the mesh running"
        click.echo(f"in another terminal: rhumb ps, rhumb status, rhumb logs; {ends}\n")
        _watch(found, page, quiet=quiet)
    except RhumbError:
        if ours and found.pid is not None:
            ours = False  # it and its logs are needed to find out why
            say("the mesh is left as it is: rhumb ps, rhumb status, rhumb logs; rhumb down ends it")
        raise
    except KeyboardInterrupt:
        if ours:
            say("stopping ...")
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            up.down(found)


def _samples() -> Path:
    repository = Path(__file__).resolve().parents[3] / "samples" / "bookinfo"
    if repository.is_dir():
        return repository
    packaged = Path(str(files("rhumb") / "samples" / "bookinfo"))
    if not packaged.is_dir():
        raise RhumbError("the Bookinfo sample is not installed", hint="reinstall rhumb-mesh")
    return packaged


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _page(status: tables.Json) -> str:
    """Return where the page is: behind the gateway's port 80."""
    url = next(url for port, url in tables.addresses(status) if port == _HTTP)
    return f"{url}/productpage"


def _wait_for(page: str) -> None:
    deadline = time.monotonic() + _PAGE_S
    while not _get(page):
        if time.monotonic() > deadline:
            raise RhumbError(
                f"the mesh has started, but {page} does not answer",
                hint="see what the proxies have been told with `rhumb status`, and `rhumb logs`",
            )
        time.sleep(0.05)


def _get(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=5) as answer:  # noqa: S310 - our own page
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _watch(found: State, page: str, *, quiet: bool) -> None:
    """Show the traffic until interrupted; make some, so that there is something to see."""
    ended = threading.Event()
    if not quiet:
        threading.Thread(target=_load, args=(page, ended), daemon=True).start()
    try:
        _show(found)
    finally:
        ended.set()


def _load(page: str, ended: threading.Event) -> None:
    while not ended.wait(_PACE_S):
        _get(page)


def _show(found: State) -> None:
    out = tables.console()
    before = _reading(found)
    with contextlib.ExitStack() as stack:
        live = (
            stack.enter_context(Live(console=out, auto_refresh=False)) if out.is_terminal else None
        )
        while found.pid is not None:
            time.sleep(_EVERY_S if live else 5 * _EVERY_S)
            after = _reading(found)
            made = _table(traffic.rows(before, after))
            if live:
                live.update(made, refresh=True)
            else:
                tables.show(made)
            before = after
    raise RhumbError("the mesh has ended", hint="see `rhumb logs`")


def _reading(found: State) -> traffic.Reading:
    answer = control.call(found.control, {"do": "metrics"})
    texts = answer.get("metrics")
    return traffic.read(time.monotonic(), texts if isinstance(texts, dict) else {})


def _table(rows: list[traffic.Row]) -> Table:
    made = tables.table("WORKLOAD", "REQUESTS/S", "SUCCESS", "P50 MS", "P99 MS")
    for row in rows:
        made.add_row(
            row.workload,
            f"{row.rate:.1f}",
            f"{row.success:.1f} %",
            f"{row.p50:g}",
            f"{row.p99:g}",
        )
    return made
