#include "jpeg/frame.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/round.h"
#include "jpeg/dct.h"
#include "jpeg/decoder.h"

namespace fastpre {
namespace {

// ITU-T T.81 figure A.6.
constexpr std::array<uint8_t, 64> kNaturalOrder = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                                   12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                                   35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                                   58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

constexpr int kMaxMcuBlocks = 10;

void SetGeometry(Frame* frame) {
  const int hmax = frame->hmax, vmax = frame->vmax;
  frame->mcus_x = CeilDiv(frame->width, 8 * hmax);
  frame->mcus_y = CeilDiv(frame->height, 8 * vmax);
  for (int i = 0; i < frame->components; ++i) {
    FrameComponent& c = frame->component[i];
    if (hmax % c.h != 0 || vmax % c.v != 0) throw Declined("fractional sampling");
    c.width = CeilDiv(frame->width * c.h, hmax);
    c.height = CeilDiv(frame->height * c.v, vmax);
    c.blocks_x = CeilDiv(c.width, 8);
    c.blocks_y = CeilDiv(c.height, 8);
  }
}

// libjpeg's guess (jdapimin.c, default_decompress_parms). `adobe`: the marker's transform, -1 without one.
ColorModel GuessColor(const Frame& frame, bool jfif, int adobe) {
  const auto& c = frame.component;
  if (frame.components == 1) return ColorModel::kGray;
  if (frame.components == 4) {
    return adobe <= 0 ? ColorModel::kCmyk : ColorModel::kYcck;
  }
  if (jfif) return ColorModel::kYcc;
  if (adobe >= 0) return adobe == 0 ? ColorModel::kRgb : ColorModel::kYcc;
  return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B' ? ColorModel::kRgb : ColorModel::kYcc;
}

// Position of the 0xFF of the marker behind a scan's data.
size_t EndOfScan(Bytes stream, const Scan& scan) {
  size_t at = scan.begin;
  while (at + 1 < stream.size()) {
    const void* found = std::memchr(stream.data() + at, 0xFF, stream.size() - at - 1);
    if (!found) break;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - stream.data());
    const int next = stream[at + 1];
    const bool data = next == 0 || next == 0xFF || (next >= 0xD0 && next < 0xD8 && scan.restart_interval > 0);
    if (!data) return at;
    at += next == 0xFF ? 1 : 2;
  }
  throw Declined("the stream ends inside a scan");
}

class Parser {
 public:
  explicit Parser(Bytes stream) : stream_(stream) {}

  Frame Parse() {
    if (stream_.size() < 4 || stream_[0] != 0xFF || stream_[1] != 0xD8) throw Declined("no SOI marker");
    at_ = 2;
    int coded = 0;
    while (coded < frame_.components || frame_.components == 0) {
      const int marker = Marker();
      const Bytes s = Segment();
      if (marker == 0xDA) {
        coded += ReadScan(s);
        if (coded < frame_.components) at_ = EndOfScan(stream_, frame_.scans.back());
      } else if (marker == 0xC0 || marker == 0xC1) {
        ReadFrame(s);
      } else if (!ReadTables(marker, s)) {
        throw Declined("a marker that baseline streams do not have");
      }
    }
    frame_.color = GuessColor(frame_, jfif_, adobe_);
    return std::move(frame_);
  }

  // Returns the position behind EOI.
  size_t WalkProgressive(const Header& header) {
    if (stream_.size() < 4 || stream_[0] != 0xFF || stream_[1] != 0xD8) throw Declined("no SOI marker");
    at_ = 2;
    for (auto& bits : sent_) bits.fill(-1);
    while (true) {
      const int marker = Marker();
      if (marker == 0xD9) break;
      const Bytes s = Segment();
      if (marker == 0xDA) {
        ReadProgressiveScan(s);
      } else if (marker == 0xC2) {
        ReadFrame(s);
        if (frame_.width != header.width || frame_.height != header.height || frame_.components != header.components) {
          throw Declined("contradictory frame headers");
        }
      } else if (!ReadTables(marker, s)) {
        throw Declined("a marker that progressive streams do not have");
      }
    }
    for (int i = 0; i < frame_.components; ++i) {
      if (sent_[i][0] < 0) throw Declined("a component without a scan");
    }
    if (frame_.components == 0) throw Declined("no frame header");
    return at_;
  }

 private:
  // False for other markers.
  bool ReadTables(int marker, Bytes s) {
    if (marker == 0xC4) {
      ReadHuffman(s);
    } else if (marker == 0xDB) {
      ReadQuant(s);
    } else if (marker == 0xDD) {
      if (s.size() != 2) throw Declined("an unusual restart interval segment");
      restart_interval_ = s[0] << 8 | s[1];
    } else if (marker >= 0xE0 && marker <= 0xEF) {
      ReadApp(s, marker);
    } else {
      return marker == 0xFE;
    }
    return true;
  }

  // T.81 B.2.3 and G.1.1.1: DC of several components or AC of one; each coefficient's bits from the highest down, once.
  void ReadProgressiveScan(Bytes s) {
    const int count = s.empty() ? 0 : s[0];
    if (count < 1 || count > frame_.components || s.size() != 4 + 2u * count) throw Declined("an unusual scan header");
    const uint8_t* const rest = s.data() + 1 + 2 * count;
    const int first = rest[0], last = rest[1], high = rest[2] >> 4, low = rest[2] & 15;
    if (first > last || last > 63 || (first == 0) != (last == 0) || (first > 0 && count > 1)) {
      throw Declined("an unusual choice of coefficients");
    }
    if (low > 13 || (high != 0 && high != low + 1)) throw Declined("an unusual choice of bits");
    int blocks = 0, before = -1;
    for (int i = 0; i < count; ++i) {
      int index = 0;
      while (index < frame_.components && frame_.component[index].id != s[1 + 2 * i]) ++index;
      if (index == frame_.components || index <= before) throw Declined("components out of order");
      before = index;
      const int dc = s[2 + 2 * i] >> 4, ac = s[2 + 2 * i] & 15, quant = quant_index_[index];
      const bool tables =
          dc <= 3 && ac <= 3 &&
          (first > 0 ? ac_[ac] && ac_[ac]->Valid(false) : high > 0 || (dc_[dc] && dc_[dc]->Valid(true)));
      if (!tables || quant > 3 || !quant_[quant]) throw Declined("a scan without its tables");
      if (first > 0 && sent_[index][0] < 0) throw Declined("AC coefficients before DC ones");
      for (int k = first; k <= last; ++k) {
        int8_t& sent = sent_[index][k];
        if (sent < 0 ? high != 0 : high != sent) throw Declined("bits out of order");
        sent = static_cast<int8_t>(low);
      }
      blocks += frame_.component[index].h * frame_.component[index].v;
    }
    if (count > 1 && blocks > kMaxMcuBlocks) throw Declined("an MCU of more than 10 blocks");
    Scan scan;
    scan.begin = at_;
    scan.restart_interval = restart_interval_;
    at_ = EndOfScan(stream_, scan);
    if (at_ == scan.begin) throw Declined("a scan without data");
  }

  int Marker() {
    if (at_ + 2 > stream_.size() || stream_[at_] != 0xFF) throw Declined("no marker where one belongs");
    while (at_ < stream_.size() && stream_[at_] == 0xFF) ++at_;
    if (at_ == stream_.size()) throw Declined("the stream ends in a marker");
    return stream_[at_++];
  }

  Bytes Segment() {
    const size_t length = at_ + 2 <= stream_.size() ? stream_[at_] << 8 | stream_[at_ + 1] : 0;
    if (length < 2 || at_ + length > stream_.size()) throw Declined("a marker segment of impossible length");
    const Bytes payload = stream_.subspan(at_ + 2, length - 2);
    at_ += length;
    return payload;
  }

  void ReadFrame(Bytes s) {
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

  void ReadHuffman(Bytes s) {
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

  void ReadQuant(Bytes s) {
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

  void ReadApp(Bytes s, int marker) {
    constexpr size_t kJfifBytes = 14, kAdobeBytes = 12;
    if (marker == 0xE0 && s.size() >= kJfifBytes && std::memcmp(s.data(), "JFIF", 5) == 0) jfif_ = true;
    if (marker == 0xEE && s.size() >= kAdobeBytes && std::memcmp(s.data(), "Adobe", 5) == 0) adobe_ = s[11];
  }

  // Returns how many components it codes.
  int ReadScan(Bytes s) {
    if (frame_.components == 0) throw Declined("a scan before the frame header");
    Scan scan;
    scan.count = s.empty() ? 0 : s[0];
    if (scan.count < 1 || scan.count > 4 || s.size() != 4 + 2u * scan.count) throw Declined("an unusual scan header");
    int blocks = 0;
    for (int i = 0; i < scan.count; ++i) {
      ScanComponent& c = scan.component[i];
      c.index = Index(s[1 + 2 * i]);
      // Another order than the frame's is an error to libjpeg in most cases.
      if (i > 0 && c.index <= scan.component[i - 1].index) throw Declined("components out of order");
      const int dc = s[2 + 2 * i] >> 4, ac = s[2 + 2 * i] & 15;
      if (dc > 3 || ac > 3 || !dc_[dc] || !ac_[ac]) throw Declined("a scan without its Huffman tables");
      if (!dc_[dc]->Valid(true) || !ac_[ac]->Valid(false)) throw Declined("an impossible Huffman table");
      c.dc = static_cast<int>(frame_.dc_code.size());
      c.ac = static_cast<int>(frame_.ac_code.size());
      frame_.dc_code.push_back(*dc_[dc]);
      frame_.ac_code.push_back(*ac_[ac]);
      FrameComponent& f = frame_.component[c.index];
      const int quant = quant_index_[c.index];
      if (quant > 3 || !quant_[quant]) throw Declined("a component without its quantization table");
      f.quant = *quant_[quant];
      f.tame = std::all_of(f.quant.begin(), f.quant.begin() + 8,
                           [](int16_t q) { return q > 0 && 128 * q <= jpeg::kExactRange; });
      blocks += f.h * f.v;
    }
    if (scan.count > 1 && blocks > kMaxMcuBlocks) throw Declined("an MCU of more than 10 blocks");
    const uint8_t* rest = s.data() + 1 + 2 * scan.count;
    if (rest[0] != 0 || rest[1] != 63 || rest[2] != 0) throw Declined("a scan of a part of the coefficients");
    scan.begin = at_;
    scan.restart_interval = restart_interval_;
    frame_.scans.push_back(scan);
    return scan.count;
  }

  int Index(int id) {
    for (int i = 0; i < frame_.components; ++i) {
      if (frame_.component[i].id != id) continue;
      if (seen_[i]) throw Declined("a component that is coded twice");
      seen_[i] = true;
      return i;
    }
    throw Declined("a scan of an unknown component");
  }

  Bytes stream_;
  size_t at_ = 0;
  Frame frame_;
  std::array<int, 4> quant_index_{};
  std::array<bool, 4> seen_{};
  std::array<std::array<int8_t, 64>, 4>
      sent_{};  // progressive: the lowest bit that was sent of each coefficient, -1: none
  std::array<std::optional<HuffmanCode>, 4> dc_, ac_;
  std::array<std::optional<std::array<int16_t, 64>>, 4> quant_;
  int restart_interval_ = 0;
  bool jfif_ = false;
  int adobe_ = -1;
};

}  // namespace

Frame ParseFrame(Bytes stream) { return Parser(stream).Parse(); }

Frame ParseFrame(Bytes stream, const Header& header) {
  Frame frame = ParseFrame(stream);
  if (frame.width != header.width || frame.height != header.height || frame.components != header.components) {
    throw Declined("contradictory frame headers");
  }
  return frame;
}

Frame GeometryOf(const Header& header) {
  Frame frame;
  frame.width = header.width;
  frame.height = header.height;
  frame.components = header.components;
  for (int i = 0; i < frame.components; ++i) {
    FrameComponent& c = frame.component[i];
    c.id = header.component[i].id;
    c.h = header.component[i].h;
    c.v = header.component[i].v;
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4) throw Declined("sampling factors out of range");
    frame.hmax = std::max(frame.hmax, c.h);
    frame.vmax = std::max(frame.vmax, c.v);
  }
  SetGeometry(&frame);
  frame.color = GuessColor(frame, header.jfif, header.adobe_transform);
  return frame;
}

size_t EndOfProgressive(Bytes stream, const Header& header) {
  try {
    return header.sof == 0xC2 ? Parser(stream).WalkProgressive(header) : 0;
  } catch (const Declined&) {
    return 0;
  }
}

size_t EndOfSequential(Bytes stream, const Frame& frame) {
  try {
    const size_t marker = EndOfScan(stream, frame.scans.back());
    return stream[marker + 1] == 0xD9 ? marker + 2 : 0;
  } catch (const Declined&) {
    return 0;
  }
}

const char* OutOfScope(const Header& header) {
  static const bool forced_away = [] {
    const char* name = std::getenv("FASTPRE_DECODER");
    return name && std::strcmp(name, "libjpeg-turbo") == 0;
  }();
  if (forced_away) return "FASTPRE_DECODER";
  if (header.lossless()) return "lossless";
  if (header.arithmetic()) return "arithmetic coding";
  if (header.progressive()) return "progressive";
  if (header.sof != 0xC0 && header.sof != 0xC1) return "not a sequential Huffman stream";
  return nullptr;
}

}  // namespace fastpre
