"""Patches of the bootstrap: what an agent merges into its own."""

import msgspec
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from google.protobuf.json_format import MessageToDict

from rhumb.encode.patch.patcher import Patcher
from rhumb.ir.bundle import Startup
from rhumb.ir.patch import ApplyTo, LeftOut, Operation


def bootstrap(plan: Startup) -> tuple[str, tuple[LeftOut, ...]]:
    """Return the patches merged in one, as protobuf JSON (empty: none), and those that were left out.

    What they make of the whole can only be judged by Envoy; each must be a Bootstrap by itself.
    """
    patcher = Patcher(plan.patches)
    out = Bootstrap()
    for patch in patcher.of(ApplyTo.BOOTSTRAP):
        if patch.operation is Operation.MERGE:
            patcher.merge(patch, out)
    if not out.ListFields():
        return "", patcher.left_out
    said = MessageToDict(out, preserving_proto_field_name=True)
    return msgspec.json.encode(said, order="sorted").decode(), patcher.left_out
