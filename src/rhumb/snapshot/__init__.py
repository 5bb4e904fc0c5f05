"""The frozen world (Istio calls it push context): what every view may see, indexed."""
