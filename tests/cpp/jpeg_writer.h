// Writes sequential Huffman JPEG streams straight from quantized coefficients, for tests and fuzzing.
//
// Everything that a stream may vary in is a field of JpegSpec or is drawn while writing: from a seed,
// or from bytes that a fuzzer mutates.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/image.h"

namespace fastpre::test {

// Where decisions come from: an endless sequence that a seed determines, or given bytes and, when
// they are used up, zeros. Every decision's plainest outcome is the one that zero gives.
class Choices {
 public:
  explicit Choices(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 1), endless_(true) {}
  explicit Choices(Bytes bytes) : bytes_(bytes) {}

  uint32_t Below(uint32_t n) {
    if (n <= 1) return 0;
    if (endless_) return static_cast<uint32_t>((Next() >> 32) * n >> 32);
    uint32_t value = Byte();
    for (uint32_t covered = 256; covered < n; covered <<= 8) value = value << 8 | Byte();
    return value % n;
  }
  int Between(int low, int high) { return low + static_cast<int>(Below(static_cast<uint32_t>(high - low + 1))); }
  // In [-bound, bound].
  int Signed(int bound) {
    const int v = static_cast<int>(Below(2 * static_cast<uint32_t>(bound) + 1));
    return v & 1 ? -(v + 1) / 2 : v / 2;
  }
  bool OneIn(uint32_t n) { return Below(n) == n - 1; }

 private:
  uint32_t Byte() { return at_ < bytes_.size() ? bytes_[at_++] : 0; }
  uint64_t Next() {  // splitmix64
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }

  Bytes bytes_;
  size_t at_ = 0;
  uint64_t state_ = 0;
  bool endless_ = false;
};

struct JpegSpec {
  static constexpr int kRow = -1;

  struct Component {
    int id = 1, h = 1, v = 1, quant = 0, dc = 0, ac = 0;  // the last three: table slots
  };
  struct Scan {
    std::vector<int> components;  // indices; ascending in legal streams
    int restart = 0;              // MCUs between restart markers; 0: none, kRow: one row of this scan's MCUs
    bool new_quant = false;       // other quantization tables, in the same slots, before this scan
  };
  enum class Codes {
    kGeneral,  // one code for every legal symbol, common ones short, as in ITU-T T.81's annex K
    kFitted,   // Huffman's, of the symbols of one scan
    kLong,     // a few short codes, all others of 13 to 16 bits
  };
  // What a coefficient times its quantizer may be.
  enum class Range {
    kPlausible,  // no sample is further outside 0..255 than a photograph's: any inverse DCT agrees
    kExtreme,    // up to +-8191 each: sums saturate, as libjpeg-turbo's SIMD code saturates
    kWild,       // whatever fits the syntax; products wrap
  };

  int width = 1, height = 1;
  bool extended = false;  // SOF1
  std::vector<Component> components;
  std::vector<Scan> scans;
  std::array<std::array<uint16_t, 64>, 4> quant{};  // zigzag order; above 255 is written as 16 bits
  Codes codes = Codes::kGeneral;
  Range range = Range::kPlausible;
  int density = 63;  // the last zigzag position that may be nonzero
  bool jfif = false;
  int adobe = -1;         // the transform of an Adobe marker; -1: no marker
  uint32_t layout = 0;    // seed of fill bytes, order, splitting and padding of segments; 0: the plainest
  bool appended = false;  // bytes after EOI
};

struct JpegStream {
  struct Span {
    size_t begin, end;
  };
  std::vector<uint8_t> bytes;
  std::vector<Span> scans;  // entropy-coded bytes, restart markers included
};

// Coefficients are drawn from `choose`.
JpegStream WriteJpeg(const JpegSpec& spec, Choices& choose);

// Components with these sampling factors and the usual ids, in one scan if the standard allows it
// (10 blocks in an MCU), otherwise one scan each.
inline JpegSpec MakeSpec(int width, int height, const std::vector<std::array<int, 2>>& sampling) {
  JpegSpec spec;
  spec.width = width, spec.height = height;
  int blocks = 0;
  std::vector<int> all;
  for (const auto& [h, v] : sampling) {
    const int i = static_cast<int>(spec.components.size());
    spec.components.push_back({i + 1, h, v, i > 0, i > 0, i > 0});
    all.push_back(i);
    blocks += h * v;
  }
  for (int k = 0; k < 64; ++k) {
    spec.quant[0][k] = static_cast<uint16_t>(2 + k / 2);
    spec.quant[1][k] = static_cast<uint16_t>(3 + k);
  }
  if (blocks <= 10) {
    spec.scans = {{all, 0, false}};
  } else {
    for (int i : all) spec.scans.push_back({{i}, 0, false});
  }
  return spec;
}

// libjpeg-turbo decodes it, and a decoder of 8-bit sequential streams has no reason to refuse it.
inline bool InScope(const JpegSpec& spec) {
  int max_h = 1, max_v = 1;
  for (const auto& c : spec.components) max_h = std::max(max_h, c.h), max_v = std::max(max_v, c.v);
  const bool whole_factors = std::all_of(spec.components.begin(), spec.components.end(),
                                         [&](auto& c) { return max_h % c.h == 0 && max_v % c.v == 0; });
  const bool ordered = std::all_of(spec.scans.begin(), spec.scans.end(), [](auto& scan) {
    return std::is_sorted(scan.components.begin(), scan.components.end());
  });
#if defined(__x86_64__)
  const bool exact = spec.range != JpegSpec::Range::kWild;
#else
  const bool exact = spec.range == JpegSpec::Range::kPlausible;  // JpegKernels::idct
#endif
  return whole_factors && ordered && exact;
}

inline std::string Describe(const JpegSpec& spec) {
  std::string s = std::to_string(spec.width) + "x" + std::to_string(spec.height) + (spec.extended ? " SOF1" : " SOF0");
  for (const auto& c : spec.components) s += " " + std::to_string(c.h) + "x" + std::to_string(c.v);
  for (const auto& scan : spec.scans) {
    s += " scan(";
    for (int i : scan.components) s += std::to_string(i);
    s += " restart " + std::to_string(scan.restart) + (scan.new_quant ? " new_quant)" : ")");
  }
  return s + " codes " + std::to_string(static_cast<int>(spec.codes)) + " range " +
         std::to_string(static_cast<int>(spec.range)) + " density " + std::to_string(spec.density) + " adobe " +
         std::to_string(spec.adobe) + " layout " + std::to_string(spec.layout);
}

inline void DrawQuant(Choices& choose, bool extended, std::array<uint16_t, 64>* quant) {
  const uint32_t kind = choose.Below(extended ? 5 : 4);
  const int flat = kind == 1 ? choose.Between(1, 255) : 1;
  for (int k = 0; k < 64; ++k) {
    (*quant)[k] = static_cast<uint16_t>(kind == 0   ? 2 + k
                                        : kind <= 2 ? flat
                                        : kind == 3 ? choose.Between(1, 255)
                                                    : 1 + choose.Below(choose.OneIn(4) ? 65535 : 300));
  }
}

inline void DrawSampling(Choices& choose, JpegSpec* spec) {
  static constexpr std::array<std::array<int, 3>, 5> kDivisors{{{}, {1, 1, 1}, {1, 2, 1}, {1, 3, 1}, {1, 2, 4}}};
  const uint32_t count = static_cast<uint32_t>(spec->components.size());
  const bool usual = !choose.OneIn(3);  // the first component has the most samples
  const uint32_t widest = usual ? 0 : choose.Below(count), tallest = usual ? 0 : choose.Below(count);
  const int max_h = choose.Between(1, usual ? 2 : 4), max_v = choose.Between(1, usual ? 2 : 4);
  for (uint32_t i = 0; i < count; ++i) {
    spec->components[i].h = i == widest ? max_h : kDivisors[max_h][choose.Below(3)];
    spec->components[i].v = i == tallest ? max_v : kDivisors[max_v][choose.Below(3)];
  }
  if (choose.OneIn(40)) spec->components[choose.Below(count)].h = choose.Between(1, 4);
}

// One scan, or any partition into scans in any order, none of more than 10 blocks an MCU.
inline void DrawScans(Choices& choose, JpegSpec* spec) {
  static constexpr int kRestarts[] = {0, 0, 1, 2, 3, 7, JpegSpec::kRow, JpegSpec::kRow};
  const int count = static_cast<int>(spec->components.size());
  const uint32_t groups = choose.OneIn(3) ? 1 + choose.Below(static_cast<uint32_t>(count)) : 1;
  std::vector<JpegSpec::Scan> scans(groups), legal;
  for (int i = 0; i < count; ++i) scans[choose.Below(groups)].components.push_back(i);
  for (JpegSpec::Scan& scan : scans) {
    int blocks = 0;
    for (int i : scan.components) blocks += spec->components[i].h * spec->components[i].v;
    if (blocks <= 10 && !scan.components.empty()) legal.push_back(scan);
    if (blocks > 10) {
      for (int i : scan.components) legal.push_back({{i}, 0, false});
    }
  }
  const int restart = kRestarts[choose.Below(8)];
  for (JpegSpec::Scan& scan : legal) {
    std::swap(scan, legal[choose.Below(static_cast<uint32_t>(legal.size()))]);
    scan.restart = choose.OneIn(6) ? choose.Between(0, 40) : restart;
    scan.new_quant = choose.OneIn(8);
    if (choose.OneIn(20)) std::swap(scan.components.front(), scan.components.back());
  }
  spec->scans = std::move(legal);
}

// Anything that the fields can say, mostly legal. At most `max_side` pixels wide and high.
inline JpegSpec DrawSpec(Choices& choose, int max_side) {
  static constexpr int kCounts[] = {3, 3, 3, 1, 4, 3, 1, 4};
  static constexpr std::array<std::array<uint8_t, 4>, 4> kIds{
      {{1, 2, 3, 4}, {0, 1, 2, 3}, {'R', 'G', 'B', 'A'}, {255, 7, 1, 34}}};
  JpegSpec spec;
  const int side = choose.OneIn(8) ? max_side : std::min(max_side, 48);
  spec.width = choose.Between(1, side), spec.height = choose.Between(1, side);
  spec.components.resize(kCounts[choose.Below(8)]);
  DrawSampling(choose, &spec);
  spec.extended = choose.OneIn(3);
  const auto& ids = kIds[choose.Below(4)];
  const uint32_t slots = spec.extended ? 4 : 2;
  for (size_t i = 0; i < spec.components.size(); ++i) {
    JpegSpec::Component& c = spec.components[i];
    c.id = ids[i];
    c.quant = static_cast<int>(choose.Below(4));
    c.dc = static_cast<int>(choose.Below(slots)), c.ac = static_cast<int>(choose.Below(slots));
  }
  DrawScans(choose, &spec);
  for (auto& quant : spec.quant) DrawQuant(choose, spec.extended, &quant);
  spec.codes = static_cast<JpegSpec::Codes>(choose.Below(3));
  spec.range = static_cast<JpegSpec::Range>(choose.Below(8) % 5 % 3);  // 4, 3 and 1 of 8
  spec.density = choose.OneIn(3) ? static_cast<int>(choose.Below(64)) : 63;
  spec.jfif = choose.OneIn(3);
  spec.adobe = choose.Between(0, 5) % 4 - 1;
  spec.layout = choose.Below(65536);
  spec.appended = choose.OneIn(6);
  return spec;
}

// Breaks the stream in one to three places, mostly inside scans; returns what was done.
inline std::string Damage(JpegStream* stream, Choices& choose) {
  std::vector<uint8_t>& b = stream->bytes;
  const JpegStream::Span& scan = stream->scans[choose.Below(static_cast<uint32_t>(stream->scans.size()))];
  std::string done;
  for (int k = choose.Between(1, 3); k > 0 && b.size() > 4; --k) {
    const uint32_t op = choose.Below(11);
    size_t at = scan.begin + choose.Below(static_cast<uint32_t>(scan.end - scan.begin));
    if (op == 8) at = scan.end;
    if (op == 9) at = choose.Below(static_cast<uint32_t>(scan.begin));
    at = std::min(at, b.size() - 1);
    if (op == 5 || op == 6 || op == 10) {  // at the next restart marker or escape, if there is one
      const auto wanted = [&](size_t i) {
        return b[i] == 0xFF && (op == 10 ? b[i + 1] == 0 : b[i + 1] >= 0xD0 && b[i + 1] <= 0xD7);
      };
      size_t i = at;
      while (i + 1 < b.size() && !wanted(i)) ++i;
      if (i + 1 < b.size()) at = i + 1;
    }
    const auto here = b.begin() + static_cast<ptrdiff_t>(at);
    const auto left = b.end() - here;
    static constexpr uint8_t kMarkers[] = {0xD0, 0xD1, 0xD7, 0xD8, 0xD9, 0xDA, 0xC4, 0xDC, 0xFE, 0x01, 0x00, 0xFF};
    switch (op) {
      case 0:
      case 9: *here ^= static_cast<uint8_t>(1 << choose.Below(8)); break;
      case 1: b.erase(here, here + std::min<ptrdiff_t>(left, choose.Between(1, 8))); break;
      case 2:
      case 8: b.insert(here, static_cast<size_t>(choose.Between(1, 4)), static_cast<uint8_t>(choose.Below(256))); break;
      case 3: b.insert(here, {0xFF, kMarkers[choose.Below(12)]}); break;
      case 4: b.erase(here, choose.OneIn(2) && left > 2 ? b.end() - 2 : b.end()); break;
      case 5: *here = static_cast<uint8_t>(0xD0 + choose.Below(8)); break;
      case 6: b.erase(here - 1, here + 1); break;
      case 7: *here = static_cast<uint8_t>(choose.Below(256)); break;
      case 10: b.insert(here, 0xFF); break;  // 0xFF 0xFF 0x00: the library's fast and slow paths disagree on it
    }
    done += " op " + std::to_string(op) + " at " + std::to_string(at);
  }
  return done;
}

}  // namespace fastpre::test
