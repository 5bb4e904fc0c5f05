"""Generated protobuf modules for messages that no wheel carries; made by tools/gen_protos.py."""
