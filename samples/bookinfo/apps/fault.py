"""Tell a service of Bookinfo to misbehave, or (without options) to behave again."""

import argparse
import http.client
import json
import os
import sys


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--status", type=int, help="answer with this status")
    parser.add_argument("--delay", type=float, help="wait so many seconds before answering")
    parser.add_argument("--every", type=int, help="only every n-th request")
    parser.add_argument("--ill", action="store_true", help="say so at /health")
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "9080")))
    options = parser.parse_args()
    chosen = {k: getattr(options, k) for k in ("status", "delay", "every")}
    faults = {k: v for k, v in chosen.items() if v is not None}
    if options.ill:
        faults["healthy"] = False
    connection = http.client.HTTPConnection(options.host, options.port, timeout=5)
    try:
        connection.request("POST", "/admin/faults", json.dumps(faults))
        answer = connection.getresponse()
        print(answer.read().decode(), end="")
    except OSError as error:
        print(f"error: no service at {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
