"""Gathers: files and connecting workloads come in, one ResourceSet and its Changes go out."""
