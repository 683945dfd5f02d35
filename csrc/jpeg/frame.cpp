#include "jpeg/frame.h"

#include <algorithm>

#include "core/round.h"
#include "jpeg/declined.h"
#include "jpeg/kernels/dct.h"
#include "jpeg/markers.h"
#include "jpeg/stream_parser.h"

namespace fastpre {
namespace {

// What libjpeg assumes (jdapimin.c, default_decompress_parms). `adobe`: the marker's transform, -1 without one.
ColorModel DefaultColor(const Frame& frame, bool jfif, int adobe) {
  const auto& c = frame.component;
  if (frame.components == 1) return ColorModel::kGray;
  if (frame.components == 4) {
    return adobe <= 0 ? ColorModel::kCmyk : ColorModel::kYcck;
  }
  if (jfif) return ColorModel::kYcc;
  if (adobe >= 0) return adobe == 0 ? ColorModel::kRgb : ColorModel::kYcc;
  return c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B' ? ColorModel::kRgb : ColorModel::kYcc;
}

class SequentialParser : private StreamParser {
 public:
  explicit SequentialParser(Bytes stream) : StreamParser(stream) {}

  Frame Parse() {
    Begin();
    int coded = 0;
    while (coded < frame_.components || frame_.components == 0) {
      const int code = NextMarker();
      const Bytes s = Segment();
      if (code == marker::kSOS) {
        coded += ReadScan(s);
        if (coded < frame_.components) at_ = EndOfScan(stream_, frame_.scans.back());
      } else if (code == marker::kSOF0 || code == marker::kSOF1) {
        ReadFrame(s);
      } else if (!ReadTables(code, s)) {
        throw Declined("a marker that baseline streams do not have");
      }
    }
    frame_.color = DefaultColor(frame_, jfif_, adobe_);
    return std::move(frame_);
  }

 private:
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
      f.in_exact_range = std::all_of(f.quant.begin(), f.quant.begin() + 8,
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

  std::array<bool, 4> seen_{};
};

}  // namespace

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

Frame ParseFrame(Bytes stream) { return SequentialParser(stream).Parse(); }

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
    c.id = header.component_id[i];
    c.h = header.sampling[i].h;
    c.v = header.sampling[i].v;
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4) throw Declined("sampling factors out of range");
    frame.hmax = std::max(frame.hmax, c.h);
    frame.vmax = std::max(frame.vmax, c.v);
  }
  SetGeometry(&frame);
  frame.color = DefaultColor(frame, header.jfif, header.adobe_transform);
  return frame;
}

}  // namespace fastpre
