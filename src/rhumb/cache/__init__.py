"""Remembers: IR by view, bytes by IR, and what a view had before."""
