"""What shows the state of processes and layers: Prometheus metrics, reports and the live view ``top``."""
