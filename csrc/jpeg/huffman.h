// Huffman tables in the form that the scan decoder reads, and a cache of them.
//
// An AC entry holds up to two symbols, whatever of them fits into the window of kAcBits bits:
//
//   bits  0..5   length   bits to drop (a 64-bit shift by the whole entry on x86: the count is taken mod 64)
//   bits  6..9   run      zeros before the first value
//   bits 10..16  advance  how far the position in the block moves; +kEob: the block ends
//   bits 17..24  first    value, int8
//   bits 25..31  second   value, int7
//
// The second value is written first, to position + advance - 1, then the first one, to position + run. With one symbol
// both places are the same, so the first value overwrites the second. Where the block ends, the second place is past
// 63, where nothing is read. So there is no branch. Symbols that do not fit are escapes: advance = kEscape, length = 0,
// and above them the code's length (5 bits; 0: longer than kAcBits) and the symbol (8 bits).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace fastpre {

// A table as DHT gives it.
struct HuffmanCode {
  std::array<uint8_t, 17> counts{};    // [1..16]: codes of each length
  std::array<uint8_t, 256> symbols{};  // the unused rest is zero
  int size() const;
  // False for what libjpeg refuses: codes that overflow their length, and DC categories above 15.
  bool Valid(bool dc) const;
  friend bool operator==(const HuffmanCode&, const HuffmanCode&) = default;
};

// Codes of any length, the canonical way: for what the fast tables do not hold.
class CanonicalCode {
 public:
  explicit CanonicalCode(const HuffmanCode& code);
  struct Found {
    int length = 0;  // 0: no such code
    int symbol = 0;
  };
  // `window`: the next 16 bits of the stream.
  Found Find(uint32_t window, int shortest = 1) const {
    for (int length = shortest; length <= 16; ++length) {
      if (window < limit_[length])
        return {length, symbols_[((window - first_[length]) >> (16 - length)) + index_[length]]};
    }
    return {};
  }

 private:
  uint32_t first_[17], limit_[17];  // of each length's codes, left-justified in 16 bits; limit_ is exclusive
  int index_[17];
  std::array<uint8_t, 256> symbols_;
};

// 12 bits: two AC tables are 32 KB and leave room in a 48 KB L1; 11 bits escape more (docs/performance.md).
inline constexpr int kAcBits = 12;
inline constexpr int kEob = 64;
inline constexpr int kEscape = 127;

struct AcTable {
  explicit AcTable(const HuffmanCode& code);
  alignas(64) std::array<uint32_t, 1 << kAcBits> fast;
  CanonicalCode canonical;
};

// DC differences are few (one a block) and long: the code's length (bits 0..4) and category (bits 8..11).
inline constexpr int kDcBits = 9;

struct DcTable {
  explicit DcTable(const HuffmanCode& code);
  alignas(64) std::array<uint16_t, 1 << kDcBits> fast;  // 0: longer than kDcBits, or no such code
  CanonicalCode canonical;
};

// Photographs repeat a few tables (the standard's, a camera's), so built ones are kept, the most
// recently used kSize of each kind.
class HuffmanCache {
 public:
  const AcTable* Ac(const HuffmanCode& code) { return Find(code, &ac_); }
  const DcTable* Dc(const HuffmanCode& code) { return Find(code, &dc_); }

 private:
  static constexpr size_t kSize = 8;  // an image uses up to 4; 8 AC tables are 136 KB
  template <class Table>
  struct Entry {
    HuffmanCode code;
    std::shared_ptr<const Table> table;
  };
  template <class Table>
  const Table* Find(const HuffmanCode& code, std::vector<Entry<Table>>* entries);

  std::vector<Entry<AcTable>> ac_;
  std::vector<Entry<DcTable>> dc_;
};

}  // namespace fastpre
