"""Files of configuration that change under a control plane that runs."""

from pathlib import Path


def replace(path: Path, content: str | bytes) -> None:
    """Write a file in one step; what is replaced in a row changes together, as the disk is not waited for."""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.rename(path)
