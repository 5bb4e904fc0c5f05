"""The xDS protocol without I/O: requests come in, actions go out."""
