"""The attention is the real one."""

from compare.schema.contract import Variant
from jax_attn.variants.naive import attention

__all__ = ["VARIANT", "attention"]

VARIANT = Variant(
    summary="Textbook attention with the whole score matrix in memory",
    masks=("full", "causal", "window", "strided"),
    scores="all",
    kept_scores=3,
)
