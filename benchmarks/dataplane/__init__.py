"""What two sidecars with mutual TLS cost, against no mesh and against hand-written Envoys."""
