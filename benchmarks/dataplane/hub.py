"""Two workloads on a bridge in namespaces of their own, as in a local mesh, without the mesh.

Usage: python -m benchmarks.dataplane.hub. Reads one JSON order on each line of standard input and
answers each with one line; ends, with all that it started, when its input ends.
  {"start": [ARGV...], "in": "client"|"server"}  -> {"pid": N}
  {"run": [ARGV...], "in": ...}                  -> {"stdout": "..."}
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable

from rhumb.local import linux, network

ADDRESSES = {"client": "100.64.0.2", "server": "100.64.0.3"}


def main() -> None:
    """Serve orders until there are no more."""
    linux.die_with_parent()
    uid, gid = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
    linux.map_user(0, uid, 0, gid)
    network.set_up_hub()
    places = {name: network.add_workload(address) for name, address in ADDRESSES.items()}
    print(json.dumps({"ready": ADDRESSES}), flush=True)
    started: list[subprocess.Popen[bytes]] = []
    try:
        for line in sys.stdin:
            order = json.loads(line)
            entered = _enter(places[order["in"]])
            if "start" in order:
                child = subprocess.Popen(order["start"], preexec_fn=entered)  # noqa: PLW1509 - one thread
                started.append(child)
                answer: dict[str, object] = {"pid": child.pid}
            else:
                done = subprocess.run(
                    order["run"], preexec_fn=entered, stdout=subprocess.PIPE, text=True, check=True
                )
                answer = {"stdout": done.stdout}
            print(json.dumps(answer), flush=True)
    finally:
        for child in started:
            child.kill()
            child.wait()


def _enter(place: int) -> Callable[[], None]:
    def enter() -> None:
        linux.die_with_parent()
        linux.setns(place, linux.CLONE_NEWNET)

    return enter


if __name__ == "__main__":
    main()
