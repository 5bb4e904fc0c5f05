"""Options that are wrong are told as they are read, before anything starts."""

import click
import pytest

from rhumb.cli.agent import command as agent
from rhumb.cli.serve import command as serve

SERVE = ["--config", "."]
AGENT = ["--control-plane", "[::1]:15012", "--roots", __file__, "--address", "fd00::9"]


@pytest.mark.parametrize(
    ("command", "words", "why"),
    [
        (serve, [*SERVE, "--secure-port", "65536"], "'--secure-port': 65536 is not in the range"),
        (serve, [*SERVE, "--xds-port", "-2"], "'--xds-port': -2 is not in the range"),
        (serve, [*SERVE, "--monitoring-port", "-1"], "'--monitoring-port': -1 is not in the range"),
        (serve, [*SERVE, "--log-level", "loud"], "'--log-level': 'loud' is not one of"),
        (serve, [*SERVE, "--serving-address", "here"], "'--serving-address': \"here\" is no IP"),
        (agent, [*AGENT, "--address", "here"], "'--address': \"here\" is no IP address"),
        (
            agent,
            [*AGENT, "--control-plane", "here"],
            "'--control-plane': \"here\" is not HOST:PORT",
        ),
        (agent, [*AGENT, "--control-plane", "here:0"], '"here:0" is not HOST:PORT'),
    ],
)
def test_what_is_wrong_with_an_option(command: click.Command, words: list[str], why: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        command.make_context("rhumb", words)
    assert why in caught.value.format_message()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (serve, [*SERVE, "--secure-port", "0", "--xds-port", "-1", "--serving-address", "::1"]),
        (agent, AGENT),
    ],
)
def test_what_is_right(command: click.Command, words: list[str]) -> None:
    assert command.make_context("rhumb", words).params
