"""Attention shapes of published models, by name, each with its source."""

from __future__ import annotations

from compare.schema.records import Dtype, Record


class Preset(Record, frozen=True):
    """One layer's attention: B batch, T query length, S key length, N query heads, K key heads, H head size."""

    batch: int
    seq_len: int
    heads: int
    kv_heads: int
    head_dim: int
    source: str
    kv_len: int | None = None
    mask: str = "causal"
    dtype: Dtype = "bfloat16"

    @property
    def shape(self) -> str:
        """In the words of the tables."""
        keys = f" S={self.kv_len}" if self.kv_len else ""
        heads = f"N={self.heads}" + (f" K={self.kv_heads}" if self.kv_heads != self.heads else "")
        return f"B={self.batch} T={self.seq_len}{keys} {heads} H={self.head_dim} {self.mask} {self.dtype}"


LLAMA_3 = "Llama 3 (Dubey et al. 2024, arXiv:2407.21783, table 3)"
PRESETS: dict[str, Preset] = {
    "gpt2-small": Preset(
        batch=8, seq_len=1024, heads=12, kv_heads=12, head_dim=64, source="GPT-2 (Radford et al. 2019), 117M"
    ),
    "llama-3-8b": Preset(batch=1, seq_len=8192, heads=32, kv_heads=8, head_dim=128, source=LLAMA_3),
    "llama-3-70b": Preset(batch=1, seq_len=8192, heads=64, kv_heads=8, head_dim=128, source=LLAMA_3),
    "llama-3.1-8b-128k": Preset(
        batch=1, seq_len=131072, heads=32, kv_heads=8, head_dim=128, source=f"{LLAMA_3}, its longest context"
    ),
    "llama-3-8b-decode": Preset(
        batch=32,
        seq_len=1,
        kv_len=8192,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mask="full",  # the newest token sees the whole cache
        source=f"{LLAMA_3}, one token against a full cache: of use with --pass forward",
    ),
    "mistral-7b": Preset(
        batch=1,
        seq_len=8192,
        heads=32,
        kv_heads=8,
        head_dim=128,
        mask="window:4096",
        source="Mistral 7B (Jiang et al. 2023, arXiv:2310.06825, table 1)",
    ),
    "gemma-7b": Preset(
        batch=1,
        seq_len=8192,
        heads=16,
        kv_heads=16,
        head_dim=256,
        source="Gemma 7B (Gemma Team 2024, arXiv:2403.08295, table 1)",
    ),
    "vit-b-16": Preset(
        batch=64,
        seq_len=197,
        heads=12,
        kv_heads=12,
        head_dim=64,
        mask="full",
        source="ViT-B/16 at 224 pixels (Dosovitskiy et al. 2021, arXiv:2010.11929): 196 patches and a class token",
    ),
}
