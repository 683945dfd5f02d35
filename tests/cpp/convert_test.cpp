// float32 -> float16 and bfloat16, round to nearest even, against a reference that searches.
#include <bit>
#include <cmath>
#include <limits>

#include "check.h"
#include "plan/affine.h"

namespace fastpre::test {
namespace {

long cases = 0;

// The value of a 16-bit format with `mantissa` explicit bits and bias as IEEE 754 has it.
double Decode(uint16_t bits, int mantissa) {
  const int exponent_bits = 15 - mantissa, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> mantissa & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << mantissa) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - mantissa);
  return sign * std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
}

// One case: the converted bits are the nearest of their two neighbours, the even one of a tie.
void TestOne(float value, uint16_t got, int mantissa, const char* format) {
  ++cases;
  const std::string context = std::string(format) + " of " + std::to_string(std::bit_cast<uint32_t>(value));
  if (std::isnan(value)) return CHECK(std::isnan(Decode(got, mantissa)), context);
  CHECK(std::signbit(value) == (got >> 15 != 0), context);
  const uint16_t infinity = static_cast<uint16_t>(((1 << (15 - mantissa)) - 1) << mantissa);
  const uint16_t magnitude = got & 0x7FFF;
  // The first value that overflows is half a step past the largest finite one.
  const double largest = Decode(infinity - 1, mantissa), step = largest - Decode(infinity - 2, mantissa);
  const double x = std::fabs(static_cast<double>(value));
  if (magnitude == infinity) return CHECK(x >= largest + step / 2, context);
  const double error = std::fabs(Decode(magnitude, mantissa) - x);
  const double above = magnitude + 1 == infinity ? largest + step : Decode(magnitude + 1, mantissa);
  CHECK(error <= above - x && (error < above - x || magnitude % 2 == 0), context);
  if (magnitude == 0) return;
  const double below = x - Decode(magnitude - 1, mantissa);
  CHECK(error <= below && (error < below || magnitude % 2 == 0), context);
}

void TestBoth(uint32_t bits) {
  const float value = std::bit_cast<float>(bits);
  TestOne(value, ToFloat16(value), 10, "float16");
  TestOne(value, ToBFloat16(value), 7, "bfloat16");
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre::test;
  // Every high half with the low halves at which rounding changes its mind, for both formats: a tie
  // of bfloat16 is 0x8000, one of float16 lies at bit 12.
  for (uint32_t high = 0; high <= 0xFFFF; ++high) {
    for (uint32_t low :
         {0x0000u, 0x0001u, 0x0FFFu, 0x1000u, 0x1001u, 0x2FFFu, 0x3000u, 0x3001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      TestBoth(high << 16 | low);
    }
  }
  // A stride that is coprime to 2^32 visits all mantissas.
  for (uint64_t bits = 0; bits <= 0xFFFFFFFFu; bits += 4093) TestBoth(static_cast<uint32_t>(bits));
  return Summary("convert", cases);
}
