"""`rhumb exec` and `rhumb run`: programs of a terminal inside the mesh."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.local.mesh import WHOLE_MESH, Mesh, until

pytestmark = [*WHOLE_MESH, pytest.mark.timeout(60)]


@contextmanager
def started(mesh: Mesh, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        mesh.argv(*arguments),
        env=mesh.environment,
        cwd=mesh.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


ASK = "import urllib.request as u; print(u.urlopen('http://web:8000/').read().decode())"


def test_exec_speaks_as_the_workload(mesh: Mesh) -> None:
    done = mesh.command("exec", "client", "--", sys.executable, "-c", ASK)
    assert done.returncode == 0, done.stderr
    assert "spiffe://cluster.local/ns/default/sa/client" in done.stdout


def test_exec_has_streams_directory_and_exit_code(mesh: Mesh) -> None:
    done = mesh.command(
        "exec", "web-v1", "--", "sh", "-c", "pwd; cat; echo $PORT >&2; exit 7", stdin="in"
    )
    assert done.returncode == 7
    assert done.stdout == f"{mesh.home}\nin"
    assert done.stderr == "8000\n"


def test_exec_tells_a_command_that_is_not_there(mesh: Mesh) -> None:
    done = mesh.command("exec", "web-v1", "--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr


def test_exec_tells_a_workload_that_is_not_there(mesh: Mesh) -> None:
    done = mesh.command("exec", "nobody", "--", "true")
    assert done.returncode == 2
    assert 'no workload "nobody"' in done.stderr
    assert "client-v1.default" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_exec_ends_with_its_terminal(mesh: Mesh, number: signal.Signals) -> None:
    before = set(mesh.processes())
    with started(mesh, "exec", "web-v1", "--", "sh", "-c", "echo on; sleep 50 & wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "on\n"
        process.send_signal(number)
        assert process.wait(20) == (130 if number is signal.SIGINT else -number)
    until(lambda: set(mesh.processes()) <= before)


def answers_as(mesh: Mesh, name: str) -> bool:
    """Tell who answered; a program that does not listen yet answers 503, which is nobody."""
    try:
        return bool(mesh.get("/call/web:8000/")["name"] == name)
    except AssertionError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_run_adds_a_workload_until_it_ends(mesh: Mesh, number: signal.Signals) -> None:
    before = set(mesh.processes())
    script = f"NAME=web-v9 exec {sys.executable} {mesh.home}/app.py"
    with started(
        mesh, "run", "--service", "web", "--version", "v9", "--", "sh", "-c", script
    ) as process:
        until(lambda: answers_as(mesh, "web-v9"))
        (row,) = (r for r in mesh.status()["workloads"] if r["name"] == "web-v9")
        assert row["version"] == "v9"
        again = mesh.command("run", "--service", "web", "--version", "v9", "--", "true")
        assert again.returncode == 2
        assert "another --version" in again.stderr
        mesh.up()  # what the file does not describe stays all the same
        until(lambda: answers_as(mesh, "web-v9"))
        process.send_signal(number)
        assert process.wait(20) == (130 if number is signal.SIGINT else -number)
    until(lambda: set(mesh.processes()) <= before)
    until(lambda: "web-v9" not in mesh.pids())
    assert not list((mesh.home / "s").glob("rhumb/*/generated/workload-web-v9*"))
    until(lambda: not any(answers_as(mesh, "web-v9") for _ in range(9)))


def test_run_of_a_program_that_fails(mesh: Mesh) -> None:
    done = mesh.command("run", "--service", "web", "--version", "v8", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "web-v8" not in mesh.pids()


def test_run_for_a_service_that_is_not_there(mesh: Mesh) -> None:
    done = mesh.command("run", "--service", "nobody", "--version", "v1", "--", "true")
    assert done.returncode == 2
    assert 'no service "nobody"' in done.stderr
    assert "there is: web, client" in done.stderr


def test_down_ends_programs_of_terminals() -> None:
    with Mesh() as mesh:
        mesh.up()
        with started(mesh, "exec", "web-v1", "--", "sh", "-c", "echo on; sleep 50") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "on\n"
            assert mesh.command("down").returncode == 0
            assert process.wait(20) != 0
        assert mesh.processes() == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("rhumb exec cl", {"client-v1"}),
        ("rhumb logs ", {"web", "client"}),
        ("rhumb run --service w", {"web"}),
    ],
)
def test_shells_complete_what_runs(mesh: Mesh, words: str, offered: set[str]) -> None:
    asked = {
        "_RHUMB_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run(
        mesh.argv(),
        env={**mesh.environment, **asked},
        cwd=mesh.home,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == offered
