// Blocks of quantized coefficients in their sparse form (sparse_format.h): straight from the entropy decoder, or from
// dense ones.
#pragma once

#include <array>
#include <cstdint>

#include "jpeg/block.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/dct.h"
#include "jpeg/kernels/kernels.h"
#include "jpeg/sparse_format.h"

namespace fastpre {

// A block takes at most this many words: DC, 63 wide entries, and what the decoder writes past the last one.
inline constexpr int kMostBlockWords = 1 + 2 * 63 + 2;

// What TakeAc writes to for such a block.
class SparseEntries {
 public:
  SparseEntries(uint16_t* next, int16_t* large) : next_(next), large_(large) {}

  // The values of a table entry, those that are there, for the position `k` before it.
  [[gnu::always_inline]] void Pair(uint32_t k, uint32_t entry) {
    const uint32_t advance = entry >> 10 & 127;
    const int first = static_cast<int32_t>(entry << 7) >> 24, second = static_cast<int32_t>(entry) >> 25;
    before_ = next_;
    *next_ = Word(kNatural[k + (entry >> 6 & 15)], first);
    next_ += first != 0;
    *next_ = Word(kNatural[k + advance - 1], second);
    next_ += second != 0;
  }
  // The last entry was an escape: it had no values.
  [[gnu::always_inline]] void Escape(uint32_t) { next_ = before_; }
  // The last entry's second symbol belongs to the next block.
  [[gnu::always_inline]] void Split(uint32_t entry) { next_ = before_ + ((entry >> 17 & 255) != 0); }
  [[gnu::always_inline]] void Value(uint32_t k, int value) {
    if (value == 0) return;
    escapes_ |= uint64_t{1} << k;
    wide_ |= value < -kNarrowMost - 1 || value > kNarrowMost;
    large_[k] = static_cast<int16_t>(value);
    *next_++ = Word(kNatural[k], value);
  }

  // Zigzag to natural order; positions past 63 come from entries that end a block, and are never looked at.
  static constexpr auto kNatural = [] {
    std::array<uint8_t, 192> natural{};
    for (int k = 0; k < 64; ++k) natural[k] = static_cast<uint8_t>(kPlace[k] / kGroupColumns * 8 + kPlace[k] % 8);
    return natural;
  }();

 private:
  friend class SparseWriter;
  static uint16_t Word(int position, int value) {
    return static_cast<uint16_t>(position | static_cast<unsigned>(value) << 6);
  }

  static constexpr auto kZigzag = [] {
    std::array<uint8_t, 64> zigzag{};
    for (int k = 0; k < 64; ++k) zigzag[kNatural[k]] = static_cast<uint8_t>(k);
    return zigzag;
  }();
  int16_t ValueOf(uint16_t word) const {
    const int k = kZigzag[word & 63];
    return escapes_ >> k & 1 ? large_[k] : static_cast<int16_t>(static_cast<int16_t>(word) >> 6);
  }

  uint16_t* next_;
  uint16_t* before_ = nullptr;
  bool wide_ = false;
  uint64_t escapes_ = 0;  // zigzag positions of values that came as escapes, the only ones that a word may not hold
  int16_t* large_;        // those values, by zigzag position; not in here, so that the rest stays in registers
};

// Where the blocks of one component of a scan's MCU go: those of MCU m at index m * step of the tables.
struct SparseTarget {
  uint32_t* offset;
  uint8_t* head;
  int step;
  const FrameComponent* component;
};

// Blocks, one behind the other, into memory of a fixed size.
class SparseWriter {
 public:
  // Into [begin, end), of which the first `taken` words are in use already; offsets count from `begin`.
  void Open(uint16_t* begin, size_t taken, uint16_t* end, const JpegKernels& kernels) {
    begin_ = begin;
    next_ = begin + taken;
    end_ = end;
    kernels_ = &kernels;
  }
  uint16_t* next() const { return next_; }

  // A block's entries begin behind its DC coefficient. Throws Declined if there may be no room.
  [[gnu::always_inline]] SparseEntries Begin(int dc) {
    if (end_ - next_ < kMostBlockWords) [[unlikely]]
      Full();
    *next_ = static_cast<uint16_t>(dc);
    return SparseEntries(next_ + 1, large_.data());
  }
  // Throws Declined(kExtreme) for blocks that JpegKernels::idct would not vouch for.
  [[gnu::always_inline]] void End(const SparseEntries& entries, const SparseTarget& target, int mcu) {
    const ptrdiff_t at = static_cast<ptrdiff_t>(mcu) * target.step;
    target.offset[at] = static_cast<uint32_t>(next_ - begin_);
    const int count = static_cast<int>(entries.next_ - next_) - 1;
    target.head[at] = static_cast<uint8_t>(count);
    if (!kFollowWraps || entries.escapes_ != 0 || !IsInExactRange(*target.component, static_cast<int16_t>(next_[0])))
        [[unlikely]] {
      Check(entries, *target.component, count);
    }
    uint16_t* const block = next_;
    next_ = entries.next_;
    if (entries.wide_) [[unlikely]]
      Widen(entries, count, block, &target.head[at]);
  }

  // A block that was decoded elsewhere, laid out as JpegKernels::idct takes it.
  void Dense(const int16_t* coefficients, const SparseTarget& target, int mcu);

 private:
  static constexpr bool kFollowWraps = jpeg::kFollowWraps;
  // True if values of table entries, which have 8 bits, cannot leave the range that needs no look: that is up to the
  // quantizers of the first row, and to DC.
  static bool IsInExactRange(const FrameComponent& c, int dc) {
    const int value = dc * c.quant[0];
    return c.in_exact_range && value >= -jpeg::kExactRange && value <= jpeg::kExactRange;
  }
  [[noreturn]] static void Full();
  void Check(const SparseEntries& entries, const FrameComponent& component, int count) const;
  void Widen(const SparseEntries& entries, int count, uint16_t* block, uint8_t* head);

  uint16_t *begin_ = nullptr, *next_ = nullptr, *end_ = nullptr;
  const JpegKernels* kernels_ = nullptr;
  std::array<int16_t, 64> large_{};
};

}  // namespace fastpre
