// One block of a sequential Huffman scan.
#pragma once

#include <array>
#include <cstdint>

#include "jpeg/bits.h"
#include "jpeg/huffman.h"
#include "jpeg/kernels/kernels.h"

namespace fastpre {

// A group's coefficients, and behind them room for what the decoder writes for want of a better
// place (huffman.h): keeps groups on cache lines.
inline constexpr int kGroupStride = kGroupCoefficients + kGroupColumns;

// From a zigzag position to a block's place in its group. Positions past 63 are where entries that end a block,
// and broken runs, put values that are never read: behind the group's coefficients.
inline constexpr auto kPlace = [] {
  std::array<uint16_t, 192> place{};
  int row = 0, column = 0;
  for (int k = 0; k < 64; ++k) {
    place[k] = static_cast<uint16_t>(row * kGroupColumns + column);
    if ((row + column) % 2 == 0) {
      if (column == 7)
        ++row;
      else if (row == 0)
        ++column;
      else
        --row, ++column;
    } else {
      if (row == 7)
        ++column;
      else if (column == 0)
        ++row;
      else
        ++row, --column;
    }
  }
  for (int k = 64; k < 192; ++k) place[k] = kGroupCoefficients;
  return place;
}();

// Takes `size` bits as a value of that category (T.81 F.2.2.1, RECEIVE and EXTEND).
inline int TakeValue(Bits* bits, uint32_t size) {
  const int value = static_cast<int>((bits->window >> 1) >> (63 - size));
  const int negative = static_cast<int>(~static_cast<int64_t>(bits->window) >> 63);
  bits->Drop(size);
  return value - (((1 << size) - 1) & negative);
}

// Always inlined, as is TakeAc: the window must stay in a register from block to block (through memory it costs
// 5 cycles twice a block, of 187).
[[gnu::always_inline]] inline bool TakeDc(Bits* bits, const DcTable& table, int* difference) {
  uint32_t entry = table.fast[bits->window >> (64 - kDcBits)];
  if (entry == 0) [[unlikely]] {
    const CanonicalCode::Found found = table.canonical.Find(static_cast<uint32_t>(bits->window >> 48));
    if (found.length == 0) return false;
    entry = static_cast<uint32_t>(found.length | found.symbol << 8);
  }
  bits->Drop(entry & 31);
  *difference = TakeValue(bits, entry >> 8);
  if (bits->count < 3 * kAcBits) [[unlikely]]
    bits->Refill();
  return true;
}

// Where TakeAc's values go: to a block of a group (sparse.h has another form), or nowhere.
struct DenseBlock {
  int16_t* out;

  // The values of a table entry, for the position `k` before it: two symbols, as huffman.h has them.
  [[gnu::always_inline]] void Pair(uint32_t k, uint32_t entry) {
    out[kPlace[k + (entry >> 10 & 127) - 1]] = static_cast<int16_t>(static_cast<int32_t>(entry) >> 25);
    out[kPlace[k + (entry >> 6 & 15)]] = static_cast<int16_t>(static_cast<int32_t>(entry << 7) >> 24);
  }
  void Escape(uint32_t k) { out[kPlace[k]] = 0; }  // the escape's "first value" went there
  void Split(uint32_t) {}                          // the second value went to a dummy
  void Value(uint32_t k, int value) { out[kPlace[k]] = static_cast<int16_t>(value); }
};
struct NoBlock {
  void Pair(uint32_t, uint32_t) {}
  void Escape(uint32_t) {}
  void Split(uint32_t) {}
  void Value(uint32_t, int) {}
};

// The AC coefficients of a block; returns the position of the last one, -1 if the data is broken.
template <class Out>
[[gnu::always_inline]] inline int TakeAc(Bits* state, const AcTable& table, Out& out) {
  Bits bits = *state;
  uint32_t k = 1, entry, used = 0;
  uint64_t before;
  const uint32_t* const fast = table.fast.data();
  // One look-up, two symbols at most. `used` sums whole entries: its low six bits are the length.
  const auto step = [&] {
    entry = fast[bits.window >> (64 - kAcBits)];
    before = bits.window;
    bits.window <<= entry & 63;
    used += entry;
    const uint32_t advance = entry >> 10 & 127;
    out.Pair(k, entry);
    k += advance;
    return k > 63;
  };
  int last;
  // TakeDc has left bits for three.
  bool ended = step() || step() || step();
  while (true) {
    if (!ended) {
      bits.count -= used & 63;
      used = 0;
      bits.Refill();
      ended = step() || step() || step() || step();
      continue;
    }
    bits.count -= used & 63;
    used = 0;
    const uint32_t advance = entry >> 10 & 127;
    if (advance != kEscape) [[likely]] {
      if (advance >= kEob && k < 64 + kEob) [[likely]] {
        last = static_cast<int>(k - kEob - 1);
        break;
      }
      if (k == 64) {
        last = 63;
        break;
      }
      // The first symbol of a pair ended the block, so the second one belongs to the next block.
      if (k - advance + (entry >> 6 & 15) != 63) return -1;
      out.Split(entry);
      bits.window = before;
      bits.count += entry & 63;
      const CanonicalCode::Found found = table.canonical.Find(static_cast<uint32_t>(before >> 48));
      bits.Drop(static_cast<uint32_t>(found.length + (found.symbol & 15)));
      last = 63;
      break;
    }
    k -= kEscape;
    uint32_t length = entry >> 17 & 31, symbol = entry >> 22 & 255;
    bits.Refill();
    if (length == 0) {
      const CanonicalCode::Found found = table.canonical.Find(static_cast<uint32_t>(bits.window >> 48), kAcBits + 1);
      if (found.length == 0) return -1;
      length = static_cast<uint32_t>(found.length);
      symbol = static_cast<uint32_t>(found.symbol);
    }
    out.Escape(k);
    bits.Drop(length);
    const uint32_t size = symbol & 15;
    if (size == 0 && symbol != 0xF0) {
      last = static_cast<int>(k - 1);
      break;
    }
    k += symbol >> 4;
    if (k > 63) return -1;
    const int value = TakeValue(&bits, size);
    out.Value(k, value);
    if (++k > 63) {
      last = 63;
      break;
    }
    bits.Refill();
    ended = step() || step() || step() || step();
  }
  *state = bits;
  return last;
}

}  // namespace fastpre
