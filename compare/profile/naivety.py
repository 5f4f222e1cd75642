"""Is it still naive?  Looks at what ran and what it held, never at what the source says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from compare.maths.prediction import score_bytes
from compare.records import Notice, PassName, PassResult, Problem

# Names of fused attention in PyTorch's ops and kernels, cuDNN, Triton templates and XLA's custom calls.
FUSED = re.compile(r"flash|fmha|scaled_dot_product|cudnn\w*(attention|sdpa)|mha_graph|flex_attention", re.IGNORECASE)


NOT_NAIVE = "not-naive"


def check(
    variant: str, problem: Problem, passes: Mapping[PassName, PassResult], fused: Mapping[PassName, str]
) -> tuple[Notice, ...]:
    """Warnings for a row called naive that ran as something else; ``fused`` is what the optimised program shows."""
    if not variant.startswith("naive"):
        return ()
    found = []
    for name, result in passes.items():
        named = sorted({kernel.name for kernel in result.kernels if FUSED.search(kernel.name)})
        if named:
            found.append(_warning(f"{name}: the compiler put fused attention in its place ({named[0][:60]})"))
        elif name in fused:
            found.append(
                _warning(f"{name}: the compiler fused both products and the softmax into one op ({fused[name]})")
            )
        elif result.peak_bytes < score_bytes(problem):
            found.append(
                _warning(
                    f"{name}: never held one whole score matrix ({result.peak_bytes / 1e6:.1f} of "
                    f"{score_bytes(problem) / 1e6:.1f} MB): the compiler fused the products with the softmax"
                )
            )
    return tuple(found)


def _warning(text: str) -> Notice:
    return Notice(code=NOT_NAIVE, text=text)
