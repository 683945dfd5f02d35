// The two resampling passes. The layout of the weights is in pack_taps.cpp.
//
// Included once per target by kernels_hwy.cpp (Highway's pattern for code in headers).
#if defined(FASTPRE_CPU_RESAMPLE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FASTPRE_CPU_RESAMPLE_INL_H_
#undef FASTPRE_CPU_RESAMPLE_INL_H_
#else
#define FASTPRE_CPU_RESAMPLE_INL_H_
#endif

#include "cpu/kernels/vector-inl.h"

#if HWY_TARGET != HWY_SCALAR  // one lane cannot hold a block; kernels_scalar.cpp stands in
HWY_BEFORE_NAMESPACE();
namespace fastpre {
namespace HWY_NAMESPACE {

// Lane i: a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
HWY_INLINE V32 MultiplyPairs(V16 a, V16 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return V32{_mm512_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V32{_mm256_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3
  return V32{_mm_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_ARM_A64 && HWY_TARGET != HWY_EMU128
  return V32(vpaddq_s32(vmull_s16(vget_low_s16(a.raw), vget_low_s16(b.raw)), vmull_high_s16(a.raw, b.raw)));
#else
  const D32 d;
  const V32 a32 = hn::BitCast(d, a), b32 = hn::BitCast(d, b);
  const V32 even = hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a32)), hn::ShiftRight<16>(hn::ShiftLeft<16>(b32)));
  return hn::Add(even, hn::Mul(hn::ShiftRight<16>(a32), hn::ShiftRight<16>(b32)));
#endif
}

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
constexpr WeightSplit kSplit = WeightSplit::kDigits;
constexpr bool kCanPermute = true;
// Highway checks for VNNI and VBMI at run time before it picks this target, but old releases do not
// pass them to the compiler.
#if HWY_COMPILER_GCC_ACTUAL
HWY_PUSH_ATTRIBUTES("avx512vnni,avx512vbmi")
#endif

// Lane i: sum + p[4i] * w[4i] + ... + p[4i + 3] * w[4i + 3], pixels unsigned, weights signed.
HWY_INLINE V32 DotQuads(V32 sum, V8 pixels, V8 weights) {
#if HWY_COMPILER_CLANG  // refuses the intrinsic without the attribute; the assembler does not mind
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(pixels.raw), "v"(weights.raw));
  return sum;
#else
  return V32{_mm512_dpbusd_epi32(sum.raw, pixels.raw, weights.raw)};
#endif
}

// Byte i of the result: bytes[index[i]], over the whole vector (VBMI, which the target implies).
HWY_INLINE V8 PermuteBytes(V8 bytes, V8 index) {
#if HWY_COMPILER_CLANG
  __asm__("vpermb %1, %2, %0" : "=v"(bytes.raw) : "v"(bytes.raw), "v"(index.raw));
  return bytes;
#else
  return V8{_mm512_permutexvar_epi8(index.raw, bytes.raw)};
#endif
}

// Three partial sums, one per base-256 digit of the weights.
struct Sum {
  V32 d0, d1, d2;

  // Written out: GCC compiles an implicit constructor without the target's attributes.
  HWY_INLINE Sum() : d0(hn::Set(D32(), 1 << (kTapBits - 1))), d1(hn::Zero(D32())), d2(hn::Zero(D32())) {}

  HWY_INLINE void Add(V8 pixels, V8 w0, V8 w1, V8 w2) {
    d0 = DotQuads(d0, pixels, w0);
    d1 = DotQuads(d1, pixels, w1);
    d2 = DotQuads(d2, pixels, w2);
  }
  HWY_INLINE V32 Total() const {
    const V32 sum = hn::Add(d0, hn::Add(hn::ShiftLeft<8>(d1), hn::ShiftLeft<16>(d2)));
    return hn::ShiftRight<kTapBits>(sum);
  }
};

// One vector of four output pixels' sums from rows[r] + offset, kRows of them sharing the weights.
// kPermuted: the pixels' taps come from one load; else from a load each.
template <int kRows, bool kPermuted>
HWY_INLINE void FourPixels(const uint8_t* const* rows, const int32_t* offset, V8 shuffle, int quads, const uint8_t* w,
                           V32* total) {
  const D8 d8;
  Sum sum[kRows];
  for (int q = 0; q < quads; ++q, w += 3 * kVectorBytes) {
    const V8 w0 = hn::Load(d8, w), w1 = hn::Load(d8, w + kVectorBytes), w2 = hn::Load(d8, w + 2 * kVectorBytes);
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* at = rows[r] + q * kQuad * kPixelBytes;
      const V8 pixels = kPermuted ? PermuteBytes(hn::LoadU(d8, at + offset[0]), shuffle)
                                  : hn::TableLookupBytes(LoadBlocks(at, offset), shuffle);
      sum[r].Add(pixels, w0, w1, w2);
    }
  }
  for (int r = 0; r < kRows; ++r) total[r] = sum[r].Total();
}

template <int kRows, bool kPermuted>
HWY_INLINE void HorizontalRows(const uint8_t* const* rows, const PackedTaps& packed, uint8_t* const* out) {
  const D8 d8;
  // Four RGBX pixels -> four taps of R, of G, of B, of X.
  alignas(16) static constexpr uint8_t kByChannel[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  // Packing leaves block b with pixels b, 4 + b, 8 + b, 12 + b of the group.
  alignas(64) static constexpr int32_t kRestore[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  const V8 by_channel = hn::LoadDup128(d8, kByChannel);
  const __m512i restore = _mm512_load_si512(kRestore);
  const uint8_t* w = packed.weights.data();
  const uint8_t* permutation = packed.permutation.data();
  const int32_t* offset = packed.offset.data();
  for (int g = 0; g < packed.groups; ++g, offset += 4 * kLanes) {
    const int quads = packed.quads[g];
    V32 total[4][kRows];
    for (int v = 0; v < 4; ++v, w += 3 * kVectorBytes * quads) {
      const V8 shuffle = kPermuted ? hn::Load(d8, permutation + (g * 4 + v) * kVectorBytes) : by_channel;
      FourPixels<kRows, kPermuted>(rows, offset + v, shuffle, quads, w, total[v]);
    }
    for (int r = 0; r < kRows; ++r) {
      V8 pixels = PackToBytes(total[0][r], total[1][r], total[2][r], total[3][r]);
      if (kPermuted) pixels = V8{_mm512_permutexvar_epi32(restore, pixels.raw)};
      hn::StoreU(pixels, d8, out[r] + g * kVectorBytes);
    }
  }
}

void Horizontal(const uint8_t* const* rows, int count, const PackedTaps& packed, uint8_t* const* out) {
  if (count == 2) {
    packed.permuted ? HorizontalRows<2, true>(rows, packed, out) : HorizontalRows<2, false>(rows, packed, out);
  } else {
    packed.permuted ? HorizontalRows<1, true>(rows, packed, out) : HorizontalRows<1, false>(rows, packed, out);
  }
}

void Vertical(const uint8_t* const* rows, const PackedTaps& packed, int index, int bytes, uint8_t* out) {
  const D8 d8;
  const hn::Repartition<uint16_t, D8> d16;
  const int quads = packed.quads[index];
  const uint8_t* weights = packed.weights.data() + packed.at[index];
  for (int x = 0; x < bytes; x += kVectorBytes) {
    Sum sum[4];
    const int32_t* w = reinterpret_cast<const int32_t*>(weights);
    for (int q = 0; q < quads; ++q, w += 3) {
      const uint8_t* const* r = rows + kQuad * q;
      const V8 a = hn::LoadU(d8, r[0] + x), b = hn::LoadU(d8, r[1] + x);
      const V8 c = hn::LoadU(d8, r[2] + x), d = hn::LoadU(d8, r[3] + x);
      const auto ab0 = hn::BitCast(d16, hn::InterleaveLower(d8, a, b)),
                 ab1 = hn::BitCast(d16, hn::InterleaveUpper(d8, a, b));
      const auto cd0 = hn::BitCast(d16, hn::InterleaveLower(d8, c, d)),
                 cd1 = hn::BitCast(d16, hn::InterleaveUpper(d8, c, d));
      const D32 d32;
      const V8 w0 = hn::BitCast(d8, hn::Set(d32, w[0])), w1 = hn::BitCast(d8, hn::Set(d32, w[1])),
               w2 = hn::BitCast(d8, hn::Set(d32, w[2]));
      sum[0].Add(hn::BitCast(d8, hn::InterleaveLower(d16, ab0, cd0)), w0, w1, w2);
      sum[1].Add(hn::BitCast(d8, hn::InterleaveUpper(d16, ab0, cd0)), w0, w1, w2);
      sum[2].Add(hn::BitCast(d8, hn::InterleaveLower(d16, ab1, cd1)), w0, w1, w2);
      sum[3].Add(hn::BitCast(d8, hn::InterleaveUpper(d16, ab1, cd1)), w0, w1, w2);
    }
    hn::StoreU(PackToBytes(sum[0].Total(), sum[1].Total(), sum[2].Total(), sum[3].Total()), d8, out + x);
  }
}
#if HWY_COMPILER_GCC_ACTUAL
HWY_POP_ATTRIBUTES
#endif

#else
constexpr WeightSplit kSplit = WeightSplit::kPairs;
constexpr bool kCanPermute = false;

struct Sum {
  V32 high, low;

  // Written out: GCC compiles an implicit constructor without the target's attributes.
  HWY_INLINE Sum() : high(hn::Zero(D32())), low(hn::Set(D32(), 1 << (kTapBits - 1))) {}

  HWY_INLINE void Add(V16 pixels, V16 w_high, V16 w_low) {
    high = hn::Add(high, MultiplyPairs(pixels, w_high));
    low = hn::Add(low, MultiplyPairs(pixels, w_low));
  }
  HWY_INLINE V32 Total() const { return hn::ShiftRight<kTapBits>(hn::Add(low, hn::ShiftLeft<kPairShift>(high))); }
};

HWY_INLINE V16 LoadWords(const uint8_t* p) { return hn::BitCast(D16(), hn::Load(D8(), p)); }

void HorizontalRow(const uint8_t* row, const PackedTaps& packed, uint8_t* out) {
  const D8 d8;
  const D16 d16;
  // Four RGBX pixels -> taps 0 and 1 (2 and 3) of each channel as int16 pairs; 0x80 gives a zero byte.
  alignas(16) static constexpr uint8_t kPair01[16] = {0, 128, 4, 128, 1, 128, 5, 128, 2, 128, 6, 128, 3, 128, 7, 128};
  alignas(16) static constexpr uint8_t kPair23[16] = {8,  128, 12, 128, 9,  128, 13, 128,
                                                      10, 128, 14, 128, 11, 128, 15, 128};
  const V8 pair01 = hn::LoadDup128(d8, kPair01), pair23 = hn::LoadDup128(d8, kPair23);
  const uint8_t* w = packed.weights.data();
  const int32_t* offset = packed.offset.data();
  for (int g = 0; g < packed.groups; ++g, offset += 4 * kLanes, out += kVectorBytes) {
    V32 total[4];
    for (int v = 0; v < 4; ++v) {
      Sum sum;
      const uint8_t* at = row;
      for (int q = packed.quads[g]; q > 0; --q, at += kQuad * kPixelBytes, w += 4 * kVectorBytes) {
        const V8 pixels = LoadBlocks(at, offset + v);
        sum.Add(hn::BitCast(d16, hn::TableLookupBytesOr0(pixels, pair01)), LoadWords(w), LoadWords(w + kVectorBytes));
        sum.Add(hn::BitCast(d16, hn::TableLookupBytesOr0(pixels, pair23)), LoadWords(w + 2 * kVectorBytes),
                LoadWords(w + 3 * kVectorBytes));
      }
      total[v] = sum.Total();
    }
    hn::StoreU(PackToBytes(total[0], total[1], total[2], total[3]), d8, out);
  }
}

// Rows one by one: with half the registers there is no room to share the weights.
void Horizontal(const uint8_t* const* rows, int count, const PackedTaps& packed, uint8_t* const* out) {
  for (int r = 0; r < count; ++r) HorizontalRow(rows[r], packed, out[r]);
}

void Vertical(const uint8_t* const* rows, const PackedTaps& packed, int index, int bytes, uint8_t* out) {
  const D8 d8;
  const D16 d16;
  const V8 zero = hn::Zero(d8);
  const int pairs = packed.quads[index] * 2;
  const uint8_t* weights = packed.weights.data() + packed.at[index];
  for (int x = 0; x < bytes; x += kVectorBytes) {
    Sum sum[4];
    const int32_t* w = reinterpret_cast<const int32_t*>(weights);
    for (int p = 0; p < pairs; ++p, w += 2) {
      const V8 a = hn::LoadU(d8, rows[2 * p] + x), b = hn::LoadU(d8, rows[2 * p + 1] + x);
      const V8 ab0 = hn::InterleaveLower(d8, a, b), ab1 = hn::InterleaveUpper(d8, a, b);
      const V16 w_high = hn::BitCast(d16, hn::Set(D32(), w[0])), w_low = hn::BitCast(d16, hn::Set(D32(), w[1]));
      sum[0].Add(hn::BitCast(d16, hn::InterleaveLower(d8, ab0, zero)), w_high, w_low);
      sum[1].Add(hn::BitCast(d16, hn::InterleaveUpper(d8, ab0, zero)), w_high, w_low);
      sum[2].Add(hn::BitCast(d16, hn::InterleaveLower(d8, ab1, zero)), w_high, w_low);
      sum[3].Add(hn::BitCast(d16, hn::InterleaveUpper(d8, ab1, zero)), w_high, w_low);
    }
    hn::StoreU(PackToBytes(sum[0].Total(), sum[1].Total(), sum[2].Total(), sum[3].Total()), d8, out + x);
  }
}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace fastpre
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#endif  // include guard
