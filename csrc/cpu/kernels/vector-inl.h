// What the vector kernels share: 128-bit blocks, four RGBX pixels each, as many as a target has.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_CPU_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_CPU_VECTOR_INL_H_
#undef FASTPRE_CPU_VECTOR_INL_H_
#else
#define FASTPRE_CPU_VECTOR_INL_H_
#endif

#include <hwy/highway.h>

#include "cpu/kernels/kernels.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
constexpr int kLanes = 4;
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
constexpr int kLanes = 2;
#else
constexpr int kLanes = 1;
#endif
constexpr int kVectorBytes = 16 * kLanes;

using D8 = hn::FixedTag<uint8_t, kVectorBytes>;
using D16 = hn::FixedTag<int16_t, kVectorBytes / 2>;
using D32 = hn::FixedTag<int32_t, kVectorBytes / 4>;
using DF = hn::FixedTag<float, kVectorBytes / 4>;
using D128 = hn::FixedTag<uint8_t, 16>;
using V8 = hn::Vec<D8>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;
using VF = hn::Vec<DF>;

// Block b of the result: 16 bytes from base + offset[4 * b].
HWY_INLINE V8 LoadBlocks(const uint8_t* base, const int32_t* offset) {
  const D128 d128;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  const hn::FixedTag<uint8_t, 32> d256;
  const auto low = hn::Combine(d256, hn::LoadU(d128, base + offset[4]), hn::LoadU(d128, base + offset[0]));
#if HWY_TARGET <= HWY_AVX3
  const auto high = hn::Combine(d256, hn::LoadU(d128, base + offset[12]), hn::LoadU(d128, base + offset[8]));
  return hn::Combine(D8(), high, low);
#else
  return low;
#endif
#else
  return hn::LoadU(d128, base + offset[0]);
#endif
}

// Block by block: [a.b0..3 | b.b0..3 | c.b0..3 | d.b0..3], each int32 clamped to 0..255.
HWY_INLINE V8 PackToBytes(V32 a, V32 b, V32 c, V32 d) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return V8{_mm512_packus_epi16(_mm512_packs_epi32(a.raw, b.raw), _mm512_packs_epi32(c.raw, d.raw))};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V8{_mm256_packus_epi16(_mm256_packs_epi32(a.raw, b.raw), _mm256_packs_epi32(c.raw, d.raw))};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3
  return V8{_mm_packus_epi16(_mm_packs_epi32(a.raw, b.raw), _mm_packs_epi32(c.raw, d.raw))};
#else
  const hn::FixedTag<uint8_t, 4> d4;
  const hn::FixedTag<uint8_t, 8> d8;
  return hn::Combine(D8(), hn::Combine(d8, hn::DemoteTo(d4, d), hn::DemoteTo(d4, c)),
                     hn::Combine(d8, hn::DemoteTo(d4, b), hn::DemoteTo(d4, a)));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
