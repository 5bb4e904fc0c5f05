"""Patches of the bootstrap: what an agent merges into its own."""

import msgspec
from google.protobuf.json_format import MessageToDict

from rhumb.encode.patch.patcher import Patcher
from rhumb.ir.bundle import Startup
from rhumb.ir.patch import ApplyTo, LeftOut, Operation
from rhumb.protos.types import message_class


def bootstrap(plan: Startup) -> tuple[str, tuple[LeftOut, ...]]:
    """Return the patches merged in one, as protobuf JSON (empty: none), and those that were left out.

    What they make of the whole can only be judged by Envoy; each must be a Bootstrap by itself.
    """
    patcher = Patcher(plan.patches)
    patches = [p for p in patcher.of(ApplyTo.BOOTSTRAP) if p.operation is Operation.MERGE]
    if not patches:
        return "", ()
    # Loaded when there is need of it: it refers to most of Envoy's API.
    out = message_class(patches[0].message)()
    for patch in patches:
        patcher.merge(patch, out)
    said = MessageToDict(out, preserving_proto_field_name=True)
    return msgspec.json.encode(said, order="sorted").decode(), patcher.left_out
