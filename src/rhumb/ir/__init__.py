"""Frozen decisions, hashable to the last leaf: made by translate, spelled by encode."""
