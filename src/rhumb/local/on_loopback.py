"""The mesh's process without namespaces: python -m rhumb.local.on_loopback STATE-DIRECTORY."""

import sys
from pathlib import Path

from rhumb.base import logs
from rhumb.local import supervisor
from rhumb.local.loopback import Loopback
from rhumb.local.state import State

if __name__ == "__main__":
    logs.set_up("info")
    found = State(Path(sys.argv[1]))
    sys.exit(supervisor.main(found, Loopback(sys.argv[1])))
