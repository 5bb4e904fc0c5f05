"""Generate src/rhumb/protos/*_pb2.py and their stubs from the .proto files beside them.

Usage: python tools/gen_protos.py
What it writes is committed. Services get no code: servers and clients name their methods themselves.
"""

import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent / "src"


def main() -> None:
    """Run protoc over every .proto file of the package."""
    files = sorted(str(p.relative_to(SRC)) for p in (SRC / "rhumb" / "protos").glob("*.proto"))
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--plugin=protoc-gen-mypy={plugin}"]
    command += ["--proto_path=.", "--python_out=.", "--mypy_out=quiet:.", *files]
    subprocess.run(command, cwd=SRC, check=True)


if __name__ == "__main__":
    main()
