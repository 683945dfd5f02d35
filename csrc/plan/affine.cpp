#include "plan/affine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace fastpre {

uint16_t ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return 0x7FC0;  // NaN, as torch writes it
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

uint16_t ToFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) return static_cast<uint16_t>(sign | 0x7E00);
  if (magnitude >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);  // 65520 and above: infinity
  if (magnitude < 0x38800000) {  // below 2^-14: subnormal; one float addition rounds to even
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;  // ulp(0.5) = 2^-24, float16's smallest step
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000 + 0xFFF + odd) >> 13));
}

uint32_t ElementBits(DType dtype, float value) {
  switch (dtype) {
    case DType::kF32: return std::bit_cast<uint32_t>(value);
    case DType::kF16: return ToFloat16(value);
    case DType::kBF16: return ToBFloat16(value);
    case DType::kU8: return value > 0 ? static_cast<uint8_t>(std::min(value, 255.0f)) : 0;  // NaN: 0
  }
  return 0;
}

namespace {

float Divide(float n, float d, float inverse) {
  const float q = n * inverse;
  return std::fma(std::fma(-q, d, n), inverse, q);
}

}  // namespace

Affine ComputeAffine(const Spec& spec) {
  Affine a;
  a.channels = spec.channels();
  a.rescale = spec.rescale;
  a.bfloat16 = spec.dtype == DType::kBF16;
  a.mean = spec.mean;
  a.std = spec.std;
  if (spec.color == Color::kBGR) {
    std::swap(a.mean[0], a.mean[2]);
    std::swap(a.std[0], a.std[2]);
  }
  a.reciprocal_exact = true;
  constexpr float kInverse255 = 1.0f / 255.0f;
  for (int c = 0; c < a.channels; ++c) {
    a.inverse_std[c] = 1.0f / a.std[c];
    for (int v = 0; v < 256; ++v) {
      const float pixel = static_cast<float>(v);
      const float unit = spec.rescale == Rescale::kDivide ? pixel / 255.0f : pixel * kInverse255;
      const float value = spec.normalize ? (unit - a.mean[c]) / a.std[c] : unit;
      a.f32[c][v] = value;
      a.u16[c][v] = a.bfloat16 ? ToBFloat16(value) : ToFloat16(value);
      const float unit_fast = spec.rescale == Rescale::kDivide ? Divide(pixel, 255.0f, kInverse255) : unit;
      const float fast = spec.normalize ? Divide(unit_fast - a.mean[c], a.std[c], a.inverse_std[c]) : unit_fast;
      a.reciprocal_exact &= std::bit_cast<uint32_t>(fast) == std::bit_cast<uint32_t>(value);
    }
  }
  if (!spec.normalize) {  // (x - 0) / 1 is x, to the bit: kernels need no second form
    a.mean.fill(0.0f);
    a.std.fill(1.0f);
    a.inverse_std.fill(1.0f);
  }
  return a;
}

}  // namespace fastpre
