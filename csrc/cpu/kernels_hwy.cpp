// The vector bodies, one source for every instruction set (Google Highway), and the ordered list
// of what was compiled. See kernels.h for the contracts and pack.cpp for the layout of the weights.
#include <algorithm>

#include "cpu/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels_hwy.cpp"
#define HWY_WANT_AVX3_DL 1            // off by default before Highway 1.1
#define HWY_COMPILE_ALL_ATTAINABLE 1  // down to SSSE3 and the emulated 128-bit one, so tests cover them
// Blocks of 128 bits are the unit of the algorithm; scalable vectors would gain nothing over NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

// Highway's own one-lane target cannot hold a 128-bit block; kernels_scalar.cpp stands in for it.
#if HWY_TARGET != HWY_SCALAR
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

// Lane i: a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
HWY_INLINE V32 MultiplyPairs(V16 a, V16 b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  return V32{_mm512_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  return V32{_mm256_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3
  return V32{_mm_madd_epi16(a.raw, b.raw)};
#elif HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON
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
      const auto ab0 = hn::BitCast(d16, hn::InterleaveLower(d8, a, b)), ab1 = hn::BitCast(d16, hn::InterleaveUpper(d8, a, b));
      const auto cd0 = hn::BitCast(d16, hn::InterleaveLower(d8, c, d)), cd1 = hn::BitCast(d16, hn::InterleaveUpper(d8, c, d));
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
  HWY_INLINE V32 Total() const {
    return hn::ShiftRight<kTapBits>(hn::Add(low, hn::ShiftLeft<kPairShift>(high)));
  }
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

HWY_INLINE VF ChannelAsFloat(V32 pixels, int channel) {
  const D32 d;
  const V32 byte = hn::And(channel == 0   ? pixels
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

#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || (HWY_ARCH_ARM_A64 && HWY_TARGET == HWY_NEON)
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

constexpr KernelTable kTable = {nullptr,   HWY_TARGET, kLanes,    kSplit,    kCanPermute, Horizontal, Vertical,
                                PlanarF32, PackedF32,  PlanarU16, PackedU16, PlanarU8,    PackedU8,   Luma};

// Not a static initializer: nothing compiled for this target may run before the CPU is known to have it.
KernelTable Table() {
  KernelTable table = kTable;
  table.name = hwy::TargetName(HWY_TARGET);
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#if HWY_ONCE
#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace fastpre {
namespace {

std::vector<KernelTable> Compiled() {
  const int64_t supported = hwy::SupportedTargets();
  std::vector<KernelTable> list;
  (void)supported;
#define FASTPRE_TRY(TARGET) \
  if (supported & HWY_##TARGET) list.push_back(N_##TARGET::Table())
#if defined(HWY_AVX10_2) && (HWY_TARGETS & HWY_AVX10_2)
  FASTPRE_TRY(AVX10_2);
#endif
#if defined(HWY_AVX3_SPR) && (HWY_TARGETS & HWY_AVX3_SPR)
  FASTPRE_TRY(AVX3_SPR);
#endif
#if defined(HWY_AVX3_ZEN4) && (HWY_TARGETS & HWY_AVX3_ZEN4)
  FASTPRE_TRY(AVX3_ZEN4);
#endif
#if HWY_TARGETS & HWY_AVX3_DL
  FASTPRE_TRY(AVX3_DL);
#endif
#if HWY_TARGETS & HWY_AVX3
  FASTPRE_TRY(AVX3);
#endif
#if HWY_TARGETS & HWY_AVX2
  FASTPRE_TRY(AVX2);
#endif
#if HWY_TARGETS & HWY_SSE4
  FASTPRE_TRY(SSE4);
#endif
#if HWY_TARGETS & HWY_SSSE3
  FASTPRE_TRY(SSSE3);
#endif
#if defined(HWY_SSE2) && (HWY_TARGETS & HWY_SSE2)
  FASTPRE_TRY(SSE2);
#endif
#if defined(HWY_NEON_BF16) && (HWY_TARGETS & HWY_NEON_BF16)
  FASTPRE_TRY(NEON_BF16);
#endif
#if HWY_TARGETS & HWY_NEON
  FASTPRE_TRY(NEON);
#endif
#if defined(HWY_NEON_WITHOUT_AES) && (HWY_TARGETS & HWY_NEON_WITHOUT_AES)
  FASTPRE_TRY(NEON_WITHOUT_AES);
#endif
#if HWY_TARGETS & HWY_EMU128
  FASTPRE_TRY(EMU128);
#endif
#undef FASTPRE_TRY
  return list;
}

const std::vector<KernelTable>& Vectorized() {
  static const std::vector<KernelTable> list = Compiled();
  return list;
}

std::atomic<const KernelTable*> active{nullptr};

const KernelTable* Find(const std::string& name) {
  for (const KernelTable* table : AvailableKernels()) {
    if (name.empty() || name == table->name) return table;
  }
  return nullptr;
}

}  // namespace

std::vector<const KernelTable*> AvailableKernels() {
  std::vector<const KernelTable*> list;
  for (const KernelTable& table : Vectorized()) list.push_back(&table);
  list.push_back(ScalarKernels());
  return list;
}

bool SetTarget(const std::string& name) {
  const KernelTable* table = Find(name);
  if (table) active.store(table);
  return table != nullptr;
}

const KernelTable& ActiveKernels() {
  const KernelTable* table = active.load(std::memory_order_acquire);
  if (!table) {
    const char* forced = std::getenv("FASTPRE_TARGET");
    table = Find(forced ? forced : "");
    if (!table) throw std::invalid_argument(std::string("FASTPRE_TARGET=") + forced + " is not available on this CPU");
    active.store(table, std::memory_order_release);
  }
  return *table;
}

}  // namespace fastpre
#endif  // HWY_ONCE
