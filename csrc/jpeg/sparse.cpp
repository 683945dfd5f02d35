#include "jpeg/sparse.h"

#include <bit>
#include <cstdlib>
#include <cstring>

#include "jpeg/declined.h"

namespace fastpre {
namespace {

static_assert(std::endian::native == std::endian::little);

// Of four int16, the highest bit of each that is not zero.
uint64_t NonzeroLanes(uint64_t lanes) {
  constexpr uint64_t kLow = 0x7FFF7FFF7FFF7FFF;
  return (((lanes & kLow) + kLow) | lanes) & ~kLow;
}

}  // namespace

void SparseWriter::Full() { throw Declined("more coefficients than its size promises"); }

// The rule of JpegKernels::idct, by asking it: rare on x86, and elsewhere only for blocks that could come near.
void SparseWriter::Check(const SparseEntries& entries, const FrameComponent& component, int count) const {
  alignas(64) int16_t group[kGroupCoefficients] = {};
  // Magnitudes that sum to less than this saturate and wrap nowhere: a first pass makes at most 4 x 1.39 of a column's
  // sum of each value, and a row of those must stay below kExactSum (jpeg/kernels/dct.h).
  constexpr int64_t kSafeSum = 5800;
  group[0] = static_cast<int16_t>(next_[0]);
  int64_t sum = std::abs(group[0] * component.quant[0]);
  for (int i = 0; i < count; ++i) {
    const int position = next_[1 + i] & 63;
    const int16_t value = entries.ValueOf(next_[1 + i]);
    group[position / 8 * kGroupColumns + position % 8] = value;
    sum += std::abs(value * component.quant[position]);
  }
  if (sum < kSafeSum) return;
  alignas(64) uint8_t samples[8 * kGroupColumns + kJpegSlack];
  if (kernels_->idct(group, component.quant.data(), 63, samples, kGroupColumns)) throw Declined(kExtreme);
}

// From the last entry to the first, because wide ones take the place of two.
void SparseWriter::Widen(const SparseEntries& entries, int count, uint16_t* block, uint8_t* head) {
  for (int i = count - 1; i >= 0; --i) {
    const uint16_t word = block[1 + i];
    block[1 + 2 * i] = word & 63;
    block[2 + 2 * i] = static_cast<uint16_t>(entries.ValueOf(word));
  }
  next_ = block + 1 + 2 * count;
  *head |= kWideEntries;
}

void SparseWriter::Dense(const int16_t* coefficients, const SparseTarget& target, int mcu) {
  SparseEntries entries = Begin(coefficients[0]);
  for (int half = 0; half < 16; ++half) {  // a row is two times four coefficients
    uint64_t lanes;
    std::memcpy(&lanes, coefficients + half / 2 * kGroupColumns + half % 2 * 4, sizeof(lanes));
    if (half == 0) lanes &= ~uint64_t{0xFFFF};
    for (uint64_t found = NonzeroLanes(lanes); found != 0; found &= found - 1) {
      const int lane = std::countr_zero(found) / 16;
      entries.Value(SparseEntries::kZigzag[4 * half + lane], static_cast<int16_t>(lanes >> (16 * lane)));
    }
  }
  End(entries, target, mcu);
}

}  // namespace fastpre
