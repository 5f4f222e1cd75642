"""What kernels are, by the operations inside them and by their names: real names of both frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compare.analysis.kernels import short_name
from compare.profile import kinds
from compare.profile.kinds import NOT_NAIVE
from compare.results import store
from compare.results.rows import measurements
from compare.schema.records import Kernel, Measurement, PassResult

RESULTS = Path(__file__).resolve().parents[1] / "results"
MUL = "at::native::binary_internal::MulFunctor<float>"
VECTORIZED = "void at::native::vectorized_elementwise_kernel<4, "
COMPARE = "at::native::(anonymous namespace)::CompareFunctor<long>"


def named(name: str, *contents: str) -> Kernel:
    return Kernel(name=name, count=1, device_s=1e-3, contents=contents)


def committed() -> Iterator[tuple[Measurement, PassResult]]:
    for path in sorted(RESULTS.rglob(store.RESULTS)):
        for row in measurements(store.read(path)[1]):
            yield from ((row, result) for result in row.passes.values())


def untold(kernel: Kernel) -> bool:
    """XLA:CPU's fusions in files that do not hold their contents (a product, a sum, or all of attention), and what
    tokamax gave no name.
    """
    unnamed = kernel.name in ("anonymous_mosaic_gpu_kernel", "batched_body_mosaic_gpu_kernel")
    return unnamed or (kernel.name.startswith("ynn_fusion") and not kernel.contents)


def test_every_committed_row_is_told_but_for_what_nobody_can_tell() -> None:
    found = list(committed())
    assert len(found) > 500
    for row, result in found:
        told = [kernel for kernel in result.kernels if not untold(kernel)]
        other = sum(kernel.device_s for kernel in told if kinds.of(kernel) == ("other",))
        assert other < 0.02 * sum(kernel.device_s for kernel in result.kernels), row.contender.name


def test_every_committed_pass_has_its_products_and_says_so_where_they_are_fused() -> None:
    for row, result in committed():
        found = {kind for kernel in result.kernels for kind in kinds.of(kernel)}
        untellable = any(untold(kernel) for kernel in result.kernels)
        assert untellable or found & {"matmul", "fused attention"}, row.contender.name
        if "fused attention" in found and row.contender.variant.startswith("naive"):
            assert NOT_NAIVE in {notice.code for notice in row.warnings}, row.contender.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nvjet_sm90_tst_64x80_64x11_1x4_h_bz_TNT", "matmul"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_64x64_32x6_nn_align4>(x::Params)", "matmul"),
        ("sm80_xmma_gemm_f32f32_f32f32_f32_nt_n_tilesize64x64x8_stage3_execute_kernel__5x_cublas", "matmul"),
        ("gemm_fusion_dot_general_7", "matmul"),
        ("dot.1", "matmul"),
        ("aten::bmm", "matmul"),
        ("convert_dq_to_16bits", "copy"),  # cuDNN rounds the dQ that it summed up in float32
        ("void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, float>(float*)", "softmax"),
        ("void (anonymous namespace)::softmax_warp_backward<float, float, float, 8>(float*)", "softmax"),
        ("aten::_softmax_backward_data", "softmax"),
        ("triton_softmax_2", "softmax"),
        ("triton_red_fused__softmax_add_arange_bitwise_not_le_masked_fill_view_1", "softmax mask"),
        ("graph_3_cpp_fused__softmax_backward_data_view_0", "softmax"),
        ("graph_3_cpp_fused_mul_permute_view_1", "scale"),
        ("triton_tem_fused_flex_attention_0", "fused attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "fused attention"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64>>(Flash_fwd_params)", "fused attention"),
        (f"void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<{COMPARE} >>(int)", "mask"),
        ("aten::masked_fill_", "mask"),
        ("loop_compare_fusion", "mask"),
        (f"{VECTORIZED}at::native::AUnaryFunctor<float, float, float, {MUL} >, std::array<char*, 2ul> >(int)", "scale"),
        (f"{VECTORIZED}at::native::BinaryFunctor<float, float, float, {MUL} >, std::array<char*, 3ul> >(int)",
         "elementwise"),
        (f"{VECTORIZED}at::native::FillFunctor<float>, std::array<char*, 1ul> >(int)", "memset"),
        ("Memset (Device)", "memset"),
        ("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)", "communication"),
        ("gloo:all_gather", "communication"),
        ("c10d::recv_", "communication"),
        ("ppermute.6", "communication"),
        ("all-gather.3", "communication"),
        ("reduce-scatter", "communication"),
        ("collective-permute-start.1", "communication"),
        ("Memcpy DtoD (Device -> Device)", "copy"),
        ("void multi_tensor_apply_kernel<TensorListMetadata<2>, UnaryOpFunctor<Half>, Copy<Half, Half> >", "copy"),
        ("wrapped_transpose_2", "copy"),
        ("bitcast_copy_fusion", "copy"),
        ("loop_convert_fusion", "elementwise"),
        ("input_convert_reduce_fusion", "reduction"),
        ("input_exponential_reduce_fusion", "softmax"),
        ("fusion_7", "elementwise"),
        ("ynn_fusion.2", "other"),
        ("something_else", "other"),
    ],
)  # fmt: skip
def test_by_name(name: str, expected: str) -> None:
    assert " ".join(kinds.of(named(name))) == expected


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("dot", ("matmul",)),
        ("__cublas$gemm", ("matmul",)),
        ("__onednn$matmul", ("matmul",)),
        ("convert dot", ("matmul",)),
        ("transpose copy convert", ("copy",)),
        ("iota compare broadcast select", ("mask",)),
        ("broadcast multiply", ("scale",)),
        ("multiply", ("elementwise",)),
        ("broadcast multiply negate add", ("elementwise",)),
        ("reduce", ("reduction",)),
        ("broadcast", ("memset",)),
        ("convert broadcast add reduce subtract exponential", ("softmax",)),
        ("iota compare select add reduce subtract exponential", ("softmax", "mask")),
        ("dot broadcast add reduce subtract exponential", ("matmul", "softmax")),
        ("dot broadcast divide multiply reduce negate add", ("matmul", "softmax")),
        ("dot add reduce subtract exponential multiply dot", ("fused attention",)),
        ("__cudnn$fmhaSoftmax", ("fused attention",)),
        ("never-heard-of-it", ("elementwise",)),
    ],
)
def test_by_contents(inside: str, expected: tuple[str, ...]) -> None:
    assert kinds.of(named("fusion", *inside.split())) == expected


def test_contents_meet_kernels_by_the_exact_name_then_without_dots_and_never_by_guess() -> None:
    contents = {"fusion.7": ("reduce",), "fusion_7": ("dot",), "loop-copy.1": ("copy",), "ynn_fusion": ("dot",)}
    found = kinds.with_contents(map(named, ("fusion.7", "loop_copy_1", "fusion-7", "gemm", "ynn_fusion")), contents)
    assert [each.contents for each in found] == [("reduce",), ("copy",), (), (), ("dot",)]
    assert kinds.with_contents([named("fusion")], None) == (named("fusion"),)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (f"{VECTORIZED}at::native::AUnaryFunctor<float, float, {MUL} >, std::array<char*, 2ul> >(int)",
         "vectorized_elementwise_kernel[Mul]"),
        ("void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64>(cutlass_80_simt_sgemm_64x64::Params)",
         "cutlass_80_simt_sgemm_64x64"),
        ("sm80_xmma_gemm_f32f32_nt_n_tilesize64x64x8_stage3_execute_kernel__5x_cublas",
         "sm80_xmma_gemm_f32f32_nt_n_tilesize64x64x8"),
        ("void (anonymous namespace)::softmax_warp_forward<float, float>(float*)", "softmax_warp_forward"),
        ("graph_12_cpp_fused_mul_0", "cpp_fused_mul_0"),
        ("Memcpy DtoD (Device -> Device)", "Memcpy DtoD (Device -> Device)"),
        ("aten::bmm", "aten::bmm"),
    ],
)  # fmt: skip
def test_short_names_keep_what_tells(name: str, short: str) -> None:
    assert short_name(name) == short


def test_the_row_sums_of_cudnn_are_no_matrix_product() -> None:
    assert kinds.of(named("void cudnn::fusion::compute_dot_do_o_specialized<true, 64>(void const*)")) == ("reduction",)
    assert kinds.of(named("dot.7")) == ("matmul",)
