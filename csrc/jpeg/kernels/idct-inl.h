// The inverse DCT at full size: libjpeg-turbo's SIMD form of jidctint.c, wrap for wrap. Sums of the
// inputs are taken in 16 bits, everything else in 32, and each pass saturates to 16.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_JPEG_IDCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_JPEG_IDCT_INL_H_
#undef FASTPRE_JPEG_IDCT_INL_H_
#else
#define FASTPRE_JPEG_IDCT_INL_H_
#endif

#include "jpeg/kernels/dct.h"
#include "jpeg/kernels/lanes-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

// v * 2^13 + rounding
template <bool kUpper>
HWY_INLINE V32 Scale(const Pairs& with_rounding) {
  return MulPairs<kUpper>(with_rounding, 1 << kConstBits, 1 << kConstBits >> 3);
}

// The second of such a pair: rounding / 2^10.
template <int kShift>
HWY_INLINE V16 Rounding() {
  return hn::Set(D16(), 1 << (kShift - 1) >> (kConstBits - 3));
}

template <int kShift>
HWY_INLINE void Butterflies(V32 e0, V32 e1, V32 e2, V32 e3, V32 o0, V32 o1, V32 o2, V32 o3, V32* out) {
  out[0] = hn::ShiftRight<kShift>(hn::Add(e0, o3));
  out[1] = hn::ShiftRight<kShift>(hn::Add(e1, o2));
  out[2] = hn::ShiftRight<kShift>(hn::Add(e2, o1));
  out[3] = hn::ShiftRight<kShift>(hn::Add(e3, o0));
  out[4] = hn::ShiftRight<kShift>(hn::Sub(e3, o0));
  out[5] = hn::ShiftRight<kShift>(hn::Sub(e2, o1));
  out[6] = hn::ShiftRight<kShift>(hn::Sub(e1, o2));
  out[7] = hn::ShiftRight<kShift>(hn::Sub(e0, o3));
}

struct EightInputs {
  Pairs sum04, difference04, in26, sums, in71, in53;
};

template <int kShift>
HWY_INLINE EightInputs MakeInputs(const V16* v) {
  const V16 rounding = Rounding<kShift>();
  return EightInputs{MakePairs(hn::Add(v[0], v[4]), rounding),
                     MakePairs(hn::Sub(v[0], v[4]), rounding),
                     MakePairs(v[2], v[6]),
                     MakePairs(hn::Add(v[7], v[3]), hn::Add(v[5], v[1])),
                     MakePairs(v[7], v[1]),
                     MakePairs(v[5], v[3])};
}

template <int kShift, bool kUpper>
HWY_INLINE void EightPoint(const EightInputs& in, V32* out) {
  const V32 sum = Scale<kUpper>(in.sum04), difference = Scale<kUpper>(in.difference04);
  const V32 a = MulPairs<kUpper>(in.in26, k0_541 + k0_765, k0_541);
  const V32 b = MulPairs<kUpper>(in.in26, k0_541, k0_541 - k1_847);
  const V32 z3 = MulPairs<kUpper>(in.sums, k1_175 - k1_961, k1_175);
  const V32 z4 = MulPairs<kUpper>(in.sums, k1_175, k1_175 - k0_390);
  Butterflies<kShift>(hn::Add(sum, a), hn::Add(difference, b), hn::Sub(difference, b), hn::Sub(sum, a),
                      MulAddPairs<kUpper>(z3, in.in71, k0_298 - k0_899, -k0_899),
                      MulAddPairs<kUpper>(z4, in.in53, k2_053 - k2_562, -k2_562),
                      MulAddPairs<kUpper>(z3, in.in53, -k2_562, k3_072 - k2_562),
                      MulAddPairs<kUpper>(z4, in.in71, -k0_899, k1_501 - k0_899), out);
}

// The same where inputs 4 to 7 are zero.
template <int kShift, bool kUpper>
HWY_INLINE void EightPointOfFour(const Pairs& in02, const Pairs& in13, V32* out) {
  const V32 rounding = hn::Set(D32(), 1 << (kShift - 1));
  constexpr int kOne = 1 << kConstBits;
  Butterflies<kShift>(
      MulAddPairs<kUpper>(rounding, in02, kOne, k0_541 + k0_765), MulAddPairs<kUpper>(rounding, in02, kOne, k0_541),
      MulAddPairs<kUpper>(rounding, in02, kOne, -k0_541), MulAddPairs<kUpper>(rounding, in02, kOne, -(k0_541 + k0_765)),
      MulPairs<kUpper>(in13, k1_175 - k0_899, k1_175 - k1_961),
      MulPairs<kUpper>(in13, k1_175 - k0_390, k1_175 - k2_562),
      MulPairs<kUpper>(in13, k1_175, k1_175 - k1_961 + k3_072 - k2_562),
      MulPairs<kUpper>(in13, k1_175 - k0_390 + k1_501 - k0_899, k1_175), out);
}

HWY_INLINE V16 Dequantized(const int16_t* coefficients, const int16_t* quant, int row) {
  const V16 q = hn::LoadDup128(D16(), quant + 8 * row);
  return hn::Mul(hn::Load(D16(), coefficients + kGroupColumns * row), q);
}

HWY_INLINE bool OutsideExactRange(V16 first_row) {
  const D16 d;
  return !hn::AllFalse(d,
                       hn::Or(hn::Gt(first_row, hn::Set(d, kExactRange)), hn::Lt(first_row, hn::Set(d, -kExactRange))));
}

// Of each position, the magnitudes' sum; at most 65535.
template <int kCount>
HWY_INLINE V16 SumOfMagnitudes(const V16* v) {
  const hn::RebindToUnsigned<D16> d;
  auto sum = hn::BitCast(d, hn::Abs(v[0]));  // -32768 becomes 32768
  for (int i = 1; i < kCount; ++i) sum = hn::SaturatedAdd(sum, hn::BitCast(d, hn::Abs(v[i])));
  return hn::BitCast(D16(), sum);
}

HWY_INLINE bool OutsideExactSum(V16 a, V16 b) {  // sums as above: past 32767 they are negative
  const D16 d;
  const V16 largest = hn::Set(d, kExactSum - 1);
  return !hn::AllFalse(d, hn::Or(hn::Or(hn::Gt(a, largest), hn::Lt(a, hn::Zero(d))),
                                 hn::Or(hn::Gt(b, largest), hn::Lt(b, hn::Zero(d)))));
}

// Each lane holds two rows of one block.
HWY_INLINE void StoreTwoRows(V8 v, uint8_t* out, ptrdiff_t stride) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  const __m512i rows = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v.raw);
  const hn::Half<D8> half;
  hn::StoreU(hn::LowerHalf(half, V8{rows}), half, out);
  hn::StoreU(hn::UpperHalf(half, V8{rows}), half, out + stride);
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  const V8 rows{_mm256_permute4x64_epi64(v.raw, _MM_SHUFFLE(3, 1, 2, 0))};
  const hn::Half<D8> half;
  hn::StoreU(hn::LowerHalf(half, rows), half, out);
  hn::StoreU(hn::UpperHalf(half, rows), half, out + stride);
#else
  const hn::Half<D8> half;
  hn::StoreU(hn::LowerHalf(half, v), half, out);
  hn::StoreU(hn::UpperHalf(half, v), half, out + stride);
#endif
}

// v[x]: column x of the samples, a row in each element, level-shifted by -128.
HWY_INLINE void ColumnsToRows(const V16* v, V8* rows) {
  for (int i = 0; i < 4; ++i) rows[i] = hn::Xor(PackSigned(v[2 * i], v[2 * i + 1]), hn::Set(D8(), 0x80));
  for (int i = 0; i < 3; ++i) Riffle<4>(D8(), rows);
}

template <bool kFourByFour>
HWY_INLINE bool TransformLanes(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  constexpr int kInputs = kFourByFour ? 4 : 8;
  const D16 d16;
  V16 v[8];
  for (int r = 0; r < kInputs; ++r) v[r] = Dequantized(coefficients, quant, r);
  const V16 column_sums = kFollowWraps ? v[0] : SumOfMagnitudes<kInputs>(v);
  bool outside = kFollowWraps && OutsideExactRange(v[0]);
  V32 lower[8], upper[8];
  if constexpr (kFourByFour) {  // columns 4 to 7 are zero before and after
    EightPointOfFour<kPass1Shift, false>(MakePairs(v[0], v[2]), MakePairs(v[1], v[3]), lower);
    for (int i = 0; i < 4; ++i) v[i] = hn::ReorderDemote2To(d16, lower[2 * i], lower[2 * i + 1]);
    for (int i = 0; i < 3; ++i) Riffle<4>(d16, v);
    if constexpr (!kFollowWraps) outside = OutsideExactSum(column_sums, SumOfMagnitudes<4>(v));
    const Pairs in02 = MakePairs(v[0], v[2]), in13 = MakePairs(v[1], v[3]);
    EightPointOfFour<kPass2Shift, false>(in02, in13, lower);
    EightPointOfFour<kPass2Shift, true>(in02, in13, upper);
  } else {
    const EightInputs columns = MakeInputs<kPass1Shift>(v);
    EightPoint<kPass1Shift, false>(columns, lower);
    EightPoint<kPass1Shift, true>(columns, upper);
    for (int i = 0; i < 8; ++i) v[i] = hn::ReorderDemote2To(d16, lower[i], upper[i]);
    for (int i = 0; i < 3; ++i) Riffle<8>(d16, v);
    if constexpr (!kFollowWraps) outside = OutsideExactSum(column_sums, SumOfMagnitudes<8>(v));
    const EightInputs rows = MakeInputs<kPass2Shift>(v);
    EightPoint<kPass2Shift, false>(rows, lower);
    EightPoint<kPass2Shift, true>(rows, upper);
  }
  for (int i = 0; i < 8; ++i) v[i] = hn::ReorderDemote2To(d16, lower[i], upper[i]);
  V8 rows[4];
  ColumnsToRows(v, rows);
  for (int i = 0; i < 4; ++i) StoreTwoRows(rows[i], out + 2 * i * stride, stride);
  return outside;
}

// What the passes make of a flat block, in each lane's first byte: 4 dc, saturated, then (x + 16) / 32.
HWY_INLINE V8 FlatSamples(V16 dc) {
  const V16 twice = hn::SaturatedAdd(dc, dc);
  const V16 rounded = hn::SaturatedAdd(hn::SaturatedAdd(twice, twice), hn::Set(D16(), 16));
  const V16 sample = hn::ShiftRight<5>(rounded);
  return hn::Xor(PackSigned(sample, sample), hn::Set(D8(), 0x80));
}

HWY_INLINE bool FlatLanes(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  const V16 dc = Dequantized(coefficients, quant, 0);
  const V8 rows = hn::TableLookupBytes(FlatSamples(dc), hn::Zero(D8()));
  for (int i = 0; i < 4; ++i) StoreTwoRows(rows, out + 2 * i * stride, stride);
  return OutsideExactRange(dc);  // implies kExactSum: 4 * dc is all that goes into the second pass
}

bool Idct(const int16_t* coefficients, const int16_t* quant, int last, uint8_t* out, ptrdiff_t stride) {
  bool outside = false;
  for (int b = 0; b < kGroupBlocks; b += kLanes) {
    const int16_t* const c = coefficients + 8 * b;
    uint8_t* const o = out + 8 * b;
    outside |= last == 0               ? FlatLanes(c, quant, o, stride)
               : last < kFourByFourEnd ? TransformLanes<true>(c, quant, o, stride)
                                       : TransformLanes<false>(c, quant, o, stride);
  }
  return outside;
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
