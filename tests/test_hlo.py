"""What XLA's fusions hold, from optimised HLO: a hand-made GPU module, and real programs on this CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare.profile import kinds, timeline
from compare.profile.kinds import with_contents
from compare.schema.records import Kernel
from jax_attn import hlo, profiler
from jax_attn.adapter import Adapter
from jax_attn.variants.naive import attention

GPU = """HloModule jit_forward, is_scheduled=true, entry_computation_layout={(f32[8,64]{1,0})->f32[8,8]{1,0}}

%region_0.2 (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %maximum.1 = f32[] maximum(%a, %b)
}

%fused_softmax (p0: f32[8,8]) -> f32[8,8] {
  %p0 = f32[8,8]{1,0} parameter(0)
  %constant.1 = f32[] constant(-inf)
  %reduce.1 = f32[8]{0} reduce(%p0, %constant.1), dimensions={1}, to_apply=%region_0.2
  %broadcast.1 = f32[8,8]{1,0} broadcast(%reduce.1), dimensions={0}
  %subtract.1 = f32[8,8]{1,0} subtract(%p0, %broadcast.1)
  ROOT %exponential.1 = f32[8,8]{1,0} exponential(%subtract.1)
}

%inner_gemm (p1: f32[8,64]) -> f32[8,8] {
  %p1 = f32[8,64]{1,0} parameter(0)
  ROOT %dot.7 = f32[8,8]{1,0} dot(%p1, %p1), lhs_contracting_dims={1}, rhs_contracting_dims={1}
}

%outer_gemm (p2: f32[8,64]) -> (f32[8,8], f32[8,8]) {
  %p2 = f32[8,64]{1,0} parameter(0)
  %nested.1 = f32[8,8]{1,0} fusion(%p2), kind=kCustom, calls=%inner_gemm
  %dot.8 = f32[8,8]{1,0} dot(%p2, %p2), lhs_contracting_dims={1}, rhs_contracting_dims={1}
  ROOT %tuple.1 = (f32[8,8]{1,0}, f32[8,8]{1,0}) tuple(%nested.1, %dot.8)
}

%command_buffer (p3: f32[8,64]) -> f32[8,8] {
  %p3 = f32[8,64]{1,0} parameter(0)
  %gemm_fusion_dot.3 = (f32[8,8]{1,0}, f32[8,8]{1,0}) fusion(%p3), kind=kCustom, calls=%outer_gemm
  %get-tuple-element.1 = f32[8,8]{1,0} get-tuple-element(%gemm_fusion_dot.3), index=0
  ROOT %fusion.6 = f32[8,8]{1,0} fusion(%get-tuple-element.1), kind=kCustom, calls=%fused_softmax
}

ENTRY %main.9 (q.1: f32[8,64]) -> f32[8,8] {
  %q.1 = f32[8,64]{1,0} parameter(0)
  %custom-call.2 = (f32[8,8]{1,0}, s8[4]{0}) custom-call(%q.1, %q.1), custom_call_target="__cublas$gemm"
  %wrapped-copy = f32[8,64]{1,0} copy(%q.1), metadata={op_name="jit(f)/dot(x)"}
  ROOT %call.4 = f32[8,8]{1,0} call(%wrapped-copy), to_apply=%command_buffer
}
"""


def test_a_gpu_module_shows_what_each_kernel_holds() -> None:
    found = hlo.contents(GPU)
    assert found["fusion.6"] == ("reduce", "broadcast", "subtract", "exponential")
    assert found["gemm_fusion_dot.3"] == ("dot", "dot")
    assert found["custom-call.2"] == ("__cublas$gemm",)
    assert found["wrapped-copy"] == ("copy",)
    assert set(found) == {"fusion.6", "gemm_fusion_dot.3", "custom-call.2", "wrapped-copy", "call.4"}


def test_kernels_of_a_gpu_trace_meet_the_module() -> None:
    names = ("gemm_fusion_dot_3", "fusion_6", "wrapped_copy", "nvjet_sm90_tst_64x64", "fusion")
    seen = with_contents([Kernel(name=name, count=1, device_s=1.0) for name in names], hlo.contents(GPU))
    assert [kinds.of(each)[0] for each in seen] == ["matmul", "softmax", "copy", "matmul", "elementwise"]
    assert [bool(each.contents) for each in seen] == [True, True, True, False, False]


def test_text_that_is_no_module_holds_nothing() -> None:
    assert hlo.contents("") == hlo.contents("no module\n  at all (really)\n") == {}


@pytest.mark.parametrize("seq_len", [64, 1024])
@pytest.mark.parametrize("name", ["forward", "backward", "step"])
def test_every_op_that_runs_on_this_cpu_is_found_and_told(name: str, seq_len: int) -> None:
    """At T=1024 XLA fuses all of the forward pass, at T=64 it does not."""
    adapter = Adapter("cpu", 1)
    chance = np.random.default_rng(0)
    inputs: Any = tuple(
        adapter.put(chance.standard_normal((1, seq_len, 1, 16), np.float32), "float32") for _ in range(4)
    )
    programs = adapter.programs(lambda q, k, v: attention(q, k, v), "jit", inputs, "ieee")
    saved = [adapter.block(programs.save()) for _ in range(2)]

    def run() -> None:
        adapter.block(programs.backward(saved.pop()) if name == "backward" else getattr(programs, name)())

    run()
    with profiler.trace() as traces, profiler.window(name):
        run()
    [one] = timeline.iterations(traces[0])
    found = with_contents(timeline.kernels(one), programs.contents(name))
    assert sum(each.device_s for each in found) == pytest.approx(one.device_s)
    assert [each.name for each in found if not each.contents] == []
    seen = {kind for each in found for kind in kinds.of(each)}
    assert "other" not in seen
    assert ("fused attention" in seen) == (programs.fused_attention(name) is not None)
    assert "fused attention" in seen or {"matmul", "softmax"} & seen >= {"matmul"}
