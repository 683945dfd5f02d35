// uint8 -> normalized value, per channel: exactly torch's float32 arithmetic.
#pragma once

#include <array>
#include <cstdint>

#include "plan/spec.h"

namespace fastpre {

// A pixel has 256 values, so the whole of rescale + normalize is three tables of 256 entries;
// kernels may compute instead where that is faster, and `reciprocal_exact` says whether the
// three-operation division below gives the same bits for every entry.
//
// Indexed by the pixel's own channel (0 is red), not by the output's, so BGR is only an order.
struct Affine {
  int channels = 3;
  Rescale rescale = Rescale::kDivide;
  bool bfloat16 = false;  // what the u16 table holds
  std::array<float, 3> mean{}, std{}, inverse_std{};
  // q = n * inverse; q += fma(-q, d, n) * inverse is the correctly rounded n / d (Markstein 1990)
  // for the divisors met in practice; checked here for all 256 inputs of every channel.
  bool reciprocal_exact = false;
  std::array<std::array<float, 256>, 3> f32{};
  std::array<std::array<uint16_t, 256>, 3> u16{};  // float16 or bfloat16 bits, round to nearest even
};

Affine ComputeAffine(const Spec& spec);

uint16_t ToFloat16(float value);
uint16_t ToBFloat16(float value);
uint32_t ElementBits(DType dtype, float value);  // uint8: clamped and truncated

}  // namespace fastpre
