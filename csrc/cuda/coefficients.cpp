#include "cuda/coefficients.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "core/round.h"
#include "cuda/sparse.h"
#include "jpeg/decoder.h"
#include "jpeg/needed.h"

namespace fastpre::cuda {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kAlignment = 256;
constexpr int kPitchStep = 64;

// A block takes at most this many words: DC, and 63 wide entries.
constexpr ptrdiff_t kMostWords = 1 + 2 * 63;

// Where the dequantized magnitudes of a block sum to less, no inverse DCT of its can saturate or wrap anywhere: a first
// pass makes at most 4 x 1.39 of a column's sum of each value, and the rows of that must stay below kExactSum
// (jpeg/dct.h).
constexpr int64_t kSafeSum = 5800;

// Of four int16, the highest bit of each that is not zero.
uint64_t NonzeroLanes(uint64_t lanes) {
  constexpr uint64_t kLow = 0x7FFF7FFF7FFF7FFF;
  return (((lanes & kLow) + kLow) | lanes) & ~kLow;
}

}  // namespace

CoefficientLayout LayOutCoefficients(const Frame& frame, const Rect& source, size_t compressed_bytes) {
  CoefficientLayout layout;
  const NeededMcus mcus = FindNeededMcus(frame, source);
  size_t at = 0, blocks = 0;
  for (int i = 0; i < frame.components; ++i) {
    const FrameComponent& f = frame.component[i];
    CoefficientLayout::Component& c = layout.component[i];
    c.column = mcus.x0 * f.h;
    c.row = mcus.y0 * f.v;
    c.blocks_x = std::min(mcus.x1, frame.mcus_x) * f.h - c.column;
    c.blocks_y = std::min(mcus.y1, frame.mcus_y) * f.v - c.row;
    const size_t count = static_cast<size_t>(c.blocks_x) * c.blocks_y;
    c.offsets = at;
    at = RoundUp(at + count * sizeof(uint32_t), kAlignment);
    c.counts = at;
    at = RoundUp(at + count, kAlignment);
    c.pitch = static_cast<int>(RoundUp(static_cast<size_t>(c.blocks_x) * 8, kPitchStep));
    c.plane = layout.plane_bytes;
    layout.plane_bytes += RoundUp(static_cast<size_t>(c.pitch) * c.blocks_y * 8, kAlignment);
    blocks += count;
  }
  layout.words = at;
  // Photographs take 1.1 to 1.4 words a byte, and a DC word a block. Two thirds more than that is enough for all but
  // what was made to be hard.
  const size_t words = 2 * compressed_bytes + blocks + kMostWords * kGroupBlocks;
  layout.region_bytes = RoundUp(at + words * sizeof(uint16_t), kAlignment);
  return layout;
}

size_t CoefficientPacker::Pack(Bytes stream, const Frame& frame, const Rect& source, const CoefficientLayout& layout,
                               bool whole, const JpegKernels& kernels, Crew* crew, uint8_t* region) {
  struct Closer {
    GroupDecoder& groups;
    ~Closer() { groups.Close(); }
  } const closer{groups_};
  frame_ = &frame;
  layout_ = &layout;
  kernels_ = &kernels;
  region_ = region;
  next_ = reinterpret_cast<uint16_t*>(region + layout.words);
  end_ = reinterpret_cast<uint16_t*>(region + layout.region_bytes);
  // Blocks of an MCU that a scan of one component does not code are flat and gray, as far as anybody looks.
  for (int i = 0; i < frame.components; ++i) {
    const CoefficientLayout::Component& c = layout.component[i];
    const size_t count = static_cast<size_t>(c.blocks_x) * c.blocks_y;
    std::memset(region + c.offsets, 0, count * sizeof(uint32_t));
    std::memset(region + c.counts, 0, count);
  }
  *next_++ = 0;
  const NeededMcus mcus = FindNeededMcus(frame, source);
  groups_.Open(stream, frame, mcus, kernels, crew);
  while (groups_.next_row() < mcus.y1) groups_.DecodeRow(this);
  constexpr int kEoi = 0xD9;
  if (whole && groups_.MarkerAfter() != kEoi) throw Declined("something else than EOI follows the last scan");
  return static_cast<size_t>(reinterpret_cast<uint8_t*>(next_) - region);
}

void CoefficientPacker::Trim(size_t keep_bytes) {
  groups_.Close();
  groups_.Trim(keep_bytes);
}

void CoefficientPacker::Group(const GroupPlace& place, const int16_t* coefficients, int last) {
  const CoefficientLayout::Component& c = layout_->component[place.component];
  const FrameComponent& f = frame_->component[place.component];
  if (end_ - next_ < kMostWords * kGroupBlocks) throw Declined("more coefficients than its size promises");
  largest_sum_ = 0;
  for (int b = place.first; b < place.end; ++b) {
    const int x = place.column + b - c.column;
    if (x < 0 || x >= c.blocks_x) continue;
    Block(c, static_cast<size_t>(place.row - c.row) * c.blocks_x + x, coefficients + 8 * b, f.quant.data());
  }
  if (largest_sum_ >= kSafeSum) CheckExtremes(f, coefficients, last);
}

void CoefficientPacker::Block(const CoefficientLayout::Component& c, size_t index, const int16_t* coefficients,
                              const int16_t* quant) {
  const uint32_t offset = static_cast<uint32_t>(next_ - reinterpret_cast<const uint16_t*>(region_ + layout_->words));
  std::memcpy(region_ + c.offsets + index * sizeof(offset), &offset, sizeof(offset));
  uint16_t* const begin = next_;
  *next_++ = static_cast<uint16_t>(coefficients[0]);
  int64_t sum = std::abs(coefficients[0] * quant[0]);
  bool narrow = true;
  for (int half = 0; half < 16; ++half) {  // a row is two times four coefficients
    uint64_t lanes;
    std::memcpy(&lanes, coefficients + half / 2 * kGroupColumns + half % 2 * 4, sizeof(lanes));
    if (half == 0) lanes &= ~uint64_t{0xFFFF};
    for (uint64_t found = NonzeroLanes(lanes); found != 0; found &= found - 1) {
      const int lane = std::countr_zero(found) / 16, position = 4 * half + lane;
      const int value = static_cast<int16_t>(lanes >> (16 * lane));
      narrow &= value >= -kNarrowMost - 1 && value <= kNarrowMost;
      sum += std::abs(value * quant[position]);
      *next_++ = static_cast<uint16_t>(position | static_cast<unsigned>(value) << 6);
    }
  }
  size_t entries = static_cast<size_t>(next_ - begin) - 1;
  uint8_t head = static_cast<uint8_t>(entries);
  if (!narrow) {
    head |= kWideEntries;
    next_ = begin + 1;
    for (int position = 1; position < 64; ++position) {
      const int16_t value = coefficients[position / 8 * kGroupColumns + position % 8];
      if (value == 0) continue;
      *next_++ = static_cast<uint16_t>(position);
      *next_++ = static_cast<uint16_t>(value);
    }
  }
  region_[c.counts + index] = head;
  largest_sum_ = std::max(largest_sum_, sum);
}

// Asks the CPU's own inverse DCT whether libjpeg-turbo's could differ.
void CoefficientPacker::CheckExtremes(const FrameComponent& c, const int16_t* coefficients, int last) {
  constexpr size_t kStride = kGroupColumns;
  alignas(64) uint8_t samples[8 * kStride + kJpegSlack];
  if (kernels_->idct(coefficients, c.quant.data(), last, samples, kStride)) throw Declined(kExtreme);
}

}  // namespace fastpre::cuda
