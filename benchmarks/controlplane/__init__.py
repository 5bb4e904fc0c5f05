"""The control plane under load: how soon and at what cost changes reach every proxy."""
