"""The attention is the real one."""

from jax_attn.variants.naive import attention

__all__ = ["attention"]
