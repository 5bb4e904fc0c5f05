"""Resources come in; services, endpoints and workloads go out (who can be called). Pure."""
