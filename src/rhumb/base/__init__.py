"""Tools with no mesh words: imported by everyone, importing nothing of ours."""
