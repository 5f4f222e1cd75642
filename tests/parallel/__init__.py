"""Several devices share a sequence: simulated ones in JAX, processes in PyTorch."""
