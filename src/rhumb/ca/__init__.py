"""Issues certificates: signing requests and tokens come in, chains go out."""
