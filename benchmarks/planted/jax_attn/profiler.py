"""The profiler is the real one."""

from jax_attn.profiler import SOURCE, trace, window

__all__ = ["SOURCE", "trace", "window"]
