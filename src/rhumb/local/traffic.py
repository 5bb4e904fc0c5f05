"""Rates, success and latency of each workload, from two readings of the merged metrics."""

import re
from collections import defaultdict
from collections.abc import Mapping

import msgspec

_SAMPLE = re.compile(r"(istio_request[a-z_]+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_BUCKET = "istio_request_duration_milliseconds_bucket"
_TOTAL = "istio_requests_total"


class Reading(msgspec.Struct, frozen=True):
    """What all workloads had received at one moment."""

    at: float
    requests: Mapping[tuple[str, str], float]
    """(workload, response code) to requests, as the receiving side counted them."""
    buckets: Mapping[tuple[str, float], float]
    """(workload, upper bound in ms) to requests."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One workload over one interval."""

    workload: str
    rate: float
    """Requests a second."""
    success: float
    """Percent without a server error."""
    p50: float
    p99: float
    """Milliseconds; upper bounds of histogram buckets."""


def read(at: float, texts: Mapping[str, str]) -> Reading:
    """Read the metrics of all workloads; what the sending side says of the same requests is left out."""
    requests: dict[tuple[str, str], float] = defaultdict(float)
    buckets: dict[tuple[str, float], float] = defaultdict(float)
    for text in texts.values():
        for match in _SAMPLE.finditer(text):
            name = match.group(1)
            if name not in (_TOTAL, _BUCKET):
                continue
            labels = dict(_LABEL.findall(match.group(2)))
            if labels.get("reporter") != "destination":
                continue
            workload = labels.get("destination_workload", "unknown")
            if name == _TOTAL:
                requests[workload, labels.get("response_code", "0")] += float(match.group(3))
            else:
                buckets[workload, float(labels.get("le", "inf"))] += float(match.group(3))
    return Reading(at, requests, buckets)


def rows(before: Reading, after: Reading) -> list[Row]:
    """Return one row for each workload that is known, sorted by name."""
    seconds = max(after.at - before.at, 1e-9)
    found = []
    for workload in sorted({workload for workload, _ in after.requests}):
        codes = {
            code: count - before.requests.get((workload, code), 0.0)
            for (name, code), count in after.requests.items()
            if name == workload
        }
        total = sum(codes.values())
        failed = sum(count for code, count in codes.items() if code[:1] in ("5", "0"))
        found.append(
            Row(
                workload=workload,
                rate=total / seconds,
                success=100.0 * (total - failed) / total if total else 100.0,
                p50=_quantile(before, after, workload, 0.5),
                p99=_quantile(before, after, workload, 0.99),
            )
        )
    return found


def _quantile(before: Reading, after: Reading, workload: str, share: float) -> float:
    counts = sorted(
        (bound, count - before.buckets.get((name, bound), 0.0))
        for (name, bound), count in after.buckets.items()
        if name == workload
    )
    if not counts or counts[-1][1] <= 0:
        return 0.0
    wanted = counts[-1][1] * share
    return next(bound for bound, count in counts if count >= wanted)
