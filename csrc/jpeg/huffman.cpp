#include "jpeg/huffman.h"

#include <algorithm>
#include <numeric>

namespace fastpre {
namespace {

constexpr uint32_t kWindows = 1u << kAcBits;

int Length(uint32_t entry) { return entry & 63; }
int Advance(uint32_t entry) { return entry >> 10 & 127; }
int First(uint32_t entry) { return static_cast<int32_t>(entry << 7) >> 24; }

uint32_t Entry(int length, int run, int advance, int first, int second) {
  return static_cast<uint32_t>(length) | static_cast<uint32_t>(run) << 6 | static_cast<uint32_t>(advance) << 10 |
         (static_cast<uint32_t>(first) & 255) << 17 | static_cast<uint32_t>(second) << 25;
}

uint32_t Escape(int code_length, int symbol) {
  return static_cast<uint32_t>(kEscape) << 10 | static_cast<uint32_t>(code_length) << 17 |
         static_cast<uint32_t>(symbol) << 22;
}

// ITU-T T.81 F.2.2.1, EXTEND: `bits` of category `size` as a signed value.
int Extend(int bits, int size) { return size > 0 && bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits; }

// One symbol an entry.
void FillSingles(const HuffmanCode& code, std::array<uint32_t, kWindows>* table) {
  table->fill(Escape(0, 0));
  uint32_t window = 0;
  int index = 0;
  for (int length = 1; length <= kAcBits; ++length) {
    for (int i = 0; i < code.counts[length]; ++i) {
      const int symbol = code.symbols[index++], run = symbol >> 4, size = symbol & 15;
      const uint32_t span = 1u << (kAcBits - length);
      uint32_t* const at = table->data() + window;
      if (size == 0 && run != 15) {  // also EOB1..14, which only progressive streams give a meaning
        std::fill_n(at, span, Entry(length, 0, kEob, 0, 0));
      } else if (length + size > kAcBits || size > 7) {
        std::fill_n(at, span, Escape(length, symbol));
      } else {
        const uint32_t step = span >> size;
        for (int bits = 0; bits < 1 << size; ++bits) {
          std::fill_n(at + bits * step, step, Entry(length + size, run, run + 1, Extend(bits, size), 0));
        }
      }
      window += span;
    }
  }
}

}  // namespace

int HuffmanCode::size() const { return std::accumulate(counts.begin() + 1, counts.end(), 0); }

bool HuffmanCode::Valid(bool dc) const {
  if (size() > 256) return false;
  uint32_t code = 0;
  for (int length = 1; length <= 16; ++length) {
    code += counts[length];
    // A code of nothing but ones is not allowed either.
    if (counts[length] > 0 && code >= 1u << length) return false;
    code <<= 1;
  }
  return !dc || std::all_of(symbols.begin(), symbols.begin() + size(), [](uint8_t s) { return s <= 15; });
}

CanonicalCode::CanonicalCode(const HuffmanCode& code) : symbols_(code.symbols) {
  uint32_t window = 0;
  int index = 0;
  first_[0] = limit_[0] = 0;
  index_[0] = 0;
  for (int length = 1; length <= 16; ++length) {
    first_[length] = window;
    index_[length] = index;
    window += static_cast<uint32_t>(code.counts[length]) << (16 - length);
    limit_[length] = window;
    index += code.counts[length];
  }
}

AcTable::AcTable(const HuffmanCode& code) : canonical(code) {
  std::array<uint32_t, kWindows> single;
  FillSingles(code, &single);
  for (uint32_t window = 0; window < kWindows;) {
    const uint32_t a = single[window], left = static_cast<uint32_t>(kAcBits - Length(a));
    // Windows that begin with symbol a; what follows it, shifted up, is a window too.
    const uint32_t span = Advance(a) == kEscape ? 1 : 1u << left;
    for (uint32_t i = 0; i < span; ++i) {
      const uint32_t b = single[(i << Length(a)) & (kWindows - 1)];
      const int value = First(b);
      const bool both = (b & 63) <= left && Advance(b) != kEscape && value >= -64 && value < 64 && Advance(a) < kEob;
      const uint32_t pair = a + (b & (63 | 127 << 10)) + (static_cast<uint32_t>(value) << 25);
      fast[window + i] = both ? pair : a;
    }
    window += span;
  }
}

DcTable::DcTable(const HuffmanCode& code) : canonical(code) {
  fast.fill(0);
  uint32_t window = 0;
  int index = 0;
  for (int length = 1; length <= kDcBits; ++length) {
    for (int i = 0; i < code.counts[length]; ++i) {
      const uint32_t span = 1u << (kDcBits - length);
      std::fill_n(fast.data() + window, span, static_cast<uint16_t>(length | code.symbols[index++] << 8));
      window += span;
    }
  }
}

template <class Table>
const Table* HuffmanCache::Find(const HuffmanCode& code, std::vector<Entry<Table>>* entries) {
  const auto same = [&](const Entry<Table>& e) { return e.code == code; };
  auto found = std::find_if(entries->begin(), entries->end(), same);
  if (found == entries->end()) {
    if (entries->size() == kSize) entries->pop_back();
    entries->push_back({code, std::make_shared<const Table>(code)});
    found = entries->end() - 1;
  }
  std::rotate(entries->begin(), found, found + 1);
  return entries->front().table.get();
}

template const AcTable* HuffmanCache::Find(const HuffmanCode&, std::vector<Entry<AcTable>>*);
template const DcTable* HuffmanCache::Find(const HuffmanCode&, std::vector<Entry<DcTable>>*);

}  // namespace fastpre
