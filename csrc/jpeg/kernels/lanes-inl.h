// What the decoder's vector kernels share: a 128-bit lane is a block (or 16 samples), and a vector
// has as many as the target.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_LANES_INL_H_
#undef FASTPRE_JPEG_LANES_INL_H_
#else
#define FASTPRE_JPEG_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include "jpeg/kernels/kernels.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
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
using V8 = hn::Vec<D8>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

// Lane by lane: [a | b], clamped to -128..127.
HWY_INLINE V8 PackSigned(V16 a, V16 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return V8{_mm512_packs_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V8{_mm256_packs_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  return V8{_mm_packs_epi16(a.raw, b.raw)};
#else
  const hn::FixedTag<int8_t, 8> half;
  return hn::BitCast(D8(), hn::Combine(hn::FixedTag<int8_t, 16>(), hn::DemoteTo(half, b), hn::DemoteTo(half, a)));
#endif
}

// Lane by lane: [a | b], clamped to 0..255.
HWY_INLINE V8 PackUnsigned(V16 a, V16 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return V8{_mm512_packus_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V8{_mm256_packus_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  return V8{_mm_packus_epi16(a.raw, b.raw)};
#else
  const hn::FixedTag<uint8_t, 8> half;
  return hn::Combine(D8(), hn::DemoteTo(half, b), hn::DemoteTo(half, a));
#endif
}

// Two vectors to be multiplied by two constants and added up. x86 has that in one instruction for
// interleaved operands; elsewhere they stay apart. The sums are those of each lane's lower or upper
// half, so that packing both restores the order.
struct Pairs {
  V16 first, second;
};

HWY_INLINE Pairs MakePairs(V16 a, V16 b) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  return Pairs{hn::InterleaveLower(D16(), a, b), hn::InterleaveUpper(D16(), a, b)};
#else
  return Pairs{a, b};
#endif
}

// a * ca + b * cb
template <bool kUpper>
HWY_INLINE V32 MulPairs(const Pairs& p, int ca, int cb) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  const V32 c = hn::Set(D32(), static_cast<int32_t>((static_cast<uint32_t>(cb) << 16) | (ca & 0xFFFF)));
  const V16 x = kUpper ? p.second : p.first;
#if HWY_TARGET <= HWY_AVX3
  return V32{_mm512_madd_epi16(x.raw, c.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return V32{_mm256_madd_epi16(x.raw, c.raw)};
#else
  return V32{_mm_madd_epi16(x.raw, c.raw)};
#endif
#elif HWY_ARCH_ARM && HWY_TARGET != HWY_EMU128
  const int16x4_t a = kUpper ? vget_high_s16(p.first.raw) : vget_low_s16(p.first.raw);
  const int16x4_t b = kUpper ? vget_high_s16(p.second.raw) : vget_low_s16(p.second.raw);
  return V32{vmlal_n_s16(vmull_n_s16(a, static_cast<int16_t>(ca)), b, static_cast<int16_t>(cb))};
#else
  const D32 d;
  const hn::Half<D16> half;
  const V32 a = hn::PromoteTo(d, kUpper ? hn::UpperHalf(half, p.first) : hn::LowerHalf(half, p.first));
  const V32 b = hn::PromoteTo(d, kUpper ? hn::UpperHalf(half, p.second) : hn::LowerHalf(half, p.second));
  return hn::Add(hn::Mul(a, hn::Set(d, ca)), hn::Mul(b, hn::Set(d, cb)));
#endif
}

// sum + a * ca + b * cb
template <bool kUpper>
HWY_INLINE V32 MulAddPairs(V32 sum, const Pairs& p, int ca, int cb) {
#if HWY_ARCH_ARM && HWY_TARGET != HWY_EMU128
  const int16x4_t a = kUpper ? vget_high_s16(p.first.raw) : vget_low_s16(p.first.raw);
  const int16x4_t b = kUpper ? vget_high_s16(p.second.raw) : vget_low_s16(p.second.raw);
  return V32{vmlal_n_s16(vmlal_n_s16(sum.raw, a, static_cast<int16_t>(ca)), b, static_cast<int16_t>(cb))};
#else
  return hn::Add(sum, MulPairs<kUpper>(p, ca, cb));
#endif
}

// One perfect shuffle of kCount vectors within each lane: the top bit of an element's address
// (vector, position) becomes its bottom bit. log2(kCount) of them transpose.
template <int kCount, class D>
HWY_INLINE void Riffle(D d, hn::Vec<D>* v) {
  hn::Vec<D> t[kCount];
  for (int i = 0; i < kCount / 2; ++i) {
    t[2 * i] = hn::InterleaveLower(d, v[i], v[i + kCount / 2]);
    t[2 * i + 1] = hn::InterleaveUpper(d, v[i], v[i + kCount / 2]);
  }
  for (int i = 0; i < kCount; ++i) v[i] = t[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
