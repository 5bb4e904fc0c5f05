"""One resource at a time: is it well formed? A resource comes in, findings go out."""
