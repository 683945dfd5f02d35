// The 8-point pass of the inverse DCT, for both devices: libjpeg-turbo's SIMD form of jidctint.c, wrap for wrap
// (idct-inl.h has the same for vectors).
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/portable.h"
#include "jpeg/kernels/dct.h"

namespace fastpre::jpeg {

FASTPRE_HD inline int16_t Wrap16(int value) { return static_cast<int16_t>(static_cast<uint16_t>(value)); }
FASTPRE_HD inline int16_t Clamp16(int value) {
  return static_cast<int16_t>(value < -32768 ? -32768 : value > 32767 ? 32767 : value);
}
FASTPRE_HD inline uint8_t Clamp8(int value) { return static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value); }

// Sums modulo 2^32, as the vector bodies' are.
FASTPRE_HD inline uint32_t Times(int value, int constant) {
  return static_cast<uint32_t>(value) * static_cast<uint32_t>(constant);
}

FASTPRE_HD inline int16_t Descale(uint32_t sum, int shift) {
  return Clamp16(static_cast<int32_t>(sum + (1u << (shift - 1))) >> shift);
}

// Modulo 2^16.
FASTPRE_HD inline int16_t Dequantized(int coefficient, int quant) { return Wrap16(coefficient * quant); }

FASTPRE_HD inline uint8_t Sample(int16_t value) { return Clamp8(value + 128); }

// In place, on every step-th value.
FASTPRE_HD inline void EightPoint(int16_t* v, int step, int shift) {
  const int in0 = v[0], in1 = v[step], in2 = v[2 * step], in3 = v[3 * step];
  const int in4 = v[4 * step], in5 = v[5 * step], in6 = v[6 * step], in7 = v[7 * step];
  const uint32_t sum = Times(Wrap16(in0 + in4), 1 << kConstBits);
  const uint32_t difference = Times(Wrap16(in0 - in4), 1 << kConstBits);
  const uint32_t a = Times(in2, k0_541 + k0_765) + Times(in6, k0_541);
  const uint32_t b = Times(in2, k0_541) + Times(in6, k0_541 - k1_847);
  const int sum73 = Wrap16(in7 + in3), sum51 = Wrap16(in5 + in1);
  const uint32_t z3 = Times(sum73, k1_175 - k1_961) + Times(sum51, k1_175);
  const uint32_t z4 = Times(sum73, k1_175) + Times(sum51, k1_175 - k0_390);
  const uint32_t even[4] = {sum + a, difference + b, difference - b, sum - a};
  const uint32_t odd[4] = {
      z4 + Times(in7, -k0_899) + Times(in1, k1_501 - k0_899), z3 + Times(in5, -k2_562) + Times(in3, k3_072 - k2_562),
      z4 + Times(in5, k2_053 - k2_562) + Times(in3, -k2_562), z3 + Times(in7, k0_298 - k0_899) + Times(in1, -k0_899)};
  FASTPRE_UNROLL
  for (int i = 0; i < 4; ++i) {
    v[i * step] = Descale(even[i] + odd[i], shift);
    v[(7 - i) * step] = Descale(even[i] - odd[i], shift);
  }
}

}  // namespace fastpre::jpeg
