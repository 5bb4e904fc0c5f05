"""One file per HTTP or network filter."""
