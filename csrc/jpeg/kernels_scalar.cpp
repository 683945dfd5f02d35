// The plain C++ bodies: the reference that every vector body is tested against.
#include <algorithm>
#include <cstdlib>

#include "jpeg/dct.h"
#include "jpeg/escape.h"
#include "jpeg/kernels.h"

namespace fastpre::jpeg {
namespace {

int16_t Wrap16(int value) { return static_cast<int16_t>(static_cast<uint16_t>(value)); }
int16_t Clamp16(int value) { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }
uint8_t Clamp8(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

// Sums modulo 2^32, as the vector bodies' are.
uint32_t Times(int value, int constant) { return static_cast<uint32_t>(value) * static_cast<uint32_t>(constant); }

int16_t Descale(uint32_t sum, int shift) { return Clamp16(static_cast<int32_t>(sum + (1u << (shift - 1))) >> shift); }

int16_t Dequantized(const int16_t* coefficients, const int16_t* quant, int row, int column) {
  return Wrap16(coefficients[kGroupColumns * row + column] * quant[8 * row + column]);
}

uint8_t Sample(int16_t value) { return Clamp8(value + 128); }

// In place, on every step-th value; libjpeg-turbo's SIMD form of jidctint.c (idct-inl.h).
void EightPoint(int16_t* v, int step, int shift) {
  const int in[8] = {v[0], v[step], v[2 * step], v[3 * step], v[4 * step], v[5 * step], v[6 * step], v[7 * step]};
  const uint32_t sum = Times(Wrap16(in[0] + in[4]), 1 << kConstBits);
  const uint32_t difference = Times(Wrap16(in[0] - in[4]), 1 << kConstBits);
  const uint32_t a = Times(in[2], k0_541 + k0_765) + Times(in[6], k0_541);
  const uint32_t b = Times(in[2], k0_541) + Times(in[6], k0_541 - k1_847);
  const int sum73 = Wrap16(in[7] + in[3]), sum51 = Wrap16(in[5] + in[1]);
  const uint32_t z3 = Times(sum73, k1_175 - k1_961) + Times(sum51, k1_175);
  const uint32_t z4 = Times(sum73, k1_175) + Times(sum51, k1_175 - k0_390);
  const uint32_t even[4] = {sum + a, difference + b, difference - b, sum - a};
  const uint32_t odd[4] = {z4 + Times(in[7], -k0_899) + Times(in[1], k1_501 - k0_899),
                           z3 + Times(in[5], -k2_562) + Times(in[3], k3_072 - k2_562),
                           z4 + Times(in[5], k2_053 - k2_562) + Times(in[3], -k2_562),
                           z3 + Times(in[7], k0_298 - k0_899) + Times(in[1], -k0_899)};
  for (int i = 0; i < 4; ++i) {
    v[i * step] = Descale(even[i] + odd[i], shift);
    v[(7 - i) * step] = Descale(even[i] - odd[i], shift);
  }
}

// Of every eight values, `step` apart (idct-inl.h).
bool OutsideExactSum(const int16_t* v, int step, int next) {
  for (int i = 0; i < 8; ++i) {
    int sum = 0;
    for (int k = 0; k < 8; ++k) sum += std::abs(v[i * next + k * step]);
    if (sum >= kExactSum) return true;
  }
  return false;
}

bool Idct(const int16_t* coefficients, const int16_t* quant, int, uint8_t* out, ptrdiff_t stride) {
  bool outside = false;
  for (int b = 0; b < kGroupBlocks; ++b) {
    int16_t v[64];
    for (int i = 0; i < 64; ++i) v[i] = Dequantized(coefficients + 8 * b, quant, i / 8, i % 8);
    for (int c = 0; c < 8; ++c) outside |= kFollowWraps && (v[c] > kExactRange || v[c] < -kExactRange);
    outside |= !kFollowWraps && OutsideExactSum(v, 8, 1);
    for (int c = 0; c < 8; ++c) EightPoint(v + c, 8, kPass1Shift);
    outside |= !kFollowWraps && OutsideExactSum(v, 1, 8);
    for (int r = 0; r < 8; ++r) {
      EightPoint(v + 8 * r, 1, kPass2Shift);
      for (int c = 0; c < 8; ++c) out[r * stride + 8 * b + c] = Sample(v[8 * r + c]);
    }
  }
  return outside;
}

template <int N>
void NPoint(int16_t* v, int step, int shift) {
  constexpr Basis<N> kBasis;
  int in[N];
  for (int u = 0; u < N; ++u) in[u] = v[u * step];
  for (int x = 0; x < (N + 1) / 2; ++x) {
    uint32_t even = 0, odd = 0;
    for (int u = 0; u < N; u += 2) even += Times(in[u], kBasis.value[x][u]);
    for (int u = 1; u < N; u += 2) odd += Times(in[u], kBasis.value[x][u]);
    v[(N - 1 - x) * step] = Descale(even - odd, shift);
    v[x * step] = Descale(even + odd, shift);
  }
}

template <int N>
void Scaled(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  for (int b = 0; b < kGroupBlocks; ++b) {
    int16_t v[N * N];
    for (int i = 0; i < N * N; ++i) v[i] = Dequantized(coefficients + 8 * b, quant, i / N, i % N);
    for (int c = 0; c < N; ++c) NPoint<N>(v + c, N, kPass1Shift);
    for (int r = 0; r < N; ++r) {
      NPoint<N>(v + N * r, 1, kPass2Shift);
      for (int c = 0; c < N; ++c) out[r * stride + N * b + c] = Sample(v[N * r + c]);
    }
  }
}

size_t Unstuff(const uint8_t* from, size_t size, uint8_t* to, size_t* used) {
  return UnstuffBytes(from, size, 0, to, used);
}

void H2V1(const uint8_t* in, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    out[2 * i] = static_cast<uint8_t>((3 * in[i] + in[i - 1] + 1) >> 2);
    out[2 * i + 1] = static_cast<uint8_t>((3 * in[i] + in[i + 1] + 2) >> 2);
  }
}

void H2V2(const uint8_t* near, const uint8_t* far, int count, uint8_t* out) {
  auto sum = [&](int i) { return 3 * near[i] + far[i]; };
  for (int i = 0; i < count; ++i) {
    out[2 * i] = static_cast<uint8_t>((3 * sum(i) + sum(i - 1) + 8) >> 4);
    out[2 * i + 1] = static_cast<uint8_t>((3 * sum(i) + sum(i + 1) + 7) >> 4);
  }
}

void H1V2(const uint8_t* near, const uint8_t* far, int bias, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) out[i] = static_cast<uint8_t>((3 * near[i] + far[i] + bias) >> 2);
}

void YccToRgbx(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i, out += 4) {
    const int blue = cb[i] - 128, red = cr[i] - 128;
    out[0] = Clamp8(y[i] + ((91881 * red + 32768) >> 16));
    out[1] = Clamp8(y[i] + ((-22554 * blue - 46802 * red + 32768) >> 16));
    out[2] = Clamp8(y[i] + ((116130 * blue + 32768) >> 16));
    out[3] = 255;
  }
}

void GrayToRgbx(const uint8_t* y, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i, out += 4) {
    out[0] = out[1] = out[2] = y[i];
    out[3] = 255;
  }
}

void Interleave4(const uint8_t* const* in, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    for (int c = 0; c < 4; ++c) out[4 * i + c] = in[c][i];
  }
}

void Deinterleave4(const uint8_t* in, int count, uint8_t* const* out) {
  for (int i = 0; i < count; ++i) {
    for (int c = 0; c < 4; ++c) out[c][i] = in[4 * i + c];
  }
}

constexpr JpegKernels kScalar = {
    "SCALAR",
    0,
    Unstuff,
    Idct,
    {nullptr, Scaled<1>, Scaled<2>, Scaled<3>, Scaled<4>, Scaled<5>, Scaled<6>, Scaled<7>, nullptr},
    H2V1,
    H2V2,
    H1V2,
    YccToRgbx,
    GrayToRgbx,
    Interleave4,
    Deinterleave4};

}  // namespace

const JpegKernels* ScalarKernels() { return &kScalar; }

}  // namespace fastpre::jpeg
