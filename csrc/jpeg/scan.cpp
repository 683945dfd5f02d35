#include "jpeg/scan.h"

#include <algorithm>

#include "jpeg/decoder.h"

namespace fastpre {
namespace {

// From a zigzag position to a block's place in its group. Positions past 63 are where entries that end a block,
// and broken runs, put values that nobody reads: behind the group's coefficients.
constexpr auto kPlace = [] {
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

constexpr const char* kEndsEarly = "the scan's data ends before the image does";
constexpr const char* kNoRestart = "a restart marker is not where it belongs";

// Takes `size` bits as a value of that category (T.81 F.2.2.1, RECEIVE and EXTEND).
inline int TakeValue(Bits* bits, uint32_t size) {
  const int value = static_cast<int>((bits->window >> 1) >> (63 - size));
  const int negative = static_cast<int>(~static_cast<int64_t>(bits->window) >> 63);
  bits->Drop(size);
  return value - (((1 << size) - 1) & negative);
}

inline bool TakeDc(Bits* bits, const DcTable& table, int* difference) {
  uint32_t entry = table.fast[bits->window >> (64 - kDcBits)];
  if (entry == 0) [[unlikely]] {
    const CanonicalCode::Found found = table.canonical.Find(static_cast<uint32_t>(bits->window >> 48));
    if (found.length == 0) return false;
    entry = static_cast<uint32_t>(found.length | found.symbol << 8);
  }
  bits->Drop(entry & 31);
  *difference = TakeValue(bits, entry >> 8);
  return true;
}

// The AC coefficients of a block; returns the position of the last one, -1 if the data is broken.
template <bool kStore>
inline int TakeAc(Bits* state, const AcTable& table, int16_t* out) {
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
    if constexpr (kStore) {
      out[kPlace[k + advance - 1]] = static_cast<int16_t>(static_cast<int32_t>(entry) >> 25);
      out[kPlace[k + (entry >> 6 & 15)]] = static_cast<int16_t>(static_cast<int32_t>(entry << 7) >> 24);
    }
    k += advance;
    return k > 63;
  };
  int last;
  // The DC coefficient has left 25 bits at least.
  bool ended = step() || step();
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
    if constexpr (kStore) out[kPlace[k]] = 0;  // the escape's "first value" went there
    bits.Drop(length);
    const uint32_t size = symbol & 15;
    if (size == 0 && symbol != 0xF0) {
      last = static_cast<int>(k - 1);
      break;
    }
    k += symbol >> 4;
    if (k > 63) return -1;
    const int value = TakeValue(&bits, size);
    if constexpr (kStore) out[kPlace[k]] = static_cast<int16_t>(value);
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

}  // namespace

void ScanDecoder::Open(Bytes stream, const Frame& frame, const Scan& scan, HuffmanCache* cache,
                       const JpegKernels& kernels) {
  blocks_ = 0;
  for (int i = 0; i < scan.count; ++i) {
    const ScanComponent& c = scan.component[i];
    const FrameComponent& f = frame.component[c.index];
    const Block block{cache->Dc(frame.dc_code[c.dc]), cache->Ac(frame.ac_code[c.ac]), i};
    const int count = scan.count == 1 ? 1 : f.h * f.v;
    for (int k = 0; k < count; ++k) mcu_[blocks_++] = block;
  }
  interval_ = until_restart_ = scan.restart_interval;
  next_restart_ = 0;
  dc_.fill(0);
  reader_.Open(stream, scan.begin, kernels);
  reader_.Start(&bits_);
}

void ScanDecoder::Restart(Bits* bits) {
  if (!reader_.NextSegment(next_restart_, bits)) throw Declined(kNoRestart);
  next_restart_ = (next_restart_ + 1) % 8;
  until_restart_ = interval_;
  dc_.fill(0);
}

template <bool kStore>
void ScanDecoder::Run(int count, const BlockTarget* targets) {
  Bits bits = bits_;
  for (int m = 0; m < count; ++m) {
    if (interval_ > 0) {
      if (until_restart_ == 0) Restart(&bits);
      --until_restart_;
    }
    if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
    for (int i = 0; i < blocks_; ++i) {
      const Block& block = mcu_[i];
      bits.Refill();
      int difference, last;
      if (!TakeDc(&bits, *block.dc, &difference)) throw Declined("a code that no Huffman table has");
      int& dc = dc_[block.component];
      dc += difference;
      if constexpr (kStore) {
        const BlockTarget& target = targets[i];
        target.coefficients[0] = static_cast<int16_t>(dc);
        last = TakeAc<true>(&bits, *block.ac, target.coefficients);
        *target.last = std::max(*target.last, static_cast<uint8_t>(last));
      } else {
        last = TakeAc<false>(&bits, *block.ac, nullptr);
      }
      if (last < 0) throw Declined("a broken block");
    }
    targets += kStore ? blocks_ : 0;
  }
  if (!reader_.Reserve(&bits)) throw Declined(kEndsEarly);
  bits_ = bits;
  // libjpeg-turbo gives up where predictions overflow; those of a photograph stay within 12 bits.
  for (const int dc : dc_) {
    if (dc < -(1 << 20) || dc > 1 << 20) throw Declined("DC coefficients out of range");
  }
}

void ScanDecoder::Decode(int count, const BlockTarget* targets) { Run<true>(count, targets); }

void ScanDecoder::Skip(int64_t count) {
  constexpr int kAtOnce = 256;  // so that predictions cannot overflow before they are looked at
  for (; count > kAtOnce; count -= kAtOnce) Run<false>(kAtOnce, nullptr);
  if (count > 0) Run<false>(static_cast<int>(count), nullptr);
}

// What a damaged interval holds would not have mattered: libjpeg, too, starts afresh behind the marker.
int64_t ScanDecoder::SkipSegments(int64_t count) {
  const int64_t segments = interval_ > 0 ? count / interval_ : 0;
  if (segments == 0) return count;
  if (!reader_.SkipSegments(0, segments, &bits_)) throw Declined(kNoRestart);
  next_restart_ = static_cast<int>(segments % 8);
  return count - segments * interval_;
}

}  // namespace fastpre
