"""The workloads of the corpus, each in a network namespace with a sidecar, and a control plane over them.

Usage: python -m tests.corpora.traffic.lab DIRECTORY, as process 1 of its own user, pid and network namespaces
(`Lab` starts it so). Reads one JSON order on each line of standard input, answers each with one line, and
ends with everything in it when its input ends:
  {"do": "start", "workloads": [...], "files": {...}}    -> {"ready": true}
  {"do": "configure", "files": {NAME: TEXT}, "mesh": TEXT} -> {"unsettled": ""}
  {"do": "call", "from": WORKLOAD or "", "requests": [{...}]} -> {"answers": [[...]], "received": {...}}
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.corpora.traffic import cluster, front

from rhumb.agent import binary, http, netns, redirect, redirect_apply
from rhumb.agent.run import Sidecar
from rhumb.agent.settings import Capture, Discovery, SidecarSettings, from_environment
from rhumb.base.errors import RhumbError
from rhumb.ca.active import CertificateAuthority
from rhumb.ca.settings import CaSettings
from rhumb.ca.tokens import TokenBook
from rhumb.local import addresses, network, programs
from rhumb.local.programs import Place
from rhumb.model.proxy import Interception, Role

ROOT = Path(__file__).parents[3]
_READY_S = 60.0
_SETTLE_S = 20.0
_POLL_S = 0.05
_QUIET_POLLS = 3
_MIRRORED_S = 0.2
"""Copies of requests may arrive after the answers."""
Json = dict[str, Any]


class Lab:
    """The lab, from a test's side."""

    def __init__(self, directory: Path) -> None:
        argv = ["env", f"TMPDIR={directory}", "unshare", "--user", "--map-root-user"]
        argv += ["--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
        argv += [sys.executable, "-m", __name__, str(directory)]
        self._log = (directory / "lab.log").open("wb")
        self._process = subprocess.Popen(
            argv,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def order(self, **order: object) -> Json:
        """Have something done. Raises RuntimeError when the lab cannot."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        found: Json = json.loads(line) if line else {"error": "it ended; see lab.log"}
        if "error" in found:
            raise RuntimeError(f"the lab: {found['error']}")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()


class Inside:
    """The lab, from within."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = CaSettings(
            directory=folder / "plane" / "ca", serving_addresses=("127.0.0.1", addresses.HUB)
        )
        self._authority = CertificateAuthority(self._ca)
        self._places: dict[str, int] = {}
        """Open descriptors of network namespaces."""
        self._sidecars: list[Sidecar] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._number = 0
        self._forwardings: list[cluster.Forwarding] = []
        self._names = cluster.NameServer({})

    async def start(self, workloads: Iterable[Json], files: Mapping[str, str]) -> None:
        """Bring everything up."""
        network.set_up_hub()
        self._authority.open(datetime.now(UTC))
        _write_certificate(self._folder)
        for part in ("base", "case"):
            (self._folder / part).mkdir()
        for name, text in files.items():
            (self._folder / "base" / name).write_text(text)
        (self._folder / "mesh.yaml").write_text("{}\n")
        self._run(
            [sys.executable, "-m", "rhumb", "serve", f"--state={self._folder / 'plane'}"]
            + [f"--config={self._folder / part}" for part in ("base", "case")]
            + [f"--mesh-config={self._folder / 'mesh.yaml'}", f"--serving-address={addresses.HUB}"],
            Place(),
            "plane",
        )
        await self._stand_in(files)
        await self._wait_plane()
        async with asyncio.TaskGroup() as group:
            for each in workloads:
                group.create_task(self._add(each))

    async def _stand_in(self, files: Mapping[str, str]) -> None:
        """Do what the cluster would: names of services, and their addresses."""
        documents = [d for text in files.values() for d in yaml.safe_load_all(text)]
        services = [d for d in documents if d["kind"] == "Service"]
        pods = [d for d in documents if d["kind"] == "Pod"]
        self._forwardings = list(cluster.forwardings(services, pods))
        self._names = cluster.NameServer(cluster.names(services, pods))
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self._names, local_addr=(addresses.HUB, 53))

    async def _add(self, said: Json) -> None:
        name = said["name"]
        place = self._places[name] = network.add_workload(said["address"])
        network.inside(place, lambda: cluster.forward(self._forwardings, marked=said["sidecar"]))
        if said["ports"]:
            self._application(said, place)
        if not said["sidecar"]:
            return
        settings = self._settings(said)
        rules = redirect.plan(settings)
        if rules:
            network.inside(place, lambda: redirect_apply.apply(rules))
        token = TokenBook(self._authority.store.tokens).create(
            namespace=settings.namespace,
            service_account=settings.service_account,
            now=datetime.now(UTC),
            ttl=timedelta(minutes=10),
        )
        sidecar = Sidecar(
            settings,
            binary=binary.find("", from_environment()),
            roots=self._authority.bundle.pem,
            join_token=token,
            enter=netns.inside(f"/proc/self/fd/{place}"),
            forward=self._names.within(said["namespace"]).forward,
        )
        self._sidecars.append(sidecar)
        await sidecar.start()
        try:
            async with asyncio.timeout(_READY_S):
                await sidecar.wait_ready()
        except TimeoutError as error:
            raise RuntimeError(f"{name} is not ready: {await sidecar.status()}") from error

    def _settings(self, said: Json) -> SidecarSettings:
        gateway = said["gateway"]
        mode = Interception.NONE if gateway else Interception.REDIRECT
        return SidecarSettings(
            name=said["pod"],
            namespace=said["namespace"],
            addresses=(said["address"],),
            discovery=Discovery(address=f"{addresses.HUB}:15012"),
            directory=self._folder / "proxies" / said["name"],
            workload=said["pod"],
            labels=tuple(sorted(said["labels"].items())),
            service_account=said["account"],
            role=Role.ROUTER if gateway else Role.SIDECAR,
            capture=Capture(mode=mode, dns=not gateway),
            own_resolver=True,
        )

    def _application(self, said: Json, place: int) -> None:
        def chosen(kind: str) -> str:
            return ",".join(str(p["workload_port"]) for p in said["ports"] if p["serves"] == kind)

        where = Place(netns=place)
        echo = [sys.executable, "-m", "tests.corpora.traffic.echo", str(self._folder), said["name"]]
        echo += [said["address"], chosen("tcp"), chosen("first"), chosen("proxied")]
        self._run(echo, where, said["name"])
        file = self._folder / f"{said['name']}.json"
        ports = [port for port in said["ports"] if port["serves"] == "http"]
        config = front.bootstrap(said["name"], self._folder, ports, said["address"])
        file.write_text(json.dumps(config))
        envoy = [str(binary.find("", from_environment())), "-c", str(file), "--disable-hot-restart"]
        self._run([*envoy, "--concurrency", "1", "--log-level", "error"], where, said["name"])

    def _run(self, argv: list[str], place: Place, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._programs.append(
                programs.start(
                    argv, place, directory=str(ROOT), streams=(None, log.fileno(), log.fileno())
                )
            )

    async def _wait_plane(self) -> None:
        target = http.Target(host=addresses.HUB, port=15012)
        async with asyncio.timeout(60):
            while True:
                try:
                    (await http.connect(target)).close()
                except OSError:
                    await asyncio.sleep(_POLL_S)
                else:
                    return

    async def configure(self, files: Mapping[str, str], mesh: str) -> str:
        """Put other files in force; return when every proxy has them, else what each has."""
        self._number += 1
        marker = f"marker-{self._number}.yaml"
        for path in (self._folder / "case").iterdir():
            if path.name not in files:
                path.unlink()
        for name, text in files.items():
            path = self._folder / "case" / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
        if (self._folder / "mesh.yaml").read_text() != mesh:
            (self._folder / "mesh.yaml").write_text(mesh)
        (self._folder / "case" / marker).write_text(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: marker-{self._number}, namespace: lab}}\n"
        )
        try:
            await self._settle(marker)
        except TimeoutError:
            return json.dumps(await self._page("/debug/syncz"))
        return ""

    async def _settle(self, marker: str) -> None:
        async with asyncio.timeout(_SETTLE_S):
            while not await self._knows(marker):  # noqa: ASYNC110 - another process knows
                await asyncio.sleep(_POLL_S)
            last, quiet = -1, 0
            while quiet < _QUIET_POLLS:
                pushes, agreed = await self._pushed()
                quiet = quiet + 1 if agreed and pushes == last else 0
                last = pushes
                await asyncio.sleep(_POLL_S)

    async def _knows(self, file: str) -> bool:
        return any(file in str(row.get("location")) for row in await self._page("/debug/configz"))

    async def _pushed(self) -> tuple[int, bool]:
        rows = await self._page("/debug/syncz")
        states = {kind["state"] for row in rows for kind in row["types"].values()}
        return sum(row["pushes"] for row in rows), states <= {"SYNCED", "NACK"}

    async def _page(self, path: str) -> list[Json]:
        target = http.Target(host="127.0.0.1", port=15014)
        answer = await http.request(target, path, timeout=10)
        found: list[Json] = json.loads(answer.body)
        return found

    async def call(self, where: str, requests: list[Json]) -> Json:
        """Send cases' requests from a workload, or from outside."""
        before = self._received()
        place = Place(netns=self._places[where]) if where else Place()
        process = programs.start(
            [sys.executable, "-m", "tests.corpora.traffic.caller"],
            place,
            directory=str(ROOT),
            streams=(subprocess.PIPE, subprocess.PIPE, None),
        )
        out, _ = await asyncio.to_thread(process.communicate, json.dumps(requests).encode())
        if process.returncode:
            raise RuntimeError(f"the caller ended with {process.returncode}; see lab.log")
        if any(request["count"] > 1 for request in requests):
            await asyncio.sleep(_MIRRORED_S)
        return {"answers": json.loads(out), "received": self._received() - before}

    def _received(self) -> Counter[str]:
        """Count the requests that each service's applications have answered."""
        found: Counter[str] = Counter()
        for path in self._folder.glob("*.count"):
            found[path.name.partition(".")[0].rpartition("-")[0]] += path.stat().st_size
        return found

    async def stop(self) -> None:
        """End everything that was started."""
        for sidecar in self._sidecars:
            await sidecar.stop()
        for process in self._programs:
            process.kill()
            process.wait()

    async def answer(self, order: Json) -> Json:
        """Do what an order says."""
        match order.pop("do"):
            case "start":
                await self.start(order["workloads"], order["files"])
                return {"ready": True}
            case "configure":
                return {"unsettled": await self.configure(order["files"], order["mesh"])}
            case "call":
                return await self.call(order["from"], order["requests"])
            case other:
                raise ValueError(other)


def _write_certificate(folder: Path) -> None:
    """Write what applications show: nobody verifies it but cases that bring their own roots."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server.default.svc")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("server.default.svc")]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "app.pem").write_bytes(made.public_bytes(pem))
    (folder / "app.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _texts(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [text for each in error.exceptions for text in _texts(each)]
    return [f"{type(error).__name__}: {error}"]


async def _main(folder: Path) -> None:
    inside = Inside(folder)
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                found = await inside.answer(json.loads(line))
            except (RhumbError, OSError, RuntimeError, TimeoutError, ExceptionGroup) as error:
                found = {"error": "; ".join(_texts(error))}
            print(json.dumps(found), flush=True)
    finally:
        await inside.stop()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
