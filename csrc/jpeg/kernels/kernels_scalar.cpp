// The plain C++ bodies: the reference that every vector body is tested against.
#include <algorithm>
#include <cstdlib>

#include "jpeg/kernels/dct.h"
#include "jpeg/kernels/escape.h"
#include "jpeg/kernels/idct.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/kernels/pixel.h"
#include "jpeg/kernels/upsample.h"

namespace fastpre::jpeg {
namespace {

int16_t Dequantized(const int16_t* coefficients, const int16_t* quant, int row, int column) {
  return jpeg::Dequantized(coefficients[kGroupColumns * row + column], quant[8 * row + column]);
}

// Of every eight values, `step` apart (idct-inl.h).
bool OutsideExactRange(int16_t value) { return value > kExactRange || value < -kExactRange; }

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
    for (int c = 0; c < 8; ++c) outside |= kFollowWraps && OutsideExactRange(v[c]);
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
bool Scaled(const int16_t* coefficients, const int16_t* quant, uint8_t* out, ptrdiff_t stride) {
  bool outside = false;
  for (int b = 0; b < kGroupBlocks; ++b) {
    int16_t v[N * N];
    for (int c = 0; c < 8; ++c) outside |= OutsideExactRange(Dequantized(coefficients + 8 * b, quant, 0, c));
    for (int i = 0; i < N * N; ++i) v[i] = Dequantized(coefficients + 8 * b, quant, i / N, i % N);
    for (int c = 0; c < N; ++c) NPoint<N>(v + c, N, kPass1Shift);
    for (int r = 0; r < N; ++r) {
      NPoint<N>(v + N * r, 1, kPass2Shift);
      for (int c = 0; c < N; ++c) out[r * stride + N * b + c] = Sample(v[N * r + c]);
    }
  }
  return outside;
}

size_t Unstuff(const uint8_t* from, size_t size, uint8_t* to, size_t* used) {
  return UnstuffBytes(from, size, 0, to, used);
}

void H2V1(const uint8_t* in, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) {
    out[2 * i] = static_cast<uint8_t>(TriangleH2V1(in[i], in[i - 1], true));
    out[2 * i + 1] = static_cast<uint8_t>(TriangleH2V1(in[i], in[i + 1], false));
  }
}

void H2V2(const uint8_t* near, const uint8_t* far, int count, uint8_t* out) {
  auto sum = [&](int i) { return TriangleColumn(near[i], far[i]); };
  for (int i = 0; i < count; ++i) {
    out[2 * i] = static_cast<uint8_t>(TriangleH2V2(sum(i), sum(i - 1), true));
    out[2 * i + 1] = static_cast<uint8_t>(TriangleH2V2(sum(i), sum(i + 1), false));
  }
}

void H1V2(const uint8_t* near, const uint8_t* far, int bias, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(TriangleH1V2(near[i], far[i], bias == 1));
}

void YccToRgbx(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i, out += 4) {
    const Rgb rgb = YccToRgb(y[i], cb[i], cr[i]);
    out[0] = rgb.r;
    out[1] = rgb.g;
    out[2] = rgb.b;
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
