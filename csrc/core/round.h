// Integer rounding of sizes.
#pragma once

#include <cstddef>

namespace fastpre {

constexpr int CeilDiv(int value, int by) { return (value + by - 1) / by; }
constexpr size_t RoundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace fastpre
