// ITU-T T.81 annex B and G.1, as far as it takes to know where every byte of a progressive stream belongs.
#include <array>
#include <cstring>

#include "jpeg/frame.h"

namespace fastpre {
namespace {

class Walk {
 public:
  Walk(Bytes stream, const Header& header) : stream_(stream), header_(header) {}

  bool Run() {
    if (stream_.size() < 4 || stream_[0] != 0xFF || stream_[1] != 0xD8) return false;
    at_ = 2;
    while (at_ + 2 <= stream_.size() && stream_[at_] == 0xFF) {
      const int marker = stream_[at_ + 1];
      at_ += 2;
      if (marker == 0xFF) {  // fill
        --at_;
        continue;
      }
      if (marker == 0xD9) return scans_ > 0;
      if (!Segment(marker)) return false;
    }
    return false;
  }

 private:
  bool Segment(int marker) {
    if (at_ + 2 > stream_.size()) return false;
    const size_t length = static_cast<size_t>(stream_[at_] << 8 | stream_[at_ + 1]);
    if (length < 2 || length > stream_.size() - at_) return false;
    const Bytes s = stream_.subspan(at_ + 2, length - 2);
    at_ += length;
    switch (marker) {
      case 0xC2: return Frame(s);
      case 0xC4: return huffman_ = true;
      case 0xDB: return quant_ = true;
      case 0xDD: return restarts_ = s.size() == 2;
      case 0xDA: return Scan(s) && Data();
      default: return (marker >= 0xE0 && marker <= 0xEF) || marker == 0xFE;
    }
  }

  bool Frame(Bytes s) {
    const bool first = !frame_;
    frame_ = true;
    if (!first || s.size() < 6 || s.size() != 6 + 3u * s[5] || s[0] != 8 || s[5] != header_.components) return false;
    for (int i = 0; i < header_.components; ++i) id_[i] = s[6 + 3 * i];
    return (s[1] << 8 | s[2]) == header_.height && (s[3] << 8 | s[4]) == header_.width;
  }

  bool Scan(Bytes s) {
    ++scans_;
    const size_t count = s.empty() ? 0 : s[0];
    if (!frame_ || !huffman_ || !quant_ || count < 1 || count > 4 || s.size() != 4 + 2 * count) return false;
    for (size_t i = 0; i < count; ++i) {
      const void* known = std::memchr(id_.data(), s[1 + 2 * i], static_cast<size_t>(header_.components));
      if (!known || s[2 + 2 * i] >> 4 > 3 || (s[2 + 2 * i] & 15) > 3) return false;
    }
    const uint8_t* const rest = s.data() + 1 + 2 * count;
    const int first = rest[0], last = rest[1], high = rest[2] >> 4, low = rest[2] & 15;
    // DC alone, or AC of one component; a refinement is by one bit.
    const bool spectrum = first == 0 ? last == 0 : first <= last && last <= 63 && count == 1;
    return spectrum && low <= 13 && (high == 0 || high == low + 1);
  }

  // Up to the next marker that is no restart.
  bool Data() {
    while (at_ + 1 < stream_.size()) {
      const void* found = std::memchr(stream_.data() + at_, 0xFF, stream_.size() - at_ - 1);
      if (!found) return false;
      at_ = static_cast<size_t>(static_cast<const uint8_t*>(found) - stream_.data());
      const int next = stream_[at_ + 1];
      if (next != 0 && next != 0xFF && !(restarts_ && next >= 0xD0 && next <= 0xD7)) return true;
      at_ += next == 0xFF ? 1 : 2;
    }
    return false;
  }

  Bytes stream_;
  const Header& header_;
  size_t at_ = 0;
  bool frame_ = false, huffman_ = false, quant_ = false, restarts_ = false;
  int scans_ = 0;
  std::array<uint8_t, 4> id_{};
};

}  // namespace

bool IsStrictProgressive(Bytes stream, const Header& header) {
  return header.sof == 0xC2 && header.components <= 4 && Walk(stream, header).Run();
}

}  // namespace fastpre
