"""What every variant in every framework promises: which keys a query sees, and which shapes are allowed.

Shapes: B batch, T query length, S key length, N query heads, K key/value heads, H head size of q and k,
V head size of v (most often H).  q is [B, T, N, H], k is [B, S, K, H], v is [B, S, K, V].

Nothing here imports a framework: ``visible`` is written with operators alone, so the same line works on NumPy,
JAX and PyTorch integer arrays, and the oracle and all variants share one definition of each mask.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

MASKS = ("full", "causal", "window:W", "strided:L")
MOST = 2**30  # positions are 32-bit integers in the frameworks


class Mask(NamedTuple):
    """A parsed mask: its kind and, for ``window`` and ``strided``, its size in positions."""

    kind: str
    size: int = 0


class Scores(NamedTuple):
    """What is done to the scores before the softmax.  The packages pass it on whole, so that it can gain fields.

    ``mask`` hides some of them.  ``scale`` is the factor of q k^T; None means 1 / sqrt(H).
    """

    mask: Mask
    scale: float | None = None

    def factor(self, head_dim: int) -> float:
        """The factor of q k^T for a head size."""
        return head_dim**-0.5 if self.scale is None else self.scale

    def unmasked(self) -> Scores:
        """The same under a full mask, for keys that every query sees."""
        return self._replace(mask=Mask("full"))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a variant says of itself, as a literal at the top of its file, so that it is read without importing it.

    ``masks``: the kinds of masks that it computes; any other is refused.  ``features``: the score features likewise.
    ``scores``: how much of the T x S scores it holds in memory: all, those that the mask shows, or none (in tiles).
    ``recomputes``: whether the backward pass computes the scores again.  ``kept_scores``: matrices of the size of the
    scores that it saves for the backward pass.  ``skips``: masks whose hidden scores it does not compute.
    ``solution``: which solution for the O(T^2) memory it is; empty for none.  ``exchange``: what its devices send to
    each other where several share the sequence; empty where it runs on one device.  ``alone``: the variant that it runs
    on one device, if that is another.  ``candidates``: the variants among which it chooses, the first that runs here.
    ``solution_modes``: the modes in which it is that solution; empty for all.  ``only``: why the other framework has no
    such variant.
    """

    summary: str
    masks: tuple[str, ...]
    features: tuple[str, ...] = ()
    scores: Literal["all", "visible", "none", ""] = ""
    recomputes: bool = False
    kept_scores: int = 0
    skips: tuple[str, ...] = ()
    solution: str = ""
    exchange: Literal["", "ring", "ring_of_query_heads", "allgather", "all_to_all"] = ""
    alone: str = ""
    candidates: tuple[str, ...] = ()
    solution_modes: tuple[str, ...] = ()
    only: str = ""


def parse_mask(text: str) -> Mask:
    """Read ``full``, ``causal``, ``window:W`` or ``strided:L`` (W and L from 1 to MOST)."""
    kind, colon, size = text.partition(":") if isinstance(text, str) else ("", "", "")
    if kind in ("full", "causal") and not colon:
        return Mask(kind)
    sized = kind in ("window", "strided") and size.isdecimal() and len(size) <= len(str(MOST))
    if sized and 1 <= int(size) <= MOST:
        return Mask(kind, int(size))
    raise ValueError(f"mask: expected one of {', '.join(MASKS)} with W and L from 1 to {MOST}, got {str(text)[:60]!r}")


def scores(mask: str, scale: float | None = None) -> Scores:
    """Read the options of an ``attention`` function."""
    return Scores(parse_mask(mask), scale)


def visible(mask: Mask, i: Any, j: Any) -> Any:
    """Whether query i sees key j, elementwise and broadcast, for any array type with integer operators.

    Aligned at the top left: query 0 sees key 0 whatever T and S are.  ``strided`` is the pattern of Sparse
    Transformers (Child et al. 2019, https://arxiv.org/abs/1904.10509): the last L positions and every L-th one.
    """
    if mask.kind == "full":
        return (i >= 0) & (j >= 0)
    seen = j <= i
    if mask.kind == "causal":
        return seen
    if mask.kind == "window":
        return seen & (i - j < mask.size)
    if mask.kind == "strided":
        return seen & ((i - j < mask.size) | ((i - j) % mask.size == 0))
    raise _unknown(mask)


def visible_scores(mask: Mask, q_len: int, kv_len: int) -> int:
    """How many of the T x S scores of one head the mask shows."""
    if mask.kind == "full":
        return q_len * kv_len
    if mask.kind not in ("causal", "window", "strided"):
        raise _unknown(mask)
    seen = _pairs_below(q_len, kv_len)
    if mask.kind in ("window", "strided"):
        seen -= _pairs_below(q_len - mask.size, kv_len)
    if mask.kind == "strided":  # and of those farther off every L-th: i - j = L, 2 L, ...
        seen += sum(min(q_len - distance, kv_len) for distance in range(mask.size, q_len, mask.size))
    return seen


def _pairs_below(q_len: int, kv_len: int) -> int:
    """Pairs of a query i and a key j <= i."""
    square = min(max(q_len, 0), kv_len)
    return square * (square + 1) // 2 + max(0, q_len - kv_len) * kv_len


def last_query_with_a_key(mask: Mask, kv_len: int) -> int | None:
    """The highest query index up to which every query sees a key; None where there is no limit."""
    if kv_len == 0:
        return -1
    if mask.kind == "window":
        return kv_len + mask.size - 2
    if mask.kind == "strided":  # the last key is also seen from exactly L positions on
        return kv_len + mask.size - 1 if kv_len < mask.size else None
    if mask.kind in ("full", "causal"):
        return None
    raise _unknown(mask)


def _unknown(mask: Mask) -> ValueError:
    """A kind of mask that was added to some of these functions and not to all."""
    return ValueError(f"mask: no definition of {mask.kind}")


def check_visible(mask: Mask, q_len: int, kv_len: int) -> None:
    """Refuse a mask that leaves a query without a single key: its softmax would divide zero by zero."""
    last = last_query_with_a_key(mask, kv_len)
    if last is not None and q_len - 1 > last:
        raise ValueError(
            f"mask {mask.kind}:{mask.size}: expected every query to see a key, got {q_len} queries on {kv_len} keys, "
            f"where query {last + 1} sees none; possible: up to {last + 1} queries"
        )


def unsupported(name: str, variant: Variant, mask: Mask, features: Collection[str] = ()) -> str:
    """Why a variant refuses a mask or score features that it does not declare; empty where it declares them all.

    ``name``: the variant's, or its module's.
    """
    called = name.rpartition(".")[2]
    if mask.kind not in variant.masks:
        return f"{called} does not support mask {mask.kind}; supported: {', '.join(variant.masks)}"
    missing = [each for each in features if each not in variant.features]
    if missing:
        return f"{called} does not support {', '.join(missing)}; supported: {', '.join(variant.features) or 'none'}"
    return ""


def undeclared(name: str, variant: Variant, parsed: Scores) -> str:
    """`unsupported` for all that is asked of the scores."""
    return unsupported(name, variant, parsed.mask)


def check(
    q: Sequence[int],
    k: Sequence[int],
    v: Sequence[int],
    mask: str,
    scale: float | None = None,
    variant: Variant | None = None,
    name: str = "this variant",
) -> Scores:
    """Check the shapes of q [B, T, N, H], k [B, S, K, H] and v [B, S, K, V]; return the parsed options.

    Raises ValueError that names the expected and the actual shape, and NotImplementedError for what the variant of this
    name (or module name) does not declare.
    """
    parsed = scores(mask, scale)
    _check_shapes(q, k, v)
    check_visible(parsed.mask, q[1], k[1])
    if variant and (reason := undeclared(name, variant, parsed)):
        raise NotImplementedError(reason)
    return parsed


def _check_shapes(q: Sequence[int], k: Sequence[int], v: Sequence[int]) -> None:
    for name, shape, legend in (("q", q, "[B, T, N, H]"), ("k", k, "[B, S, K, H]"), ("v", v, "[B, S, K, V]")):
        if len(shape) != 4:
            raise ValueError(f"{name}: expected 4 axes {legend}, got shape {tuple(shape)}")
    b, _, n, h = q
    if h == 0:
        raise ValueError(f"q: expected a head size of at least 1, got shape {tuple(q)}")
    s, kv_heads = k[1], k[2]
    if (k[0], k[3]) != (b, h):
        raise ValueError(f"k: expected [B={b}, S, K, H={h}] to match q {tuple(q)}, got {tuple(k)}")
    if tuple(v[:3]) != (b, s, kv_heads):
        raise ValueError(f"v: expected [B={b}, S={s}, K={kv_heads}, V] to match k {tuple(k)}, got {tuple(v)}")
    if kv_heads == 0 or n % kv_heads:
        raise ValueError(f"heads: expected the query heads to be a multiple of the K={kv_heads} key heads, got N={n}")
