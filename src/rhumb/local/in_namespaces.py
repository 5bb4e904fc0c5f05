"""The mesh's process in namespaces: python -m rhumb.local.in_namespaces STATE-DIRECTORY UID GID DESCRIPTOR."""

import socket
import sys
from pathlib import Path

from rhumb.base import logs
from rhumb.local import supervisor
from rhumb.local.namespaces import Namespaces
from rhumb.local.outside import Outside
from rhumb.local.state import State

if __name__ == "__main__":
    logs.set_up("info")
    directory, uid, gid, host = sys.argv[1:]
    found = State(Path(directory))
    outside = Outside(socket.socket(fileno=int(host)))
    sys.exit(supervisor.main(found, Namespaces(found, int(uid), int(gid), outside)))
