"""The traffic corpus: real requests through real Envoys, against what Istio's own tests expect."""
