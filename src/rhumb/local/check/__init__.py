"""Every scenario of the Bookinfo sample, tried against a running mesh."""
