"""What processes use, from /proc (proc(5))."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path


def descendants(root: int) -> list[int]:
    """Return a process and all that it started, by their numbers here."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def command(pid: int) -> str:
    """Return the command line, "" when the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def cpu_seconds(pids: list[int]) -> float:
    """Return user and system time so far; to the nanosecond, where /proc knows hundredths alone."""
    return sum(time.clock_gettime(_clock(pid)) for pid in pids)


def _clock(pid: int) -> int:
    """Return the clock of a process's CPU time (clock_getcpuclockid(3), CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def pss_bytes(pid: int) -> int:
    """Return the proportional set size: shared pages count by the number of their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def footprint(pids: Iterable[int]) -> dict[int, int]:
    """Return the proportional set sizes (bytes) of processes as if no others ran on this machine.

    `pss_bytes` shares a program's pages with every process that runs the same program, those of other
    meshes as well. Here they are shared among the given processes only; of pages that several of
    them map, as many count as the one that maps most of them.
    """
    private: dict[int, int] = {}
    shared: dict[str, dict[int, int]] = {}
    for pid in pids:
        private[pid] = 0
        for file, own, common in _mappings(pid):
            private[pid] += own
            by_process = shared.setdefault(file, {})
            by_process[pid] = by_process.get(pid, 0) + common
    found = dict(private)
    for by_process in shared.values():
        total = sum(by_process.values())
        for pid, size in by_process.items():
            found[pid] += max(by_process.values()) * size // max(total, 1)
    return found


def _mappings(pid: int) -> Iterator[tuple[str, int, int]]:
    """Yield the file, private and shared bytes of each mapping (/proc/PID/smaps)."""
    file, private, shared = "", 0, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if not fields[0].endswith(":"):  # address, permissions, offset, device, inode and the file
            yield file, private, shared
            file, private, shared = (*fields, "")[5], 0, 0
        elif fields[0] in ("Private_Clean:", "Private_Dirty:"):
            private += int(fields[1]) * 1024
        elif fields[0] in ("Shared_Clean:", "Shared_Dirty:"):
            shared += int(fields[1]) * 1024
    yield file, private, shared
