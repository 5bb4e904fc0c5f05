"""`rhumb completion`: what a shell needs to complete rhumb's commands, options and names."""

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from rhumb.base.errors import RhumbError
from rhumb.local import control, state

_SHELLS = ("bash", "zsh", "fish")
_PATIENCE_S = 2.0


@click.command(epilog='Example: eval "$(rhumb completion bash)"')
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete what is typed after rhumb.

    \b
    bash  add to ~/.bashrc:   eval "$(rhumb completion bash)"
    zsh   add to ~/.zshrc:    eval "$(rhumb completion zsh)"
    fish  run once:           rhumb completion fish \\
                                  > ~/.config/fish/completions/rhumb.fish

    It completes commands, options, and the names of the workloads and services
    that run.
    """
    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root()
    click.echo(found(root.command, {}, "rhumb", "_RHUMB_COMPLETE").source())


def workloads(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the workloads of the running mesh that begin like this."""
    return _names(context, "name", incomplete)


def services(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the services of the running mesh that begin like this."""
    return _names(context, "service", incomplete)


def _names(context: click.Context, field: str, incomplete: str) -> list[CompletionItem]:
    file = context.params.get("file")
    try:
        mesh = state.find(file if isinstance(file, Path) else None)
        rows = control.call(mesh.control, {"do": "status"}, timeout=_PATIENCE_S).get("workloads")
    except RhumbError:
        return []
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    names = {str(row[field]) for row in found if not row["gateway"]}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
