"""What the xDS server counts, under Istio's names where Istio has one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rhumb.ads.histograms import BYTES, SECONDS, Histogram, Values
from rhumb.base.clock import Clock
from rhumb.xds.types import XdsType


class Gauges(Protocol):
    """What is read at scrape time."""

    def gauges(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """Yield (name, help, labels, value)."""
        ...


class XdsMetrics(Collector):
    """Counters and histograms of the process. Names have no `_total`, as in Istio's exposition."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._sources: list[Gauges] = []
        self._rejects: Counter[str] = Counter()
        self._triggers: Counter[str] = Counter()
        self._plain: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._convergence = Histogram(
            "pilot_proxy_convergence_time",
            "Seconds between a change and its acceptance by a proxy that needed it.",
            SECONDS,
        )
        self._queued = Histogram(
            "pilot_proxy_queue_time",
            "Seconds between a change and the first response that it meant for a proxy.",
            SECONDS,
        )
        self._build = Histogram(
            "pilot_pushcontext_init_seconds", "Seconds that building a snapshot took.", SECONDS
        )
        self._debounce = Histogram(
            "pilot_debounce_time", "Seconds between the first change merged and its push.", SECONDS
        )
        self._made = Histogram(
            "pilot_xds_push_time", "Seconds that making a response took.", SECONDS
        )
        self._send = Histogram(
            "pilot_xds_send_time", "Seconds until the connection took a response.", SECONDS
        )
        self._size = Histogram("pilot_xds_config_size_bytes", "Size of responses.", BYTES)
        self._sent: dict[XdsType, tuple[Values, Values]] = {}
        """Sizes, and seconds to make, of the responses of each type."""

    def watch(self, source: Gauges) -> None:
        """Ask `source` for more at every scrape."""
        self._sources.append(source)

    def pushed(self, kinds: Iterable[str], build_s: float, waited_s: float) -> None:
        """Count a new snapshot: what kinds changed, how long it took, how long the change waited."""
        for kind in kinds:
            self._triggers[kind] += 1
        self._build.add(build_s)
        self._debounce.add(waited_s)

    def sent(self, kind: XdsType, size: int, made_s: float) -> None:
        """Count a response, and how long it took to make."""
        sizes = self._sent.get(kind)
        if sizes is None:
            name = kind.short.lower()
            sizes = self._sent[kind] = self._size.values(name), self._made.values(name)
        sizes[0].add(size)
        sizes[1].add(made_s)

    def taken(self, seconds: float) -> None:
        """Count how long a connection needed to take a response."""
        self._send.add(seconds)

    def queued(self, seconds: float) -> None:
        """Count how long a change waited for its first response to a proxy."""
        self._queued.add(seconds)

    def converged(self, seconds: float) -> None:
        """Count that a proxy has accepted all that a change meant for it."""
        self._convergence.add(seconds)

    def rejected(self, kind: XdsType) -> None:
        """Count a NACK."""
        self._rejects[kind.short.lower()] += 1

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter without labels: `stale_nonce`, `internal_error` or `refused_stream`."""
        self._plain[name] += by

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, for the registry."""
        sizes = self._size.by_type
        pushes = {name: values.count for name, values in sizes.items()}
        size = {name: values.sum for name, values in sizes.items()}
        yield _labelled("pilot_xds_pushes", "Responses sent.", pushes)
        yield _labelled("pilot_xds_sent_bytes", "Bytes of responses.", size)
        yield _labelled("pilot_push_triggers", "Pushes by what changed.", self._triggers)
        histograms = (self._convergence, self._queued, self._build, self._debounce)
        for each in (*histograms, self._made, self._send, self._size):
            yield from each.families()
        rejects = sum(self._rejects.values())
        yield _one("pilot_total_xds_rejects", "Responses that proxies rejected.", rejects)
        for kind in ("cds", "eds", "lds", "rds", "vhds"):
            name = f"pilot_xds_{kind}_reject"
            yield _one(name, f"Rejected {kind.upper()} responses.", self._rejects[kind])
        plain = self._plain
        yield _one("pilot_xds_expired_nonce", "Answers to old responses.", plain["stale_nonce"])
        yield _one(
            "pilot_total_xds_internal_errors",
            "Resources that could not be made.",
            plain["internal_error"],
        )
        yield _one("rhumb_xds_refused_streams", "Streams refused.", plain["refused_stream"])
        up = self._clock.monotonic() - self._started
        yield _one("istiod_uptime_seconds", "Seconds since the start.", up)
        for name in ("istio_build", "pilot_info"):
            labels = {"component": "pilot", "version": version("rhumb-mesh")}
            yield _one(name, "What runs here.", 1, labels)
        for source in self._sources:
            yield from _grouped(source)


def _grouped(source: Gauges) -> Iterable[Metric]:
    found: dict[str, Metric] = {}
    for name, text, labels, value in source.gauges():
        metric = found.setdefault(name, Metric(name, text, "gauge"))
        metric.add_sample(name, labels, value)
    return found.values()


def _one(name: str, text: str, value: float, labels: dict[str, str] | None = None) -> Metric:
    metric = Metric(name, text, "gauge")
    metric.add_sample(name, labels or {}, value)
    return metric


def _labelled(name: str, text: str, values: Mapping[str, float]) -> Metric:
    metric = Metric(name, text, "gauge")
    for key, value in sorted(values.items()):
        metric.add_sample(name, {"type": key}, value)
    return metric
