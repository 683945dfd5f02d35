// Triangle upsampling.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_UPSAMPLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_UPSAMPLE_INL_H_
#undef FASTPRE_JPEG_UPSAMPLE_INL_H_
#else
#define FASTPRE_JPEG_UPSAMPLE_INL_H_
#endif

#include "jpeg/kernels/lanes-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

// Lane l holds output bytes 32 l (lower) and 32 l + 16 (upper) onwards.
HWY_INLINE void StoreHalves(V8 lower, V8 upper, uint8_t* out) {
  const D8 d8;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  hn::StoreU(V8{_mm512_permutex2var_epi64(lower.raw, first, upper.raw)}, d8, out);
  hn::StoreU(V8{_mm512_permutex2var_epi64(lower.raw, second, upper.raw)}, d8, out + kVectorBytes);
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  hn::StoreU(V8{_mm256_permute2x128_si256(lower.raw, upper.raw, 0x20)}, d8, out);
  hn::StoreU(V8{_mm256_permute2x128_si256(lower.raw, upper.raw, 0x31)}, d8, out + kVectorBytes);
#else
  hn::StoreU(lower, d8, out);
  hn::StoreU(upper, d8, out + kVectorBytes);
#endif
}

struct Wide {
  V16 lower, upper;  // each lane's first and last eight samples
};

// ka * a + kb * b
template <int ka, int kb>
HWY_INLINE Wide Weighted(V8 a, V8 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3
  const D8 d8;
  const V16 weights = hn::Set(D16(), kb * 256 + ka);
  const V8 lower = hn::InterleaveLower(d8, a, b), upper = hn::InterleaveUpper(d8, a, b);
#if HWY_TARGET <= HWY_AVX3
  return Wide{V16{_mm512_maddubs_epi16(lower.raw, weights.raw)}, V16{_mm512_maddubs_epi16(upper.raw, weights.raw)}};
#elif HWY_TARGET <= HWY_AVX2
  return Wide{V16{_mm256_maddubs_epi16(lower.raw, weights.raw)}, V16{_mm256_maddubs_epi16(upper.raw, weights.raw)}};
#else
  return Wide{V16{_mm_maddubs_epi16(lower.raw, weights.raw)}, V16{_mm_maddubs_epi16(upper.raw, weights.raw)}};
#endif
#elif HWY_ARCH_ARM && HWY_TARGET != HWY_EMU128
  const uint8x8_t wa = vdup_n_u8(ka), wb = vdup_n_u8(kb);
  const uint16x8_t lower = vmlal_u8(vmull_u8(vget_low_u8(a.raw), wa), vget_low_u8(b.raw), wb);
  const uint16x8_t upper = vmlal_u8(vmull_u8(vget_high_u8(a.raw), wa), vget_high_u8(b.raw), wb);
  return Wide{V16{vreinterpretq_s16_u16(lower)}, V16{vreinterpretq_s16_u16(upper)}};
#else
  const D16 d16;
  const hn::Half<D8> half;
  const V16 wa = hn::Set(d16, ka), wb = hn::Set(d16, kb);
  const V16 a0 = hn::PromoteTo(d16, hn::LowerHalf(half, a)), a1 = hn::PromoteTo(d16, hn::UpperHalf(half, a));
  const V16 b0 = hn::PromoteTo(d16, hn::LowerHalf(half, b)), b1 = hn::PromoteTo(d16, hn::UpperHalf(half, b));
  return Wide{hn::Add(hn::Mul(a0, wa), hn::Mul(b0, wb)), hn::Add(hn::Mul(a1, wa), hn::Mul(b1, wb))};
#endif
}

// In bytes: with the rounding average r(a, b) = (a + b + 1) / 2 and, as ~r(~a, ~b), the truncating t,
// (3 a + b + 1) / 4 = t(a, r(a, b)) and (3 a + b + 2) / 4 = r(a, t(a, b)).
void H2V1(const uint8_t* in, int count, uint8_t* out) {
  const D8 d8;
  for (int x = 0; x < count; x += kVectorBytes) {
    const V8 before = hn::LoadU(d8, in + x - 1), v = hn::LoadU(d8, in + x), after = hn::LoadU(d8, in + x + 1);
    const V8 inverse = hn::Not(v);
    const V8 even = hn::Not(hn::AverageRound(inverse, hn::Not(hn::AverageRound(v, before))));
    const V8 odd = hn::AverageRound(v, hn::Not(hn::AverageRound(inverse, hn::Not(after))));
    StoreHalves(hn::InterleaveLower(d8, even, odd), hn::InterleaveUpper(d8, even, odd), out + 2 * x);
  }
}

// Eight even and eight odd outputs, as bytes in order.
HWY_INLINE V8 H2V2Pairs(V16 before, V16 three, V16 after) {
  const D16 d16;
  const V16 even = hn::Add(hn::Add(three, before), hn::Set(d16, 8));
  const V16 odd = hn::Add(hn::Add(three, after), hn::Set(d16, 7));
  const hn::RebindToUnsigned<D16> du16;
  const auto high = hn::And(hn::ShiftLeft<4>(hn::BitCast(du16, odd)), hn::Set(du16, 0xFF00));
  return hn::BitCast(D8(), hn::Or(hn::ShiftRight<4>(hn::BitCast(du16, even)), high));
}

void H2V2(const uint8_t* near, const uint8_t* far, int count, uint8_t* out) {
  const D8 d8;
  for (int x = 0; x < count; x += kVectorBytes) {
    const Wide before = Weighted<3, 1>(hn::LoadU(d8, near + x - 1), hn::LoadU(d8, far + x - 1));
    const Wide three = Weighted<9, 3>(hn::LoadU(d8, near + x), hn::LoadU(d8, far + x));
    const Wide after = Weighted<3, 1>(hn::LoadU(d8, near + x + 1), hn::LoadU(d8, far + x + 1));
    StoreHalves(H2V2Pairs(before.lower, three.lower, after.lower), H2V2Pairs(before.upper, three.upper, after.upper),
                out + 2 * x);
  }
}

void H1V2(const uint8_t* near, const uint8_t* far, int bias, int count, uint8_t* out) {
  const D8 d8;
  const V16 rounding = hn::Set(D16(), static_cast<int16_t>(bias));
  for (int x = 0; x < count; x += kVectorBytes) {
    const Wide sum = Weighted<3, 1>(hn::LoadU(d8, near + x), hn::LoadU(d8, far + x));
    const V16 lower = hn::ShiftRight<2>(hn::Add(sum.lower, rounding));
    const V16 upper = hn::ShiftRight<2>(hn::Add(sum.upper, rounding));
    hn::StoreU(PackUnsigned(lower, upper), d8, out + x);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
