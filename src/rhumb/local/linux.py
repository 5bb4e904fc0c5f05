"""The few system calls that Python 3.11 lacks: clone, unshare, setns, mount, prctl (by ctypes).

Imported by the thin host process and by the launcher of applications, so it imports nothing else
of ours.
"""

import ctypes
import os
import signal
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND = 0x2, 0x4, 0x8, 0x1000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def clone(flags: int) -> int:
    """Fork into new namespaces; return 0 in the child and its pid in the parent.

    The child must soon exec: no other thread of the parent exists in it.
    Raises OSError: EPERM or ENOSPC where user namespaces are forbidden or used up, ENOSYS on a
    processor whose call number is not known here.
    """
    number = _SYS_CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"clone: not known for {os.uname().machine}")
    libc = _libc()
    libc.syscall.restype = ctypes.c_long
    pid = libc.syscall(
        ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None
    )
    return _check(int(pid), "clone")


def unshare(flags: int) -> None:
    """Move this thread (for user and pid namespaces: this process) into new namespaces."""
    _check(_libc().unshare(flags), "unshare")


def setns(handle: int, kind: int) -> None:
    """Enter the namespace of an open file descriptor; `kind` is a CLONE_NEW* flag or 0 for any."""
    _check(_libc().setns(handle, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount; raises OSError (EPERM: not allowed in this user namespace)."""
    result = _libc().mount(
        source.encode(), target.encode(), kind.encode() or None, flags, data.encode() or None
    )
    _check(result, f"mount {target}")


def die_with_parent() -> None:
    """Ask for SIGKILL when the thread that made this process ends (PR_SET_PDEATHSIG).

    To be called after any change of credentials: those clear the wish. Other systems know no such thing.
    """
    if sys.platform != "linux":
        return
    _check(_libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def no_new_privileges() -> None:
    """Let no exec of this process or its children gain privileges (PR_SET_NO_NEW_PRIVS)."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def map_user(inside: int, outside: int, inside_group: int, outside_group: int) -> None:
    """In a new user namespace: let one user and one group of the parent namespace be known inside."""
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{inside} {outside} 1")
    write("/proc/self/gid_map", f"{inside_group} {outside_group} 1")


def read(path: str) -> str:
    """Return the text of a file."""
    with open(path) as file:  # noqa: PTH123 - pathlib would be half of the host process
        return file.read()


def write(path: str, text: str) -> None:
    """Write the text of a file."""
    with open(path, "w") as file:  # noqa: PTH123 - as above
        file.write(text)


def reason_without_namespaces() -> str:
    """Say why this machine gives no unprivileged namespaces; "" when it does.

    Tries for real in a child: sysctls and security modules differ too much to be judged by reading.
    """
    if os.uname().sysname != "Linux":
        return f"{os.uname().sysname} has no network namespaces"
    if os.uname().machine not in _SYS_CLONE:
        return f"how {os.uname().machine} makes namespaces is not known here"
    reading, writing = os.pipe()
    # In an interpreter of its own: this process may have threads, which neither survive a copy of it
    # nor may be there when a user namespace is made.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", __file__],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode().strip()
    _, status = os.waitpid(pid, 0)
    if status and not said:
        said = f"the trial ended with {os.waitstatus_to_exitcode(status)}"
    return f"{said}{_hint()}" if said else ""


def _try_namespaces() -> None:
    """Do what a mesh does first; print why it cannot be done."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
        map_user(0, uid, 0, gid)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
    except OSError as error:
        sys.stdout.write(error.strerror or str(error))


def _hint() -> str:
    for name, bad in (
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        try:
            value = read(f"/proc/sys/{name}").strip()
        except OSError:
            continue
        if value == bad:
            return f" (sysctl {name.replace('/', '.')} is {value})"
    return ""


if __name__ == "__main__":
    _try_namespaces()
