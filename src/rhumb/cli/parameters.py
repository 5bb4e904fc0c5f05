"""Types of options, so that what is wrong with one is said before anything starts."""

import ipaddress

import click

_MOST = 65535
PORT = click.IntRange(0, _MOST)
PORT_OR_NONE = click.IntRange(-1, _MOST)


def address(text: str) -> str:
    """Return an IP address as it is written. Raises click.BadParameter for anything else."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise click.BadParameter(f'"{text}" is no IP address') from None
    return text


def host_port(text: str) -> str:
    """Return HOST:PORT as it is written. Raises click.BadParameter for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _MOST:
        raise click.BadParameter(f'"{text}" is not HOST:PORT')
    return text
