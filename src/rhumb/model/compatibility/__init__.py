"""What becomes of each field of each kind: supported, accepted with a warning, or rejected."""
