#include "jpeg/header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "core/call_context.h"
#include "core/error.h"
#include "core/round.h"
#include "jpeg/exif.h"
#include "jpeg/sniff.h"

namespace fastpre {
namespace {

// Reads like a Python file object over the bytes: short reads at the end, never past it.
class Cursor {
 public:
  explicit Cursor(Bytes b) : b_(b) {}
  size_t position() const { return at_; }
  bool Byte(uint8_t* out) {
    if (at_ >= b_.size()) return false;
    *out = b_[at_++];
    return true;
  }
  // A marker segment's payload. A length below 2 gives an empty payload, as in Pillow.
  Bytes Segment() {
    if (b_.size() - at_ < 2) ThrowCorrupt("truncated: the stream ends in a marker's length");
    const int length = (b_[at_] << 8 | b_[at_ + 1]) - 2;
    at_ += 2;
    if (length <= 0) return {};
    if (b_.size() - at_ < static_cast<size_t>(length)) {
      ThrowCorrupt("truncated: the stream ends inside a marker segment of " + std::to_string(length) + " bytes");
    }
    Bytes payload = b_.subspan(at_, length);
    at_ += length;
    return payload;
  }

 private:
  Bytes b_;
  size_t at_ = 0;
};

std::string_view AsText(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

void ReadFrame(Bytes s, int code, Header* h) {
  if (s.size() < 6) ThrowCorrupt("frame header (SOF) too short");
  const int bits = s[0];
  if (bits != 8) ThrowUnsupported(std::to_string(bits) + "-bit samples (only 8-bit JPEG)");
  h->components = s[5];
  if (h->components != 1 && h->components != 3 && h->components != 4) {
    ThrowUnsupported(std::to_string(h->components) + " components (only 1, 3 or 4)");
  }
  h->sof = code;
  h->height = s[1] << 8 | s[2];
  h->width = s[3] << 8 | s[4];
  // Pillow walks the whole segment three bytes at a time and fails on a ragged end.
  if ((s.size() - 6) % 3 != 0) ThrowCorrupt("frame header (SOF) has a ragged component list");
  for (int i = 0; i < h->components && 6 + 3 * i + 2 < static_cast<int>(s.size()); ++i) {
    const uint8_t* c = s.data() + 6 + 3 * i;
    h->component_id[i] = c[0];
    h->sampling[i] = {c[1] >> 4, c[1] & 15};
  }
}

void CheckQuantTables(Bytes s) {
  while (!s.empty()) {
    const size_t length = 1 + (s[0] >> 4 == 0 ? 64 : 128);
    if (s.size() < length) ThrowCorrupt("bad quantization table marker");
    s = s.subspan(length);
  }
}

// Pillow treats DHP as a frame, too.
bool IsFrame(int code) { return marker::IsFrame(code) || code == marker::kDHP; }

// Markers that Pillow steps over without reading a segment.
bool IsBare(int code) {
  return code == marker::kJPG || (code >= marker::kRST0 && code <= marker::kEOI) ||
         (code >= marker::kJPG0 && code <= marker::kJPG13);
}

// Start-of-scan markers of the whole stream, the first one included, up to EOI: what is appended
// after it (a gain map, a video) is not looked at. Segments between scans are stepped over.
int CountScans(Bytes b, size_t from) {
  int scans = 1;
  size_t at = from, found_markers = 0;
  while (at + 1 < b.size()) {
    const void* found = std::memchr(b.data() + at, 0xFF, b.size() - at - 1);
    if (!found) break;
    at = static_cast<size_t>(static_cast<const uint8_t*>(found) - b.data());
    const int code = b[at + 1];
    if (code == marker::kEOI) break;
    if (++found_markers % 65536 == 0) CheckCancelled();
    // Reserved markers (02 to BF) have no length that libjpeg would step over.
    const bool in_scan = code < marker::kSOF0 || marker::IsRestart(code) || code == marker::kSOI;
    if (code == 0xFF) {
      at += 1;
    } else if (in_scan) {
      at += 2;
    } else {
      if (at + 3 >= b.size()) break;
      scans += code == marker::kSOS;
      at += 2 + static_cast<size_t>(b[at + 2] << 8 | b[at + 3]);
    }
  }
  return scans;
}

struct Metadata {
  std::string exif, xmp;
  // The first in byte order of the ICC segments before the frame header: the one whose 14th byte
  // Pillow asks for the number of segments, and fails if it has none.
  std::optional<std::string_view> icc;
};

// Pillow walks Photoshop's resource blocks and gives the image up where a block's name would begin
// just past the end; elsewhere a short block only ends the walk.
void CheckPhotoshop(Bytes s) {
  size_t at = 14;
  while (at + 4 <= s.size() && std::memcmp(s.data() + at, "8BIM", 4) == 0) {
    at += 4;
    if (at + 2 > s.size()) return;
    const int code = s[at] << 8 | s[at + 1];
    at += 2;
    if (at >= s.size()) ThrowCorrupt("Photoshop marker ends inside a resource block");
    at += 1 + s[at];
    at += at & 1;
    if (at + 4 > s.size()) return;
    const size_t size = static_cast<size_t>(s[at]) << 24 | s[at + 1] << 16 | s[at + 2] << 8 | s[at + 3];
    at += 4;
    constexpr int kResolutionInfo = 0x03ED;  // 14 bytes; a shorter one ends Pillow's walk
    if (code == kResolutionInfo && std::min(size, s.size() - at) < 14) return;
    at += size;
    at += at & 1;
  }
}

void ReadApp(Bytes s, int code, bool want_orientation, Header* h, Metadata* meta) {
  const std::string_view text = AsText(s);
  constexpr std::string_view kExif("Exif\0\0", 6);
  constexpr std::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
  if (code == marker::kAPP0 && text.starts_with("JFIF")) {
    if (s.size() < 7) ThrowCorrupt("JFIF marker too short");
    h->jfif = true;
  } else if (code == marker::kAPP1 && want_orientation && text.starts_with(kExif)) {
    meta->exif += meta->exif.empty() ? text : text.substr(6);
  } else if (code == marker::kAPP1 && want_orientation && text.starts_with(kXmp)) {
    meta->xmp = text.substr(kXmp.size());
  } else if (code == marker::kAPP2 && text.starts_with(std::string_view("ICC_PROFILE\0", 12))) {
    if (!meta->icc || text < *meta->icc) meta->icc = text;
  } else if (code == marker::kAPP13 && text.starts_with(std::string_view("Photoshop 3.0\0", 14))) {
    CheckPhotoshop(s);
  } else if (code == marker::kAPP14 && text.starts_with("Adobe")) {
    if (s.size() < 7) ThrowCorrupt("Adobe marker too short");
    if (s.size() > 11) h->adobe_transform = s[11];
  }
}

void CheckFrame(const Header& h, const Limits& limits) {
  if (h.components == 0) ThrowCorrupt("no frame header (SOF) before the first scan");
  if (h.width == 0 || h.height == 0) {
    ThrowCorrupt("image of " + std::to_string(h.width) + "x" + std::to_string(h.height) + " pixels");
  }
  if (h.pixels() > limits.max_pixels) {
    ThrowLimit(std::to_string(h.width) + "x" + std::to_string(h.height) +
               " pixels is over max_pixels=" + std::to_string(limits.max_pixels));
  }
}

}  // namespace

double DecodeWork(const Header& header) {
  constexpr double kOfEachScan = 4096;  // its tables; measured as 2 to 5 us
  int h = 1, v = 1;
  for (int i = 0; i < header.components && header.components > 1; ++i) {
    h = std::max(h, header.sampling[i].h);
    v = std::max(v, header.sampling[i].v);
  }
  const double width = RoundUp(static_cast<size_t>(header.width), 8 * h);
  const double height = RoundUp(static_cast<size_t>(header.height), 8 * v);
  constexpr int kArithmetic = 8;  // up to 26 ns a pixel, whatever the file's size: zeros follow its data
  return header.scans * (width * height * (header.arithmetic() ? kArithmetic : 1) + kOfEachScan);
}

Header ParseHeader(Bytes b, const Limits& limits, bool want_orientation, bool count_scans) {
  if (b.empty()) ThrowCorrupt("empty input");
  if (static_cast<int64_t>(b.size()) > limits.max_bytes) {
    ThrowLimit(std::to_string(b.size()) + " bytes is over max_bytes=" + std::to_string(limits.max_bytes));
  }
  if (b.size() < 3 || b[0] != 0xFF || b[1] != marker::kSOI || b[2] != 0xFF) {
    ThrowNotJpeg(b);
  }
  Header h;
  h.bytes = b.size();
  Metadata meta;
  // Pillow restarts its walk at the third byte, the 0xFF that begins the first marker.
  Cursor cursor(b.subspan(2));
  uint8_t byte = 0;
  if (!cursor.Byte(&byte)) ThrowCorrupt("truncated");
  while (true) {
    if (byte != 0xFF) {  // junk between segments
      if (!cursor.Byte(&byte)) ThrowCorrupt("no scan before the end of the stream");
      continue;
    }
    uint8_t code = 0;
    if (!cursor.Byte(&code)) ThrowCorrupt("no scan before the end of the stream");
    if (code == 0xFF) continue;  // fill byte: `byte` is 0xFF still
    if (code == 0x00) {          // escaped 0xFF outside a scan
      if (!cursor.Byte(&byte)) ThrowCorrupt("no scan before the end of the stream");
      continue;
    }
    if (code == marker::kSOS) {
      const Bytes s = cursor.Segment();
      h.first_scan_components = s.empty() ? 0 : s[0];
      h.scan_offset = 2 + cursor.position();
      break;
    }
    if (IsFrame(code)) {
      ReadFrame(cursor.Segment(), code, &h);
      if (meta.icc && meta.icc->size() < 14) ThrowCorrupt("ICC profile segment too short");
      meta.icc.reset();
    } else if (IsBare(code)) {
      // no segment
    } else if (code == marker::kDQT) {
      CheckQuantTables(cursor.Segment());
    } else if (code == marker::kDRI) {
      const Bytes s = cursor.Segment();
      if (s.size() >= 2) h.restart_interval = s[0] << 8 | s[1];
    } else if (marker::IsApp(code)) {
      ReadApp(cursor.Segment(), code, want_orientation, &h, &meta);
    } else if (code == marker::kDHT || code == marker::kDAC || code == marker::kDNL || code == marker::kEXP ||
               code == marker::kCOM) {
      cursor.Segment();
    } else {
      ThrowCorrupt("no marker found (0xFF" + std::string(1, "0123456789ABCDEF"[code >> 4]) +
                   std::string(1, "0123456789ABCDEF"[code & 15]) + ")");
    }
    if (!cursor.Byte(&byte)) ThrowCorrupt("no scan before the end of the stream");
  }
  CheckFrame(h, limits);
  if (count_scans && (h.progressive() || h.first_scan_components < h.components)) {
    h.scans = CountScans(b, h.scan_offset);
  }
  const double work_of_a_scan = DecodeWork(h) / h.scans;
  h.most_scans = static_cast<int>(std::min(static_cast<double>(limits.max_work) / work_of_a_scan, 1e9));
  if (h.scans > h.most_scans) {
    ThrowLimit(std::to_string(h.scans) + (h.scans == 1 ? " scan of " : " scans of ") + std::to_string(h.width) + "x" +
               std::to_string(h.height) + " pixels are work of " + std::to_string(static_cast<int64_t>(DecodeWork(h))) +
               ", over max_work=" + std::to_string(limits.max_work));
  }
  if (want_orientation) h.orientation = ParseOrientation(meta.exif, meta.xmp);
  return h;
}

}  // namespace fastpre
