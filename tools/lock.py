"""Resolve requirements/run.lock and requirements/dev.lock from pyproject.toml, with hashes (needs uv)."""

import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["hatchling>=1.27", "editables>=0.5"]
"""What `pip install --no-build-isolation -e .` needs."""


def resolve(wanted: list[str], target: Path, constraint: Path | None) -> None:
    """Write one lock file for all platforms and Pythons from 3.11 on."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as source:
        source.write("\n".join(wanted) + "\n")
        source.flush()
        command = ["uv", "pip", "compile", "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
        command += ["--upgrade", "--quiet", source.name, "--output-file", str(target)]
        if constraint:
            command += ["--constraint", str(constraint)]
        subprocess.run(command, check=True)


def main() -> None:
    """Lock the run-time set first; the development set must agree with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = [*project["project"]["dependencies"], *BUILD]
    folder = ROOT / "requirements"
    resolve(run, folder / "run.lock", None)
    resolve([*run, *project["dependency-groups"]["dev"]], folder / "dev.lock", folder / "run.lock")


if __name__ == "__main__":
    main()
