"""Scenarios of TLS: certificates of the gateway, and mutual TLS or nothing."""

import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rhumb.base.errors import RhumbError
from rhumb.local.check.bench import Bench, UnexpectedError, until
from rhumb.local.check.client import Gateway, Load, Tls
from rhumb.local.check.scenario import Scenario, Verdict

_NAME = "bookinfo.example"
_MOMENT_S = 1.0
_SAMPLE_PLACE = "/tmp/rhumb-bookinfo"  # noqa: S108 - the README's place; replaced by one of our own


def _make(bench: Bench, folder: str, *options: str) -> Path:
    """Make an authority and a certificate by it, as the README says."""
    made = bench.home / folder
    done = subprocess.run(
        [sys.executable, str(bench.home / "certs.py"), str(made), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    if done.returncode:
        raise RhumbError(f"certs.py failed: {done.stderr.strip()}")
    return made


def _gateway(bench: Bench, *authorities: Path) -> Gateway:
    pem = "".join((folder / "ca.crt").read_text() for folder in authorities)
    return Gateway(bench.tls_port, Tls(_NAME, pem))


def _shows(gateway: Gateway, folder: Path) -> bool:
    """Tell whether the port shows a folder's certificate."""
    wanted = ssl.PEM_cert_to_DER_cert((folder / "tls.crt").read_text())
    try:
        return gateway.certificate() == wanted
    except OSError:
        return False


def _answers(gateway: Gateway) -> bool:
    """Tell whether anybody speaks TLS there."""
    try:
        gateway.certificate(_MOMENT_S)
    except ssl.SSLError:
        return True
    except OSError:
        return False
    return True


def _is_refused(gateway: Gateway) -> bool:
    try:
        gateway.certificate()
    except ssl.SSLCertVerificationError:
        return True
    except OSError:
        return False
    return False


def _files_before(bench: Bench) -> None:
    made = _make(bench, "tls")
    _ = _make(bench, "strangers")
    scenario = bench.home / "scenarios" / "https-files" / "https.yaml"
    scenario.write_text(scenario.read_text().replace(_SAMPLE_PLACE, str(made)))
    if _answers(_gateway(bench, made)):
        raise UnexpectedError("the HTTPS port answers without the scenario")


def _files(bench: Bench) -> Verdict:
    return _pages(bench, bench.home / "tls", "file")


def _pages(bench: Bench, folder: Path, where: str) -> Verdict:
    gateway = _gateway(bench, folder)
    if not _shows(gateway, folder):
        return Verdict(False, f"the HTTPS port does not show the certificate of the {where}")
    whole = sum(s.whole for s in gateway.ask(20))
    good = whole == 20 and _is_refused(_gateway(bench, bench.home / "strangers"))
    text = f"{whole} of 20 pages over HTTPS, certificate of the {where} verified"
    return Verdict(good, f"{text}, another authority's refused")


def _credential_before(bench: Bench) -> None:
    _ = _make(bench, "strangers")
    _ = _make(bench, "first", "--secret", str(bench.home / "first.yaml"))
    bench.place(bench.home / "mesh" / "credential.yaml", (bench.home / "first.yaml").read_text())


def _credential(bench: Bench) -> Verdict:
    """Then a new Secret, while somebody connects anew for every page."""
    first = bench.home / "first"
    verdict = _pages(bench, first, "Secret")
    if not verdict.good:
        return verdict
    second = _make(bench, "second", "--secret", str(bench.home / "second.yaml"))
    gateway = _gateway(bench, first, second)
    load = Load(gateway, lambda seen: seen.whole, reconnect=True)
    with load.running(2):
        load.more(10)
        secret = bench.home / "mesh" / "credential.yaml"
        bench.place(secret, (bench.home / "second.yaml").read_text())
        renewed = until(lambda: _shows(gateway, second))
        load.more(10)
    good = renewed and not load.failures
    text = "the next Secret in use" if renewed else "the next Secret is not used"
    return Verdict(good, f"{verdict.text}; {text}, {len(load.failures)} of {load.asked} failed")


def _outsider(bench: Bench) -> tuple[int, str]:
    """Ask reviews in plain text, from where no sidecar is: a gateway captures nothing."""
    address, port = bench.address("reviews-v1"), bench.port("reviews-v1", 9080)
    return bench.ask_from("ingressgateway", address, port, "/reviews/0")


def _strict_before(bench: Bench) -> None:
    status, said = _outsider(bench)
    if status != 200:
        raise UnexpectedError(
            f"without the scenario a plain-text call gets {status} {said}, not 200"
        )


def _strict(bench: Bench) -> Verdict:
    status, said = _outsider(bench)
    inside, _ = bench.ask_from("productpage-v1", "reviews", 9080, "/reviews/0")
    whole = sum(s.whole for s in bench.gateway.ask(50))
    good = status == 0 and inside == 200 and whole == 50
    text = f"plain text from outside: {said if status == 0 else status}"
    return Verdict(good, f"{text} (200 without it); from inside: {inside}; {whole} of 50 pages")


SCENARIOS: Mapping[str, Scenario] = {
    "https-files": Scenario(test=_files, before=_files_before),
    "https-credential": Scenario(test=_credential, before=_credential_before),
    "strict-mtls": Scenario(test=_strict, before=_strict_before),
}
