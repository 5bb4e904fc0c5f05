"""The only package that wires the others."""
