// The bit reader of one scan.
//
// Reads are not checked one by one. Bytes come from a buffer of our own that holds unstuffed entropy-coded data,
// followed by kMcuBytes of zeros where a segment ends, and Reserve(), called before each MCU, makes sure that kMcuBytes
// lie ahead. No MCU can use more, whatever its bits say: every symbol moves on in its block by one place at least, so
// 10 blocks x 64 symbols x 31 bits, and 16 bytes that the window is ahead. Where data ends too early zeros are read,
// and Reserve() or NextSegment() then sees that the position is behind the segment's end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/buffer.h"
#include "core/image.h"
#include "jpeg/kernels/kernels.h"

namespace fastpre {

// The next bits, first one on top, at least 56 of them after Refill.
struct Bits {
  uint64_t window = 0;
  uint32_t count = 0;  // valid bits of the window; what stands below them comes again
  const uint8_t* next = nullptr;

  // Without a branch (Fabian Giesen, "Reading bits in far too many ways, part 2", variant 4).
  void Refill() {
    uint64_t bytes;
    std::memcpy(&bytes, next, sizeof(bytes));
    if constexpr (std::endian::native == std::endian::little) bytes = __builtin_bswap64(bytes);
    window |= bytes >> count;
    next += (63 - count) >> 3;
    count |= 56;
  }
  void Drop(uint32_t bits) {
    window <<= bits;
    count -= bits;
  }
};

class BitReader {
 public:
  static constexpr size_t kMcuBytes = 10 * 64 * 31 / 8 + 16;

  // Starts at byte `from` of `stream`, the first one of entropy-coded data.
  void Open(Bytes stream, size_t from, const JpegKernels& kernels);

  // Makes sure that an MCU can be read from `bits` on, which may move to another place of the buffer.
  // False: the segment's data has ended before.
  bool Reserve(Bits* bits) {
    if (bits->next <= safe_) [[likely]]
      return true;
    return Refill(bits);
  }

  // At the end of a restart interval: true if less than a byte is left of the segment and the
  // marker RST`number` follows; `bits` is then at the next segment's beginning.
  bool NextSegment(int number, Bits* bits);

  // Passes over the next `count` restart markers, numbered from RST`number` on, and goes to the segment
  // behind them, wherever the reader is in the one before. False: another marker is among them.
  bool SkipSegments(int number, int64_t count, Bits* bits);

  // The first marker after what was read, restart markers left out if `restarts`; 0: there
  // is none.
  int MarkerAfter(bool restarts) const;

  // At the first byte of a segment.
  void Start(Bits* bits);

 private:
  // Small enough for L1 to hold it beside the tables, and large enough that refills do not show.
  static constexpr size_t kCapacity = size_t{8} << 10;

  bool Refill(Bits* bits);
  bool AtMarker() const;

  const JpegKernels* kernels_ = nullptr;
  const uint8_t* raw_ = nullptr;
  const uint8_t* end_ = nullptr;
  Buffer buffer_;
  const uint8_t* safe_ = nullptr;    // an MCU that begins up to here can be read
  const uint8_t* filled_ = nullptr;  // end of the data in the buffer
  bool at_marker_ = false;           // the segment ends at filled_
};

}  // namespace fastpre
