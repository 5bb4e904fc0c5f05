"""The command line as a whole: help, exit codes, completion, colour."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rhumb.cli.main import COMMANDS, cli
from rhumb.cli.printer import Exit
from rhumb.local.programs import inherited_environment

RHUMB = (sys.executable, "-m", "rhumb")


def run(*arguments: str, home: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    environment = inherited_environment() | {"XDG_STATE_HOME": str(home or "/nonexistent"), **more}
    return subprocess.run(
        [*RHUMB, *arguments], capture_output=True, text=True, timeout=30, env=environment
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_in_80_columns(name: str) -> None:
    context = click.Context(cli, info_name="rhumb", terminal_width=80)
    command = cli.get_command(context, name)
    assert command is not None
    text = command.get_help(click.Context(command, context, info_name=name, terminal_width=80))
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: rhumb {name} ")
    assert command.help


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from rhumb.cli.main import cli;"
        "cli.main(['--help'], standalone_mode=False);"
        "print([m for m in sys.modules if m.startswith(('rhumb.local', 'rhumb.app', 'grpc'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(line in done.stdout for line in ("Exit codes:", "130  interrupted"))


def test_wrong_usage_is_2_and_says_what_was_meant() -> None:
    done = run("stats")
    assert done.returncode == Exit.FAILED
    assert "Did you mean `status`?" in done.stderr
    assert run("ps", "--nothing").returncode == Exit.FAILED


def test_what_is_missing_is_2_with_a_hint(tmp_path: Path) -> None:
    done = run("ps", home=tmp_path)
    assert (done.returncode, done.stdout) == (Exit.FAILED, "")
    assert done.stderr == (
        "error: no local mesh runs\nhint: start one with `rhumb up` or `rhumb demo`\n"
    )


def test_a_mesh_of_another_file_is_not_taken_for_it(tmp_path: Path) -> None:
    done = run("status", "-f", "nothing.yaml", home=tmp_path)
    assert done.returncode == Exit.FAILED
    assert done.stderr == (
        "error: no mesh of nothing.yaml runs\n"
        "hint: start it with `rhumb up -f nothing.yaml`, or correct the path\n"
    )


def test_where_no_state_can_be_kept_it_says_so(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    file = tmp_path / "rhumb.yaml"
    file.write_text("services: {}\ngateways: {gw: {}}\n")
    done = run("up", "-f", str(file), home=occupied)
    assert done.returncode == Exit.FAILED
    told = f"error: cannot keep a mesh's state in {occupied}/rhumb: Not a directory\nhint: make it yours"
    assert told in done.stderr


def test_an_address_of_another_machine_cannot_be_published(tmp_path: Path) -> None:
    file = tmp_path / "rhumb.yaml"
    file.write_text('services: {}\ngateways: {gw: {publish: ["192.0.2.1:8080:80"]}}\n')
    done = run("up", "-f", str(file), home=tmp_path)
    assert done.returncode == Exit.FAILED
    assert "error: cannot publish gw on 192.0.2.1:8080: Cannot assign" in done.stderr
    assert f"hint: publish on an address of this machine in {file}" in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*RHUMB, "version"], stdout=writing, stderr=subprocess.PIPE, timeout=30
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.NO_READER, b"")


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(
    variables: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    assert "\x1b" not in run("ps", home=tmp_path).stderr
    main, other = pty.openpty()
    inherited = {k: v for k, v in inherited_environment().items() if k != "NO_COLOR"}
    environment = {**inherited, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path), **variables}
    try:
        subprocess.run([*RHUMB, "ps"], stderr=other, env=environment, timeout=30)
        said = os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(other)
    assert "no local mesh runs" in said
    assert ("\x1b" in said) is coloured


# --- completion ----------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert f"_RHUMB_COMPLETE={shell}_complete" in done.stdout
    program = shutil.which(shell)
    if program:
        checked = subprocess.run([program, "-n"], input=done.stdout, text=True, timeout=30)
        assert checked.returncode == 0


def complete(words: str, home: Path) -> list[str]:
    """Return what bash would offer for the last word."""
    count = str(len(words.split(" ")) - 1)
    done = run(home=home, _RHUMB_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count)
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_and_options_are_completed(tmp_path: Path) -> None:
    assert complete("rhumb ", tmp_path) == sorted(COMMANDS)
    assert complete("rhumb st", tmp_path) == ["status"]
    assert complete("rhumb up --cap", tmp_path) == ["--capture"]
    assert complete("rhumb up --capture ", tmp_path) == ["auto", "redirect", "none"]
    assert complete("rhumb exec ", tmp_path) == []  # no mesh runs


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    script = run("completion", "bash").stdout
    (tmp_path / "rhumb").write_text(f'#!/bin/sh\nexec {" ".join(RHUMB)} "$@"\n')
    (tmp_path / "rhumb").chmod(0o755)
    asked = 'COMP_WORDS=(rhumb val); COMP_CWORD=1; _rhumb_completion rhumb; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        [bash, "-c", f"{script}\n{asked}"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**inherited_environment(), "PATH": f"{tmp_path}:{os.defpath}"},
    )
    assert done.stdout == "validate\n"
