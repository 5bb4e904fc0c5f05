"""Become an application: enter a workload's namespaces, drop all privileges, exec.

Run as a script (`python -I enter.py JSON`), so it imports the standard library and `linux` only.
JSON: {"netns": fd or null, "mounts": [[source, target]], "uid": n, "gid": n, "argv": [...],
"directory": path or null, "terminal": standard input is to control it}.
"""

import fcntl
import json
import os
import sys
import termios
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import linux  # type: ignore[import-not-found]  # the file beside this one


def main() -> None:
    """Do what the single argument says, then exec; a failure is one line and exit code 126 or 127."""
    order = json.loads(sys.argv[1])
    linux.die_with_parent()
    if order["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # we lead a session that has none yet
    try:
        _namespaces(order)
    except OSError as error:
        sys.stderr.write(f"rhumb: cannot enter the workload's namespaces: {error}\n")
        sys.exit(126)
    try:
        if order["directory"]:
            os.chdir(order["directory"])
        os.execvp(order["argv"][0], order["argv"])
    except FileNotFoundError as error:
        sys.stderr.write(f"rhumb: {error.filename or order['argv'][0]}: no such file or command\n")
        sys.exit(127)
    except OSError as error:
        sys.stderr.write(f"rhumb: {order['argv'][0]}: {error.strerror}\n")
        sys.exit(126)


def _namespaces(order: dict[str, object]) -> None:
    handle = order["netns"]
    if isinstance(handle, int):
        linux.setns(handle, linux.CLONE_NEWNET)
        os.close(handle)
    mounts = order["mounts"]
    if isinstance(mounts, list) and mounts:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        for source, target in mounts:
            real = Path(target).resolve()
            if real.exists():
                linux.mount(source, str(real), flags=linux.MS_BIND)
    if order["uid"] is not None:
        uid, gid = int(str(order["uid"])), int(str(order["gid"]))
        linux.unshare(linux.CLONE_NEWUSER)
        linux.map_user(uid, 0, gid, 0)
        linux.die_with_parent()
        linux.no_new_privileges()


if __name__ == "__main__":
    main()
