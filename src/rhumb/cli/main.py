"""The command tree, nothing else: each command is a file, imported only when it is called."""

import importlib
import sys

import click
from click.shell_completion import CompletionItem

from rhumb.base.errors import RhumbError
from rhumb.cli.printer import Exit, color, fail

COMMANDS: dict[str, str] = {
    # one line each: name -> help line; the module is rhumb.cli.NAME (dashes become underscores),
    # its click command the attribute `command`.
    "agent": "Run the agent and Envoy beside one workload, or several.",
    "ca": "Make and inspect certificate authorities and join tokens.",
    "completion": "Print what a shell needs to complete rhumb's commands.",
    "demo": "Run the Bookinfo sample as a mesh on this machine.",
    "down": "Stop a local mesh and clean up after it.",
    "exec": "Run a command inside a workload of a local mesh.",
    "logs": "Show the logs of a local mesh.",
    "proxy-config": "Show what one Envoy has, and where it comes from (pc).",
    "proxy-status": "Show whether proxies have what they should have.",
    "ps": "List the workloads of a local mesh.",
    "run": "Add one workload to a running local mesh.",
    "serve": "Run the control plane.",
    "status": "Show every proxy: identity, certificate, xDS state.",
    "translate": "Show the whole configuration of one proxy, from files alone.",
    "up": "Start a local mesh from rhumb.yaml, or bring it up to date.",
    "validate": "Check configuration files.",
    "version": "Print versions.",
}

ALIASES = {"pc": "proxy-config"}
"""istioctl's short names."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"rhumb.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Help lines come from the table, so that --help imports no command.
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # From the table too: each command's module takes time to import.
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        found = sorted(COMMANDS.items())
        return [CompletionItem(n, help=text) for n, text in found if n.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            close = _closest(args[0], COMMANDS)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean `{close}`?", ctx) from None


def _closest(name: str, known: dict[str, str]) -> str:
    import difflib  # only on the error path; keeps --help quick

    found = difflib.get_close_matches(name, known, n=1)
    return found[0] if found else ""


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="""\b
Exit codes:
  0    all is well
  1    the mesh or the configuration has a problem
  2    rhumb could not do it: wrong usage, or something it needs is missing
  130  interrupted
rhumb exec and rhumb run end with the code of their command.
""",
)
def cli() -> None:
    """Rhumb, a service mesh: Istio's configuration API on stock Envoy."""


def main() -> None:
    """Run the command line; whatever stops it becomes a message and an exit code."""
    try:
        sys.exit(cli.main(prog_name="rhumb", standalone_mode=False, color=color()))
    except RhumbError as error:
        sys.exit(fail(error))
    except OSError as error:
        if error.filename is None:
            raise
        # A disk that is full, a file that may not be read.
        why = f"{error.filename}: {error.strerror}"
        sys.exit(fail(RhumbError(why, hint="see to that, and run the command again")))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(Exit.INTERRUPTED)
    except SystemExit:
        if sys.stdout is not sys.__stdout__:  # click replaces one that nobody reads any more
            sys.exit(Exit.NO_READER)
        raise
