// Constants of the inverse DCTs, for the plain and the vector bodies.
#pragma once

#include <cstdint>

namespace fastpre::jpeg {

inline constexpr int kConstBits = 13;
// Between the passes values carry 2 bits of fraction, and a factor of 8 is left for the last shift.
inline constexpr int kPass1Shift = kConstBits - 2;
inline constexpr int kPass2Shift = kConstBits + 2 + 3;

// jidctint.c's FIX_0_298631336 and so on: x * 2^13, rounded.
inline constexpr int k0_298 = 2446, k0_390 = 3196, k0_541 = 4433, k0_765 = 6270, k0_899 = 7373, k1_175 = 9633,
                     k1_501 = 12299, k1_847 = 15137, k1_961 = 16069, k2_053 = 16819, k2_562 = 20995, k3_072 = 25172;

// libjpeg-turbo's x86 code is followed wrap for wrap, except that its shortcut for flat columns wraps
// and its general path saturates: 4 * x is the same in both.
inline constexpr int kExactRange = 8191;

// Its two NEON codes (intrinsics; assembly, what GCC before 12 gets) each wrap elsewhere. Where the
// magnitudes of the inputs of every 8-point transform sum to less than this, nothing wraps or saturates.
inline constexpr int kExactSum = 32767;
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64) || defined(_M_IX86)
inline constexpr bool kFollowWraps = true;
#else
inline constexpr bool kFollowWraps = false;
#endif

// Zigzag positions before this one lie in the upper left 4 x 4.
inline constexpr int kFourByFourEnd = 10;

// cos(pi * numerator / denominator), for a compiler: std::cos is not constexpr.
constexpr double CosineOfPi(int numerator, int denominator) {
  int turn = numerator % (2 * denominator);
  if (turn > denominator) turn -= 2 * denominator;
  const double x = 3.14159265358979323846 * turn / denominator;
  double term = 1, sum = 1;
  for (int k = 1; k < 16; ++k) sum += term *= -x * x / ((2 * k - 1) * (2 * k));
  return sum;
}

// value[x][u]: what frequency u contributes to sample x of N, times 2^13 and sqrt(8); only the first
// half of the samples, the rest is symmetric (even u) or antisymmetric (odd u).
template <int N>
struct Basis {
  int value[(N + 1) / 2][8] = {};

  constexpr Basis() {
    for (int x = 0; x < (N + 1) / 2; ++x) {
      for (int u = 0; u < N; ++u) {
        const double c = u == 0 ? 1 : 1.41421356237309504880 * CosineOfPi((2 * x + 1) * u, 2 * N);
        value[x][u] = static_cast<int>(c * (1 << kConstBits) + (c < 0 ? -0.5 : 0.5));
      }
    }
  }
};

}  // namespace fastpre::jpeg
