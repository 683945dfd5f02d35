#include "jpeg/bits.h"

#include <algorithm>

#include "jpeg/markers.h"

namespace fastpre {
namespace {

// The first marker at or after `p`: a pointer to its code, behind the 0xFF; null if there is none.
const uint8_t* NextMarker(const uint8_t* p, const uint8_t* end) {
  while (p < end && (p = static_cast<const uint8_t*>(std::memchr(p, 0xFF, end - p)))) {
    while (p < end && *p == 0xFF) ++p;
    if (p < end && *p != 0) return p;
  }
  return nullptr;
}

}  // namespace

void BitReader::Open(Bytes stream, size_t from, const JpegKernels& kernels) {
  kernels_ = &kernels;
  raw_ = stream.data() + from;
  end_ = stream.data() + stream.size();
  buffer_.Reserve(kMcuBytes + kCapacity + kMcuBytes + kJpegSlack);
}

void BitReader::Start(Bits* bits) {
  *bits = {0, 0, buffer_.data()};
  filled_ = buffer_.data();
  at_marker_ = false;
  Refill(bits);
}

// True if the segment ends here: at the end of the stream or at an 0xFF that is not an escape.
bool BitReader::AtMarker() const { return raw_ == end_ || (*raw_ == 0xFF && (end_ - raw_ < 2 || raw_[1] != 0)); }

bool BitReader::Refill(Bits* bits) {
  while (!at_marker_ && static_cast<size_t>(filled_ - bits->next) < kMcuBytes) {
    const size_t kept = filled_ - bits->next;
    uint8_t* const start = buffer_.data();
    std::memmove(start, bits->next, kept);
    bits->next = start;
    size_t used = 0;
    uint8_t* const end =
        start + kept + kernels_->unstuff(raw_, std::min<size_t>(kCapacity, end_ - raw_), start + kept, &used);
    raw_ += used;
    filled_ = end;
    safe_ = end - std::min<size_t>(kMcuBytes, end - start);
    at_marker_ = AtMarker();
    if (at_marker_) {
      std::memset(end, 0, kMcuBytes);
      safe_ = end;
    }
  }
  // The window may be ahead of what was consumed by up to 8 bytes.
  return !at_marker_ || (bits->next - filled_) * 8 <= static_cast<ptrdiff_t>(bits->count);
}

bool BitReader::NextSegment(int number, Bits* bits) {
  Refill(bits);
  const ptrdiff_t left = (filled_ - bits->next) * 8 + static_cast<ptrdiff_t>(bits->count);
  if (!at_marker_ || left < 0 || left >= 8) return false;
  return SkipSegments(number, 1, bits);
}

bool BitReader::SkipSegments(int number, int64_t count, Bits* bits) {
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* found = NextMarker(raw_, end_);
    if (!found || *found != marker::kRST0 + (number + i) % 8) return false;
    raw_ = found + 1;
  }
  Start(bits);
  return true;
}

int BitReader::MarkerAfter(bool restarts) const {
  const uint8_t* found = NextMarker(raw_, end_);
  while (restarts && found && marker::IsRestart(*found)) found = NextMarker(found + 1, end_);
  return found ? *found : 0;
}

}  // namespace fastpre
