"""Who is who: SPIFFE ids, trust domains, certificates as values."""
