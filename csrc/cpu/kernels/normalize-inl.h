// Normalizing, converting and storing rows; luma.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_CPU_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_CPU_NORMALIZE_INL_H_
#undef FASTPRE_CPU_NORMALIZE_INL_H_
#else
#define FASTPRE_CPU_NORMALIZE_INL_H_
#endif

#include "cpu/kernels/vector-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre {
namespace HWY_NAMESPACE {

HWY_INLINE VF ChannelAsFloat(V32 pixels, int channel) {
  const D32 d;
  const V32 byte =
      hn::And(channel == 0   ? pixels
              : channel == 1 ? hn::BitCast(d, hn::ShiftRight<8>(hn::BitCast(hn::RebindToUnsigned<D32>(), pixels)))
                             : hn::BitCast(d, hn::ShiftRight<16>(hn::BitCast(hn::RebindToUnsigned<D32>(), pixels))),
              hn::Set(d, 0xFF));
  return hn::ConvertTo(DF(), byte);
}

// n / d, to the bit (plan/affine.h).
HWY_INLINE VF DivideBy(VF n, VF d, VF inverse) {
  const VF q = hn::Mul(n, inverse);
  return hn::MulAdd(hn::NegMulAdd(q, d, n), inverse, q);
}

struct ChannelAffine {
  VF mean, std, inverse_std;
};

HWY_INLINE VF Normalize(VF pixel, const ChannelAffine& a, bool multiply, bool fast) {
  const DF d;
  const VF k255 = hn::Set(d, 255.0f), k1_255 = hn::Set(d, 1.0f / 255.0f);
#if HWY_NATIVE_FMA
  if (fast) {
    const VF unit = multiply ? hn::Mul(pixel, k1_255) : DivideBy(pixel, k255, k1_255);
    return DivideBy(hn::Sub(unit, a.mean), a.std, a.inverse_std);
  }
#else
  (void)fast;
#endif
  const VF unit = multiply ? hn::Mul(pixel, k1_255) : hn::Div(pixel, k255);
  return hn::Div(hn::Sub(unit, a.mean), a.std);
}

HWY_INLINE ChannelAffine LoadAffine(const Affine& affine, int c) {
  const DF d;
  return {hn::Set(d, affine.mean[c]), hn::Set(d, affine.std[c]), hn::Set(d, affine.inverse_std[c])};
}

constexpr int kVectorPixels = 4 * kLanes;

// The three channels of one vector of pixels, normalized.
struct Normalizer {
  ChannelAffine channel[3];
  bool multiply, fast;

  HWY_INLINE explicit Normalizer(const Affine& a)
      : channel{LoadAffine(a, 0), LoadAffine(a, 1), LoadAffine(a, 2)},
        multiply(a.rescale == Rescale::kMultiply),
        fast(a.reciprocal_exact) {}

  HWY_INLINE void operator()(const uint8_t* row, VF* out) const {
    const V32 pixels = hn::BitCast(D32(), hn::LoadU(D8(), row));
    for (int c = 0; c < 3; ++c) out[c] = Normalize(ChannelAsFloat(pixels, c), channel[c], multiply, fast);
  }
};

void PlanarF32(const uint8_t* row, int count, const Affine& affine, float* const* planes) {
  const DF df;
  const Normalizer normalize(affine);
  int x = 0;
  for (; x + kVectorPixels <= count; x += kVectorPixels) {
    VF v[3];
    normalize(row + 4 * x, v);
    for (int c = 0; c < 3; ++c) hn::StoreU(v[c], df, planes[c] + x);
  }
  float* const rest[3] = {planes[0] + x, planes[1] + x, planes[2] + x};
  ScalarKernels()->planar_f32(row + 4 * x, count - x, affine, rest);
}

void PackedF32(const uint8_t* row, int count, const Affine& affine, const int* order, float* out) {
  const Normalizer normalize(affine);
  int x = 0;
  for (; x + kVectorPixels <= count; x += kVectorPixels) {
    VF v[3];
    normalize(row + 4 * x, v);
    hn::StoreInterleaved3(v[order[0]], v[order[1]], v[order[2]], DF(), out + 3 * x);
  }
  ScalarKernels()->packed_f32(row + 4 * x, count - x, affine, order, out + 3 * x);
}

#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || (HWY_ARCH_ARM_A64 && HWY_TARGET != HWY_EMU128)
using DU16 = hn::FixedTag<uint16_t, kVectorPixels>;

// Both conversions round to nearest even; values are finite or infinite, never NaN.
HWY_INLINE hn::Vec<DU16> ToHalf(VF value, bool bfloat16) {
  if (!bfloat16) return hn::BitCast(DU16(), hn::DemoteTo(hn::FixedTag<hwy::float16_t, kVectorPixels>(), value));
  const hn::FixedTag<uint32_t, kVectorPixels> du32;
  const auto bits = hn::BitCast(du32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du32, 0x7FFF))));
  return hn::DemoteTo(DU16(), hn::BitCast(D32(), rounded));
}

void PlanarU16(const uint8_t* row, int count, const Affine& affine, uint16_t* const* planes) {
  const Normalizer normalize(affine);
  int x = 0;
  for (; x + kVectorPixels <= count; x += kVectorPixels) {
    VF v[3];
    normalize(row + 4 * x, v);
    for (int c = 0; c < 3; ++c) hn::StoreU(ToHalf(v[c], affine.bfloat16), DU16(), planes[c] + x);
  }
  uint16_t* const rest[3] = {planes[0] + x, planes[1] + x, planes[2] + x};
  ScalarKernels()->planar_u16(row + 4 * x, count - x, affine, rest);
}

void PackedU16(const uint8_t* row, int count, const Affine& affine, const int* order, uint16_t* out) {
  const Normalizer normalize(affine);
  int x = 0;
  for (; x + kVectorPixels <= count; x += kVectorPixels) {
    VF v[3];
    normalize(row + 4 * x, v);
    const auto a = ToHalf(v[order[0]], affine.bfloat16), b = ToHalf(v[order[1]], affine.bfloat16);
    hn::StoreInterleaved3(a, b, ToHalf(v[order[2]], affine.bfloat16), DU16(), out + 3 * x);
  }
  ScalarKernels()->packed_u16(row + 4 * x, count - x, affine, order, out + 3 * x);
}
#else  // no conversion to float16: tables of 512 bytes in L1
void PlanarU16(const uint8_t* row, int count, const Affine& affine, uint16_t* const* planes) {
  ScalarKernels()->planar_u16(row, count, affine, planes);
}

void PackedU16(const uint8_t* row, int count, const Affine& affine, const int* order, uint16_t* out) {
  ScalarKernels()->packed_u16(row, count, affine, order, out);
}
#endif

void PlanarU8(const uint8_t* row, int count, uint8_t* const* planes) {
  const D8 d8;
  int x = 0;
  for (; x + kVectorBytes <= count; x += kVectorBytes) {
    V8 v[4];
    hn::LoadInterleaved4(d8, row + 4 * x, v[0], v[1], v[2], v[3]);
    for (int c = 0; c < 3; ++c) hn::StoreU(v[c], d8, planes[c] + x);
  }
  uint8_t* const rest[3] = {planes[0] + x, planes[1] + x, planes[2] + x};
  ScalarKernels()->planar_u8(row + 4 * x, count - x, rest);
}

void PackedU8(const uint8_t* row, int count, const int* order, uint8_t* out) {
  const D8 d8;
  int x = 0;
  for (; x + kVectorBytes <= count; x += kVectorBytes) {
    V8 v[4];
    hn::LoadInterleaved4(d8, row + 4 * x, v[0], v[1], v[2], v[3]);
    hn::StoreInterleaved3(v[order[0]], v[order[1]], v[order[2]], d8, out + 3 * x);
  }
  ScalarKernels()->packed_u8(row + 4 * x, count - x, order, out + 3 * x);
}

void Luma(uint8_t* row, int count) {
  const D32 d32;
  const hn::RebindToUnsigned<D32> du32;
  constexpr int kPixels = 4 * kLanes;
  int x = 0;
  for (; x + kPixels <= count; x += kPixels) {
    const auto p = hn::BitCast(du32, hn::LoadU(D8(), row + 4 * x));
    const V32 mask = hn::Set(d32, 0xFF);
    const V32 r = hn::And(hn::BitCast(d32, p), mask), g = hn::And(hn::BitCast(d32, hn::ShiftRight<8>(p)), mask),
              b = hn::And(hn::BitCast(d32, hn::ShiftRight<16>(p)), mask);
    const V32 sum = hn::Add(hn::Add(hn::Mul(r, hn::Set(d32, 19595)), hn::Mul(g, hn::Set(d32, 38470))),
                            hn::Add(hn::Mul(b, hn::Set(d32, 7471)), hn::Set(d32, 0x8000)));
    const V32 y = hn::ShiftRight<16>(sum);
    hn::StoreU(hn::BitCast(D8(), hn::Mul(y, hn::Set(d32, 0x010101))), D8(), row + 4 * x);
  }
  ScalarKernels()->luma(row + 4 * x, count - x);
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
