"""The cases of the traffic corpus as data: which can be run, and in which world."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

CORPUS = Path(__file__).parents[4] / "shared" / "corpora" / "traffic"
LATER = {
    "AuthorizationPolicy",
    "RequestAuthentication",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "Ingress",
    "ListenerSet",
    "BackendTLSPolicy",
}
"""Kinds of later milestones."""
Json = dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    """One call with what must come of it."""

    said: Mapping[str, Any]
    suite: str
    """`routing` or `security`: the topology."""

    @property
    def id(self) -> str:
        """Return its name."""
        return str(self.said["id"])

    @property
    def world(self) -> str:
        """Return a key: cases with the same one can be run after each other without change."""
        return json.dumps([self.said["config"], self.said["mesh_config_patches"]])

    @property
    def not_run(self) -> str:
        """Return why the case cannot be run here, "" when it can."""
        later = LATER & set(self.said["config_kinds"])
        if later:
            return ", ".join(sorted(later))
        if self.said.get("duplicate_of"):
            return "a duplicate"
        if self.said.get("extra_setup"):
            return "a gateway with settings of its own"
        if (self.said["request"].get("http") or {}).get("http3"):
            return "HTTP/3"
        return ""


def read() -> list[Case]:
    """Return all cases, those of one world together."""
    found = [
        Case(said, "security" if file == "security" else "routing")
        for file in ("routing", "pilot", "security")
        for said in json.loads((CORPUS / f"cases_{file}.json").read_text())["cases"]
    ]
    return sorted(found, key=lambda case: (case.suite, case.world))


class World:
    """A topology of the corpus with addresses of this machine."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self._environment = json.loads((CORPUS / "environment.json").read_text())
        file = "security" if suite == "security" else "routing"
        self._symbols: dict[str, Json] = json.loads((CORPUS / f"cases_{file}.json").read_text())[
            "symbolic_ips"
        ]
        self._own = {symbol: _own(symbol, said["kind"]) for symbol, said in self._symbols.items()}
        self._pattern = re.compile(
            r"\b(" + "|".join(re.escape(symbol) for symbol in self._symbols) + r")\b"
        )
        documents = yaml.safe_load_all((CORPUS / f"topology_{file}.yaml").read_text())
        self._documents = [document for document in documents if document]
        self.workloads = list(self._workloads())

    def text(self, text: str) -> str:
        """Put this machine's addresses in the place of the corpus's."""
        return self._pattern.sub(lambda match: self._own[match[1]], text)

    def files(self) -> dict[str, str]:
        """Return the configuration that all cases share."""
        for document in self._documents:
            if document["kind"] != "Service":
                continue
            name = f"{document['metadata']['name']}.{document['metadata']['namespace']}"
            for symbol, said in self._symbols.items():
                if said["kind"] == "service" and said["name"] == name:
                    document["spec"]["clusterIP"] = self._own[symbol]
        self._documents += self._missing()
        pods = [self._pod(workload) for workload in self.workloads]
        return {"topology.yaml": self.text(yaml.safe_dump_all([*self._documents, *pods]))}

    def _missing(self) -> list[Json]:
        """Return the services that have an address but stand in no topology: a port for each of a pod's."""
        known = {
            f"{d['metadata']['name']}.{d['metadata']['namespace']}"
            for d in self._documents
            if d["kind"] == "Service"
        }
        found = []
        for symbol, said in self._symbols.items():
            if said["kind"] == "service" and said["name"] not in known:
                name, _, namespace = said["name"].partition(".")
                ports = [
                    {"name": p["name"], "port": p["service_port"], "targetPort": p["workload_port"]}
                    for p in self._environment["ports"]
                    if p["service_port"] > 0
                ]
                found.append(
                    {
                        "apiVersion": "v1",
                        "kind": "Service",
                        "metadata": {"name": name, "namespace": namespace},
                        "spec": {"clusterIP": symbol, "selector": {"app": name}, "ports": ports},
                    }
                )
        return found

    def case_files(self, case: Case) -> dict[str, str]:
        """Return the configuration of a case."""
        found = {}
        for number, each in enumerate(case.said["config"]):
            documents = list(yaml.safe_load_all((CORPUS / each["file"]).read_text()))
            for document in documents:
                if document and each["default_namespace"]:
                    document["metadata"].setdefault("namespace", each["default_namespace"])
            text = yaml.safe_dump_all(d for d in documents if d)
            found[f"{number}-{Path(each['file']).name}"] = self.text(text)
        return found

    def mesh(self, case: Case) -> str:
        """Return the MeshConfig of a case."""
        found: Json = {}
        if self.suite == "security":
            found |= self._environment["mesh_config_security_suite"]
        for patch in case.said["mesh_config_patches"]:
            found |= patch
        return yaml.safe_dump(found)

    def request(self, case: Case) -> tuple[str, Json]:
        """Return the workload that a call comes from ("" for outside), and the order for the caller."""
        asked: Json = json.loads(self.text(json.dumps(case.said["request"])))
        source = case.said["from"]
        asked.setdefault("message", "")
        asked["http"] = asked.get("http") or {}
        asked["server_first"] = "server" in str(asked.get("port_name"))
        asked["nameserver"] = "100.64.0.1"
        namespace = source.get("namespace") or "default"
        asked["search"] = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        asked["dial"] = [asked["address"], asked["port"]]
        if source["kind"] == "ingress":
            gateway = self.text(case.said["request"]["address"])
            asked["dial"] = [gateway, self._gateway_port(source, asked["port"])]
            return "", asked
        name = f"{source['service']}-{source.get('version') or 'v1'}.{namespace}"
        return name, asked

    def expected(self, case: Case) -> list[Json]:
        """Return the checks of a case."""
        found: list[Json] = json.loads(self.text(json.dumps(case.said["expect"])))
        return found

    def _gateway_port(self, source: Json, port: int) -> int:
        for document in self._documents:
            if document["kind"] == "Service" and document["metadata"]["name"] == source["service"]:
                for each in document["spec"]["ports"]:
                    if each["port"] == port:
                        return int(each.get("targetPort", port))
        return port

    def _workloads(self) -> Iterator[Json]:
        for symbol, said in self._symbols.items():
            if said["kind"] not in ("pod", "ingress"):
                continue
            pod, _, namespace = said["name"].partition(".")
            gateway = said["kind"] == "ingress"
            service, _, version = pod.rpartition("-")
            service = pod if gateway else service
            known = self._environment["workloads"].get(service, {})
            labels = {**known.get("labels", {"app": service}), "version": version}
            if service in ("a", "b", "c"):
                labels["test.istio.io/class"] = "standard"
            if gateway:
                labels = {"app": pod, "istio": "ingressgateway"}
                if pod != "istio-ingressgateway":
                    labels = {"gateway.networking.k8s.io/gateway-name": pod.removesuffix("-istio")}
            yield {
                "name": said["name"] if not gateway else f"{pod}.{namespace}",
                "pod": pod,
                "namespace": namespace,
                "service": service,
                "address": self._own[symbol],
                "labels": labels,
                "account": service,
                "sidecar": gateway or _has_sidecar(known, version),
                "gateway": gateway,
                "ports": [] if gateway else self._ports(service),
                "locality": known.get("locality", ""),
            }

    def _ports(self, service: str) -> list[Json]:
        ports = [dict(port) for port in self._environment["ports"]]
        if service == "external":
            ports.append(dict(self._environment["external_extra_port"]))
        for port in ports:
            port["serves"] = "http"
            if port["protocol"] == "TCP":
                port["serves"] = "first" if port.get("server_first") else "tcp"
            elif port.get("proxy_protocol"):
                port["serves"] = "proxied"
        return ports

    def _pod(self, workload: Json) -> Json:
        labels = dict(workload["labels"])
        if workload["sidecar"]:
            labels["security.istio.io/tlsMode"] = "istio"
        if workload["locality"]:
            labels["istio-locality"] = workload["locality"].replace("/", ".")
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": workload["pod"],
                "namespace": workload["namespace"],
                "labels": labels,
            },
            "spec": {"serviceAccountName": workload["account"], "containers": []},
            "status": {
                "phase": "Running",
                "podIP": workload["address"],
                "podIPs": [{"ip": workload["address"]}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }


def _has_sidecar(known: Json, version: str) -> bool:
    subsets = known.get("subsets")
    if isinstance(subsets, dict):
        return bool(subsets.get(version) == "sidecar")
    return bool(known.get("sidecar", True))


def _own(symbol: str, kind: str) -> str:
    """Return the address that stands for one of the corpus: services keep theirs, it is never on a link."""
    last = symbol.rpartition(".")[2]
    return {"service": symbol, "pod": f"100.64.0.{last}", "ingress": f"100.64.1.{last}"}[kind]
