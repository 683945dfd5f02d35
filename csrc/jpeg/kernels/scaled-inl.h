// The inverse DCTs to 1 to 7 samples a side, from as many frequencies: each pass multiplies by the
// basis, even and odd frequencies apart.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_SCALED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_SCALED_INL_H_
#undef FASTPRE_JPEG_SCALED_INL_H_
#else
#define FASTPRE_JPEG_SCALED_INL_H_
#endif

#include <cstring>

#include "jpeg/kernels/idct-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

// even: inputs (0, 2) and (4, 6); odd: (1, 3) and (5, none).
template <int N, int kShift, bool kEvenUpper, bool kOddUpper>
HWY_INLINE void NPoint(const Pairs* even, const Pairs* odd, V32* out) {
  constexpr Basis<N> kBasis;
  for (int x = 0; x < (N + 1) / 2; ++x) {
    const int* c = kBasis.value[x];
    V32 e = hn::Set(D32(), 1 << (kShift - 1));
    e = MulAddPairs<kEvenUpper>(e, even[0], c[0], c[2]);
    if constexpr (N > 4) e = MulAddPairs<kEvenUpper>(e, even[1], c[4], c[6]);
    V32 o = MulPairs<kOddUpper>(odd[0], c[1], c[3]);
    if constexpr (N > 5) o = MulAddPairs<kOddUpper>(o, odd[1], c[5], c[7]);
    out[N - 1 - x] = hn::ShiftRight<kShift>(hn::Sub(e, o));
    out[x] = hn::ShiftRight<kShift>(hn::Add(e, o));
  }
}

// Up to four samples a side need half of each lane; returns rows of 4 bytes.
template <int N>
HWY_INLINE V8 SmallLanes(const int16_t* coefficients, const int16_t* quant, bool* outside) {
  const D16 d16;
  V16 v[4];
  for (int r = 0; r < 4; ++r) v[r] = Dequantized(coefficients, quant, r < N ? r : 0);
  *outside |= OutsideExactRange(v[0]);
  const Pairs even = MakePairs(v[0], v[2]), odd = MakePairs(v[1], v[3]);
  V32 s[4] = {hn::Zero(D32()), hn::Zero(D32()), hn::Zero(D32()), hn::Zero(D32())};
  NPoint<N, kPass1Shift, false, false>(&even, &odd, s);
  v[0] = hn::ReorderDemote2To(d16, s[0], s[1]);
  v[1] = hn::ReorderDemote2To(d16, s[2], s[3]);
  Riffle<2>(d16, v);
  Riffle<2>(d16, v);
  const Pairs columns = MakePairs(v[0], v[1]);  // (0, 2) below, (1, 3) above
  NPoint<N, kPass2Shift, false, true>(&columns, &columns, s);
  const V8 bytes = PackSigned(hn::ReorderDemote2To(d16, s[0], s[1]), hn::ReorderDemote2To(d16, s[2], s[3]));
  alignas(16) static constexpr uint8_t kTransposed[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  return hn::Xor(hn::TableLookupBytes(bytes, hn::LoadDup128(D8(), kTransposed)), hn::Set(D8(), 0x80));
}

using D128 = hn::FixedTag<uint8_t, 16>;
using V128 = hn::Vec<D128>;

// From rows of 4 bytes in each lane to rows of four blocks.
HWY_INLINE void GatherRows(const V8* lanes, V128* rows) {
  const D128 d128;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  const __m512i by_row = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const V8 v{_mm512_permutexvar_epi32(by_row, lanes[0].raw)};
  const hn::Half<D8> half;
  const auto lower = hn::LowerHalf(half, v), upper = hn::UpperHalf(half, v);
  rows[0] = hn::LowerHalf(d128, lower);
  rows[1] = hn::UpperHalf(d128, lower);
  rows[2] = hn::LowerHalf(d128, upper);
  rows[3] = hn::UpperHalf(d128, upper);
#else
  const hn::FixedTag<uint32_t, 4> d32;
  hn::Vec<hn::FixedTag<uint32_t, 4> > v[4];
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  for (int i = 0; i < 2; ++i) {
    v[2 * i] = hn::BitCast(d32, hn::LowerHalf(d128, lanes[i]));
    v[2 * i + 1] = hn::BitCast(d32, hn::UpperHalf(d128, lanes[i]));
  }
#else
  for (int i = 0; i < 4; ++i) v[i] = hn::BitCast(d32, lanes[i]);
#endif
  Riffle<4>(d32, v);
  Riffle<4>(d32, v);
  for (int i = 0; i < 4; ++i) rows[i] = hn::BitCast(d128, v[i]);
#endif
}

template <int N>
bool ScaledSmall(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  const D128 d128;
  bool outside = false;
  V8 lanes[kGroupBlocks / kLanes];
  for (int i = 0; i < kGroupBlocks / kLanes; ++i)
    lanes[i] = SmallLanes<N>(coefficients + 8 * kLanes * i, quant, &outside);
  V128 rows[4];
  GatherRows(lanes, rows);
  alignas(16) static constexpr uint8_t kTwo[16] = {0, 1, 4, 5, 8, 9, 12, 13},
                                       kThree[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14};
  for (int y = 0; y < N; ++y) {
    if constexpr (N == 4) {
      hn::StoreU(rows[y], d128, out + y * stride);
    } else if constexpr (N == 3) {
      hn::StoreU(hn::TableLookupBytes(rows[y], hn::Load(d128, kThree)), d128, out + y * stride);
    } else {
      const hn::FixedTag<uint8_t, 8> d64;
      hn::StoreU(hn::LowerHalf(d64, hn::TableLookupBytes(rows[y], hn::Load(d128, kTwo))), d64, out + y * stride);
    }
  }
  return outside;
}

template <int N>
bool ScaledLarge(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  const D16 d16;
  bool outside = false;
  for (int b = 0; b < kGroupBlocks; b += kLanes) {
    V16 v[8];
    for (int r = 0; r < 8; ++r) v[r] = r < N ? Dequantized(coefficients + 8 * b, quant, r) : hn::Zero(d16);
    outside |= OutsideExactRange(v[0]);
    V32 lower[8], upper[8];
    for (int i = 0; i < 8; ++i) lower[i] = upper[i] = hn::Zero(D32());
    const Pairs even[2] = {MakePairs(v[0], v[2]), MakePairs(v[4], v[6])};
    const Pairs odd[2] = {MakePairs(v[1], v[3]), MakePairs(v[5], v[7])};
    NPoint<N, kPass1Shift, false, false>(even, odd, lower);
    NPoint<N, kPass1Shift, true, true>(even, odd, upper);
    for (int i = 0; i < 8; ++i) v[i] = hn::ReorderDemote2To(d16, lower[i], upper[i]);
    for (int i = 0; i < 3; ++i) Riffle<8>(d16, v);
    const Pairs even2[2] = {MakePairs(v[0], v[2]), MakePairs(v[4], v[6])};
    const Pairs odd2[2] = {MakePairs(v[1], v[3]), MakePairs(v[5], v[7])};
    NPoint<N, kPass2Shift, false, false>(even2, odd2, lower);
    NPoint<N, kPass2Shift, true, true>(even2, odd2, upper);
    for (int i = 0; i < 8; ++i) v[i] = hn::ReorderDemote2To(d16, lower[i], upper[i]);
    V8 rows[4];
    ColumnsToRows(v, rows);
    alignas(64) uint8_t samples[4][kVectorBytes];
    for (int i = 0; i < 4; ++i) hn::Store(rows[i], D8(), samples[i]);
    // Eight bytes at a time: what is too much, the next block overwrites.
    for (int y = 0; y < N; ++y) {
      for (int l = 0; l < kLanes; ++l) {
        std::memcpy(out + y * stride + (b + l) * N, samples[y / 2] + 16 * l + 8 * (y % 2), 8);
      }
    }
  }
  return outside;
}

bool ScaledOne(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t) {
  alignas(64) uint8_t samples[kVectorBytes];
  bool outside = false;
  for (int b = 0; b < kGroupBlocks; b += kLanes) {
    const V16 first_row = Dequantized(coefficients + 8 * b, quant, 0);
    outside |= OutsideExactRange(first_row);
    hn::Store(FlatSamples(first_row), D8(), samples);
    for (int l = 0; l < kLanes; ++l) out[b + l] = samples[16 * l];
  }
  return outside;
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
