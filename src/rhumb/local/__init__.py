"""A mesh on one machine: rhumb.yaml comes in, namespaces and processes go out."""
