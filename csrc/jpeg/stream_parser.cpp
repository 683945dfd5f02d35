#include "jpeg/stream_parser.h"

#include <algorithm>
#include <cstring>

#include "jpeg/declined.h"
#include "jpeg/markers.h"

namespace fastpre {
namespace {

// ITU-T T.81 figure A.6.
constexpr std::array<uint8_t, 64> kNaturalOrder = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

}  // namespace

// Position of the 0xFF of the marker behind a scan's data.
size_t EndOfScan(Bytes stream, const Scan& scan) {
  size_t at = scan.begin;
  while (at + 1 < stream.size()) {
    const void* found = std::memchr(stream.data() + at, 0xFF, stream.size() - at - 1);
    if (!found) break;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - stream.data());
    const int next = stream[at + 1];
    const bool data = next == 0 || next == 0xFF || (marker::IsRestart(next) && scan.restart_interval > 0);
    if (!data) return at;
    at += next == 0xFF ? 1 : 2;
  }
  throw Declined("the stream ends inside a scan");
}

void StreamParser::Begin() {
  if (stream_.size() < 4 || stream_[0] != 0xFF || stream_[1] != marker::kSOI) throw Declined("no SOI marker");
  at_ = 2;
}

int StreamParser::NextMarker() {
  if (at_ + 2 > stream_.size() || stream_[at_] != 0xFF) throw Declined("no marker where one belongs");
  while (at_ < stream_.size() && stream_[at_] == 0xFF) ++at_;
  if (at_ == stream_.size()) throw Declined("the stream ends in a marker");
  return stream_[at_++];
}

Bytes StreamParser::Segment() {
  const size_t length = at_ + 2 <= stream_.size() ? stream_[at_] << 8 | stream_[at_ + 1] : 0;
  if (length < 2 || at_ + length > stream_.size()) throw Declined("a marker segment of impossible length");
  const Bytes payload = stream_.subspan(at_ + 2, length - 2);
  at_ += length;
  return payload;
}

void StreamParser::ReadFrame(Bytes s) {
  if (frame_.components != 0) throw Declined("a second frame header");
  if (s.size() < 6 || s.size() != 6 + 3u * s[5]) throw Declined("an unusual frame header");
  frame_.components = s[5];
  frame_.height = s[1] << 8 | s[2];
  frame_.width = s[3] << 8 | s[4];
  const int n = frame_.components;
  if (s[0] != 8 || (n != 1 && n != 3 && n != 4)) throw Declined("not 8 bits in 1, 3 or 4 components");
  if (frame_.width == 0 || frame_.height == 0) throw Declined("its height comes later (DNL)");
  if (frame_.width > 65500 || frame_.height > 65500) throw Declined("larger than libjpeg takes");
  for (int i = 0; i < n; ++i) {
    FrameComponent& c = frame_.component[i];
    c.id = s[6 + 3 * i];
    c.h = s[7 + 3 * i] >> 4;
    c.v = s[7 + 3 * i] & 15;
    quant_index_[i] = s[8 + 3 * i];
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4) throw Declined("sampling factors out of range");
    for (int k = 0; k < i; ++k) {
      if (frame_.component[k].id == c.id) throw Declined("two components of one name");
    }
    frame_.hmax = std::max(frame_.hmax, c.h);
    frame_.vmax = std::max(frame_.vmax, c.v);
  }
  SetGeometry(&frame_);
}

bool StreamParser::ReadTables(int code, Bytes s) {
  if (code == marker::kDHT) {
    ReadHuffman(s);
  } else if (code == marker::kDQT) {
    ReadQuant(s);
  } else if (code == marker::kDRI) {
    if (s.size() != 2) throw Declined("an unusual restart interval segment");
    restart_interval_ = s[0] << 8 | s[1];
  } else if (marker::IsApp(code)) {
    ReadApp(s, code);
  } else {
    return code == marker::kCOM;
  }
  return true;
}

void StreamParser::ReadHuffman(Bytes s) {
  while (!s.empty()) {
    HuffmanCode code;
    if (s.size() < 17) throw Declined("a Huffman table that is cut short");
    std::copy_n(s.data() + 1, 16, code.counts.begin() + 1);
    const size_t count = code.size();
    const bool dc = s[0] >> 4 == 0;
    if (s[0] >> 4 > 1 || (s[0] & 15) > 3 || s.size() < 17 + count || count > 256) {
      throw Declined("an unusual Huffman table");
    }
    std::copy_n(s.data() + 17, count, code.symbols.begin());
    (dc ? dc_ : ac_)[s[0] & 15] = code;
    s = s.subspan(17 + count);
  }
}

void StreamParser::ReadQuant(Bytes s) {
  while (!s.empty()) {
    const bool wide = s[0] >> 4 == 1;
    const size_t length = 1 + (wide ? 128 : 64);
    if (s[0] >> 4 > 1 || (s[0] & 15) > 3 || s.size() < length) throw Declined("an unusual quantization table");
    std::array<int16_t, 64>& table = quant_[s[0] & 15].emplace();
    for (int k = 0; k < 64; ++k) {
      const int value = wide ? s[1 + 2 * k] << 8 | s[2 + 2 * k] : s[1 + k];
      table[kNaturalOrder[k]] = static_cast<int16_t>(value);
    }
    s = s.subspan(length);
  }
}

void StreamParser::ReadApp(Bytes s, int code) {
  constexpr size_t kJfifBytes = 14, kAdobeBytes = 12;
  if (code == marker::kAPP0 && s.size() >= kJfifBytes && std::memcmp(s.data(), "JFIF", 5) == 0) jfif_ = true;
  if (code == marker::kAPP14 && s.size() >= kAdobeBytes && std::memcmp(s.data(), "Adobe", 5) == 0) adobe_ = s[11];
}

}  // namespace fastpre
