"""Who listens on a port: for the error message when it is taken."""

from pathlib import Path

from rhumb.base.errors import RhumbError

_LISTEN = "0A"


def port_taken(address: str, port: int, reason: str, option: str = "") -> RhumbError:
    """Return the error for a port that cannot be bound: which, who has it, what to do.

    `option` chooses another port; "" where there is none.
    """
    where = f"cannot listen on {address}:{port}"
    other = f", or choose another port with {option}" if option else ""
    if holder := holder_of(port):
        return RhumbError(f"{where}: {holder} listens there", hint=f"stop it{other}")
    return RhumbError(f"{where}: {reason}", hint=f"use an address of this machine{other}")


def holder_of(port: int) -> str:
    """Return `process PID (COMMAND)` for a TCP port of this network namespace; "" when not to be seen.

    Source: /proc/net/tcp and /proc/PID/fd; processes of other users stay hidden, and so does
    everything where there is no /proc.
    """
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) in inodes for fd in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                return f"process {process.name} ({command[:80]})"
        except OSError:
            continue  # gone, or another user's
    return ""


def _inodes(port: int) -> list[str]:
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        found += [r[9] for r in rows if r[3] == _LISTEN and int(r[1].rsplit(":", 1)[1], 16) == port]
    return found
