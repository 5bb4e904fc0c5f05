"""Rhumb, a service mesh: Istio's configuration API, stock Envoy, a control plane in Python.

Read `rhumb.app.control_plane` first: it is the arrows of the architecture picture, as code.
"""
