"""Where people enter: one file per command, loaded only when called."""
