"""The attention is the real one."""

from torch_attn.variants.naive import attention

__all__ = ["attention"]
