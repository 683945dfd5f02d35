// Rows of samples to pixels.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_COLOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_COLOR_INL_H_
#undef FASTPRE_JPEG_COLOR_INL_H_
#else
#define FASTPRE_JPEG_COLOR_INL_H_
#endif

#include "jpeg/kernels/lanes-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

// Samples in the order in which StorePixels, which works within lanes, writes them in sequence:
// dword j of lane l comes from dword kLanes * j + l.
HWY_INLINE V8 LoadSamples(const uint8_t* in) {
  const V8 v = hn::LoadU(D8(), in);
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return V8{_mm512_permutexvar_epi32(order, v.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V8{_mm256_permutevar8x32_epi32(v.raw, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7))};
#else
  return v;
#endif
}

// `count` pixels or more, up to a vector of samples' worth; past them only what one vector covers.
HWY_INLINE void StorePixels(V8 r, V8 g, V8 b, int count, uint8_t* out) {
  const D8 d8;
  const hn::Repartition<uint16_t, D8> d16;
  const V8 x = hn::Set(d8, 255);
  const auto rg0 = hn::BitCast(d16, hn::InterleaveLower(d8, r, g)),
             bx0 = hn::BitCast(d16, hn::InterleaveLower(d8, b, x));
  const auto rg1 = hn::BitCast(d16, hn::InterleaveUpper(d8, r, g)),
             bx1 = hn::BitCast(d16, hn::InterleaveUpper(d8, b, x));
  hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, rg0, bx0)), d8, out);
  if (count > kVectorBytes / 4) hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, rg0, bx0)), d8, out + kVectorBytes);
  if (count > kVectorBytes / 2)
    hn::StoreU(hn::BitCast(d8, hn::InterleaveLower(d16, rg1, bx1)), d8, out + 2 * kVectorBytes);
  if (count > kVectorBytes / 4 * 3)
    hn::StoreU(hn::BitCast(d8, hn::InterleaveUpper(d16, rg1, bx1)), d8, out + 3 * kVectorBytes);
}

struct Offsets {
  V16 r, g, b;
};

// cb and cr: less 128, times 256. The constants of red and blue are not the nearest ones: they are
// those that give the exact value, (91881 cr + 32768) / 65536 and so on, for all 256 arguments.
// Green's are halves of -22554 and -46802.
HWY_INLINE Offsets ColorOffsets(V16 cb, V16 cr) {
  const D16 d16;
  const Pairs pairs = MakePairs(cb, cr);
  const V32 rounding = hn::Set(D32(), 1 << 22);
  const V32 g0 = hn::ShiftRight<23>(MulAddPairs<false>(rounding, pairs, -11277, -23401));
  const V32 g1 = hn::ShiftRight<23>(MulAddPairs<true>(rounding, pairs, -11277, -23401));
  return Offsets{hn::MulFixedPoint15(hn::ShiftRight<7>(cr), hn::Set(d16, 22971)), hn::ReorderDemote2To(d16, g0, g1),
                 hn::MulFixedPoint15(hn::ShiftRight<7>(cb), hn::Set(d16, 29033))};
}

HWY_INLINE void ConvertPixels(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint8_t* out) {
  const D8 d8;
  const D16 d16;
  const V8 zero = hn::Zero(d8), sign = hn::Set(d8, 0x80);
  const V8 luma = LoadSamples(y), blue = hn::Xor(LoadSamples(cb), sign), red = hn::Xor(LoadSamples(cr), sign);
  const V16 y0 = hn::BitCast(d16, hn::InterleaveLower(d8, luma, zero));
  const V16 y1 = hn::BitCast(d16, hn::InterleaveUpper(d8, luma, zero));
  const Offsets o0 = ColorOffsets(hn::BitCast(d16, hn::InterleaveLower(d8, zero, blue)),
                                  hn::BitCast(d16, hn::InterleaveLower(d8, zero, red)));
  const Offsets o1 = ColorOffsets(hn::BitCast(d16, hn::InterleaveUpper(d8, zero, blue)),
                                  hn::BitCast(d16, hn::InterleaveUpper(d8, zero, red)));
  StorePixels(PackUnsigned(hn::Add(y0, o0.r), hn::Add(y1, o1.r)), PackUnsigned(hn::Add(y0, o0.g), hn::Add(y1, o1.g)),
              PackUnsigned(hn::Add(y0, o0.b), hn::Add(y1, o1.b)), count, out);
}

void YccToRgbx(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint8_t* out) {
  int x = 0;
  for (; x + kVectorBytes <= count; x += kVectorBytes) ConvertPixels(y + x, cb + x, cr + x, kVectorBytes, out + 4 * x);
  if (x < count) ConvertPixels(y + x, cb + x, cr + x, count - x, out + 4 * x);
}

void GrayToRgbx(const uint8_t* y, int count, uint8_t* out) {
  for (int x = 0; x < count; x += kVectorBytes) {
    const V8 v = LoadSamples(y + x);
    StorePixels(v, v, v, count - x, out + 4 * x);
  }
}

void Interleave4(const uint8_t* const* in, int count, uint8_t* out) {
  const D8 d8;
  int x = 0;
  for (; x + kVectorBytes <= count; x += kVectorBytes) {
    hn::StoreInterleaved4(hn::LoadU(d8, in[0] + x), hn::LoadU(d8, in[1] + x), hn::LoadU(d8, in[2] + x),
                          hn::LoadU(d8, in[3] + x), d8, out + 4 * x);
  }
  for (; x < count; ++x) {
    for (int c = 0; c < 4; ++c) out[4 * x + c] = in[c][x];
  }
}

void Deinterleave4(const uint8_t* in, int count, uint8_t* const* out) {
  const D8 d8;
  int x = 0;
  for (; x + kVectorBytes <= count; x += kVectorBytes) {
    V8 v[4];
    hn::LoadInterleaved4(d8, in + 4 * x, v[0], v[1], v[2], v[3]);
    for (int c = 0; c < 4; ++c) hn::StoreU(v[c], d8, out[c] + x);
  }
  for (; x < count; ++x) {
    for (int c = 0; c < 4; ++c) out[c][x] = in[4 * x + c];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
