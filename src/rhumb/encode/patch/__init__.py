"""EnvoyFilters: patches of messages that are spelled already."""
