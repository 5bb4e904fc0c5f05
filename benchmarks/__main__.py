"""Run scenarios and print their tables: python -m benchmarks [SCENARIO...] [--quick] [--json FILE]."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import convergence, memory, startup
from benchmarks.controlplane import run as controlplane
from benchmarks.controlplane import stress
from benchmarks.dataplane import changes
from benchmarks.dataplane import run as dataplane
from benchmarks.report import Report, as_json, as_text

SCENARIOS: Mapping[str, Callable[[bool], Report]] = {
    "controlplane": lambda quick: controlplane.run(
        sizes=controlplane.SHORT if quick else controlplane.LONG, changes=3 if quick else 10
    ),
    "controlplane-stress": lambda quick: (
        stress.run(proxies=40, churn_s=3, kills=1, moments=20)
        if quick
        else stress.run(proxies=500, churn_s=60, kills=20, moments=2000)
    ),
    "dataplane": lambda quick: dataplane.run(rounds=3 if quick else 9, seconds=1 if quick else 3),
    "dataplane-changes": lambda quick: changes.run(seconds=4 if quick else 60),
    "startup": lambda quick: startup.run(rounds=1 if quick else 5),
    "convergence": lambda quick: convergence.run(changes=10 if quick else 40),
    "memory": lambda quick: memory.run(rounds=1 if quick else 3),
}


def main() -> None:
    """Run what the command line names, everything by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[[], *SCENARIOS], default=[])
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a first impression")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    args = parser.parse_args()
    reports = []
    for name in args.scenario or SCENARIOS:
        reports.append(SCENARIOS[name](args.quick))
        print(as_text(reports[-1]), flush=True)
    if args.json:
        args.json.write_text(as_json(reports))


if __name__ == "__main__":
    main()
