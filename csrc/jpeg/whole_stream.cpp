#include "jpeg/whole_stream.h"

#include <array>

#include "jpeg/declined.h"
#include "jpeg/markers.h"
#include "jpeg/stream_parser.h"

namespace fastpre {
namespace {

class ProgressiveParser : private StreamParser {
 public:
  explicit ProgressiveParser(Bytes stream) : StreamParser(stream) {}

  // Returns the position behind EOI. Throws Declined.
  size_t Parse(const Header& header) {
    Begin();
    for (auto& bits : sent_) bits.fill(-1);
    while (true) {
      const int code = NextMarker();
      if (code == marker::kEOI) break;
      const Bytes s = Segment();
      if (code == marker::kSOS) {
        ReadScan(s);
      } else if (code == marker::kSOF2) {
        ReadFrame(s);
        if (frame_.width != header.width || frame_.height != header.height || frame_.components != header.components) {
          throw Declined("contradictory frame headers");
        }
      } else if (!ReadTables(code, s)) {
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
  // T.81 B.2.3 and G.1.1.1: DC of several components or AC of one; each coefficient's bits from the highest down, once.
  void ReadScan(Bytes s) {
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

  // The lowest bit that was sent of each coefficient; -1: none.
  std::array<std::array<int8_t, 64>, 4> sent_{};
};

}  // namespace

size_t ValidateProgressive(Bytes stream, const Header& header) {
  try {
    return header.sof == marker::kSOF2 ? ProgressiveParser(stream).Parse(header) : 0;
  } catch (const Declined&) {
    return 0;
  }
}

size_t ValidateSequential(Bytes stream, const Frame& frame) {
  try {
    const size_t at = EndOfScan(stream, frame.scans.back());
    return stream[at + 1] == marker::kEOI ? at + 2 : 0;
  } catch (const Declined&) {
    return 0;
  }
}

}  // namespace fastpre
