"""What users write: frozen Structs, field for field the Istio and Kubernetes API."""
