"""What Envoy says of its configuration, as tables with istioctl's columns."""
