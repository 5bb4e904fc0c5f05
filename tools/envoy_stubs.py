"""Write stubs for the installed Envoy protobuf modules, from the descriptors they carry.

Usage: python tools/envoy_stubs.py build/typings
"""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

ROOTS = ("envoy", "udpa", "xds", "validate")


def modules(root: str) -> list[FileDescriptor]:
    """Import every protobuf module below a package and return the descriptors."""
    package = importlib.import_module(root)
    found = pkgutil.walk_packages(package.__path__, f"{root}.")
    names = [m.name for m in found if m.name.endswith("_pb2")]
    return [importlib.import_module(name).DESCRIPTOR for name in names]


def with_imports(file: FileDescriptor, seen: dict[str, FileDescriptorProto]) -> None:
    """Collect a file and all that it imports, dependencies first."""
    if file.name not in seen:
        for needed in file.dependencies:
            with_imports(needed, seen)
        proto = FileDescriptorProto()
        file.CopyToProto(proto)
        seen[file.name] = proto


def main(target: Path) -> None:
    """Run protoc-gen-mypy over the descriptors and write its answer below `target`."""
    wanted = [file for root in ROOTS for file in modules(root)]
    seen: dict[str, FileDescriptorProto] = {}
    for file in wanted:
        with_imports(file, seen)
    request = CodeGeneratorRequest(
        file_to_generate=[f.name for f in wanted], proto_file=seen.values(), parameter="quiet"
    )
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    answer = subprocess.run(
        [plugin], input=request.SerializeToString(), capture_output=True, check=True
    )
    for stub in CodeGeneratorResponse.FromString(answer.stdout).file:
        path = target / stub.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub.content)
        for package in path.relative_to(target).parents:
            if package != Path():
                (target / package / "__init__.pyi").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
