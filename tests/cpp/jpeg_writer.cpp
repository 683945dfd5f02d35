#include "jpeg_writer.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <initializer_list>
#include <utility>

namespace fastpre::test {
namespace {

using Lengths = std::array<uint8_t, 256>;       // of codes, by symbol; 0: no code
using Frequencies = std::array<uint32_t, 256>;  // by symbol

constexpr int kEndOfBlock = 0x00, kSixteenZeros = 0xF0;
constexpr int kMaxCodeBits = 16;

template <class T>
void Shuffle(std::vector<T>* items, Choices& choose) {
  for (size_t i = items->size(); i > 1; --i)
    std::swap((*items)[i - 1], (*items)[choose.Below(static_cast<uint32_t>(i))]);
}

struct Code {
  Lengths lengths{};
  std::array<uint16_t, 256> bits{};
  std::vector<uint8_t> segment = std::vector<uint8_t>(kMaxCodeBits);  // codes of each length, then symbols
};

Code Canonical(const Lengths& lengths) {
  Code code;
  code.lengths = lengths;
  uint32_t next = 0;
  for (int length = 1; length <= kMaxCodeBits; ++length, next <<= 1) {
    for (int s = 0; s < 256; ++s) {
      if (lengths[s] != length) continue;
      code.bits[s] = static_cast<uint16_t>(next++);
      ++code.segment[length - 1];
      code.segment.push_back(static_cast<uint8_t>(s));
    }
  }
  return code;
}

// Huffman's code, cut to 16 bits (ITU-T T.81, K.2). A 257th symbol, the rarest, keeps one code free:
// none may be all ones.
Lengths Fitted(const Frequencies& frequency) {
  struct Node {
    uint64_t weight;
    std::vector<int> leaves;
  };
  std::vector<Node> nodes{{1, {256}}};
  for (int s = 0; s < 256; ++s) {
    if (frequency[s]) nodes.push_back({uint64_t{frequency[s]} << 8, {s}});
  }
  auto lightest = [&] {
    return std::min_element(nodes.begin(), nodes.end(),
                            [](const Node& a, const Node& b) { return a.weight < b.weight; });
  };
  std::array<int, 257> depth{};
  while (nodes.size() > 1) {
    std::swap(*lightest(), nodes.back());
    const Node last = std::move(nodes.back());
    nodes.pop_back();
    Node& next = *lightest();
    next.weight += last.weight;
    next.leaves.insert(next.leaves.end(), last.leaves.begin(), last.leaves.end());
    for (int leaf : next.leaves) ++depth[leaf];
  }
  std::array<int, 258> counts{};
  for (int d : depth) ++counts[d];
  for (int i = 257; i > kMaxCodeBits; --i) {
    while (counts[i] > 0) {
      int j = i - 2;
      while (counts[j] == 0) --j;
      counts[i] -= 2, ++counts[i - 1], counts[j + 1] += 2, --counts[j];
    }
  }
  int longest = kMaxCodeBits;
  while (counts[longest] == 0) --longest;
  --counts[longest];

  std::vector<int> order;
  for (int s = 0; s < 256; ++s) {
    if (depth[s]) order.push_back(s);
  }
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return depth[a] < depth[b]; });
  Lengths lengths{};
  size_t at = 0;
  for (int length = 1; length <= kMaxCodeBits; ++length) {
    for (int k = 0; k < counts[length]; ++k) lengths[order[at++]] = static_cast<uint8_t>(length);
  }
  return lengths;
}

Lengths Long(const Frequencies& frequency, Choices& choose) {
  std::vector<int> symbols;
  for (int s = 0; s < 256; ++s) {
    if (frequency[s]) symbols.push_back(s);
  }
  Shuffle(&symbols, choose);
  Lengths lengths{};
  const size_t quick = choose.Below(7);
  uint32_t room = (uint32_t{1} << kMaxCodeBits) - 1;  // in codes of 16 bits; one is not to be used
  for (size_t i = 0; i < symbols.size(); ++i) {
    uint32_t length = i < quick ? static_cast<uint32_t>(i) + 1 : 13 + choose.Below(4);
    const uint32_t later = static_cast<uint32_t>(symbols.size() - i - 1);
    if ((uint32_t{1} << (kMaxCodeBits - length)) + later > room) length = kMaxCodeBits;
    room -= uint32_t{1} << (kMaxCodeBits - length);
    lengths[symbols[i]] = static_cast<uint8_t>(length);
  }
  return lengths;
}

// Of every legal symbol; the common ones have short codes.
Lengths General(bool ac) {
  Frequencies frequency{};
  for (int size = 0; size <= (ac ? 10 : 11); ++size) {
    for (int run = 0; run < (ac ? 16 : 1); ++run) {
      if (ac && size == 0 && run != 0 && run != 15) continue;
      frequency[run << 4 | size] = 1 + (100000u >> (run + std::abs(size - (ac ? 1 : 3)) * 3 / 2));
    }
  }
  return Fitted(frequency);
}

constexpr int kRestart = -1;

struct Token {
  int table;   // class * 4 + slot, or kRestart
  int symbol;  // run << 4 | size
  int value;   // ITU-T T.81, F.1.2: negative ones less one
};

Token MakeToken(int table, int run, int value) {
  const int size = std::bit_width(static_cast<unsigned>(std::abs(value)));
  return {table, run << 4 | size, (value < 0 ? value - 1 : value) & ((1 << size) - 1)};
}

// coefficients[0] comes in as the last block's DC. What 8-bit samples can give: DC has at most 10 bits
// here, so differences have at most 11; AC has at most 10.
void DrawBlock(const JpegSpec& spec, const std::array<uint16_t, 64>& quant, Choices& choose, int* coefficients) {
  constexpr int kLargest = 1023;
  const bool plausible = spec.range == JpegSpec::Range::kPlausible;  // then samples are within 128 +- 427
  const int product_bound = plausible ? 1016 : spec.range == JpegSpec::Range::kExtreme ? 8191 : 1 << 28;
  int budget = plausible ? 1200 : 1 << 30;
  const int dc_bound = std::min(kLargest, product_bound / quant[0]);
  const uint32_t shape = choose.Below(32);
  const int dc = shape & 8 ? choose.Signed(dc_bound) : coefficients[0] + choose.Signed(8);
  std::fill(coefficients, coefficients + 64, 0);
  coefficients[0] = std::clamp(dc, -dc_bound, dc_bound);
  int first = 1, last = 63, gap = 0;
  switch (shape & 7) {
    case 0: last = 0; break;
    case 1: last = 1 + static_cast<int>(choose.Below(6)); break;
    case 2: gap = 20; break;
    case 3: first = 1 + static_cast<int>(choose.Below(63)), gap = 48; break;
    case 4: last = static_cast<int>(choose.Below(64)); break;
    case 5: break;  // all of them
    case 6: first = 63; break;
    case 7: last = static_cast<int>(choose.Below(20)), gap = 4; break;
  }
  last = std::min(last, spec.density);
  for (int k = first; k <= last; k += 1 + static_cast<int>(choose.Below(gap))) {
    static constexpr uint8_t kSizes[16] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 8, 10};
    const uint32_t draw = choose.Below(256);
    const int size = kSizes[draw & 15];
    const int low = static_cast<int>(size > 3 ? choose.Below(1u << (size - 1)) : draw >> 5 & ((1u << (size - 1)) - 1));
    const int magnitude = std::min({kLargest, product_bound / quant[k], budget / quant[k], 1 << (size - 1) | low});
    coefficients[k] = draw & 16 ? -magnitude : magnitude;
    budget -= magnitude * quant[k];
  }
}

void AppendBlock(const JpegSpec::Component& component, const int* coefficients, int last_dc, std::vector<Token>* to) {
  to->push_back(MakeToken(component.dc, 0, coefficients[0] - last_dc));
  int run = 0;
  for (int k = 1; k < 64; ++k, ++run) {
    if (coefficients[k] == 0) continue;
    for (; run >= 16; run -= 16) to->push_back({4 + component.ac, kSixteenZeros, 0});
    to->push_back(MakeToken(4 + component.ac, run, coefficients[k]));
    run = -1;
  }
  if (run > 0) to->push_back({4 + component.ac, kEndOfBlock, 0});
}

int CeilDiv(int a, int b) { return (a + b - 1) / b; }

class Writer {
 public:
  Writer(const JpegSpec& spec, Choices& choose) : spec_(spec), choose_(choose) {
    if (spec.layout) layout_ = Choices(spec.layout);
    for (const JpegSpec::Component& c : spec.components) max_h_ = std::max(max_h_, c.h), max_v_ = std::max(max_v_, c.v);
    quant_ = spec.quant;
    early_quant_ = !layout_.OneIn(2);
    wide_ = spec.extended && layout_.OneIn(3);
  }

  JpegStream Write() {
    out_.bytes = {0xFF, 0xD8};
    if (spec_.jfif) Segment(0xE0, {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0});
    if (spec_.adobe >= 0) {
      Segment(0xEE, {'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, static_cast<uint8_t>(spec_.adobe)});
    }
    for (size_t i = 0; i < spec_.scans.size(); ++i) WriteScan(i);
    Marker(0xD9);
    if (spec_.appended) {
      for (int k = choose_.Between(1, 40); k > 0; --k) Put(static_cast<int>(choose_.Below(256)));
    }
    return std::move(out_);
  }

 private:
  struct Piece {
    int marker;
    std::vector<uint8_t> payload;
  };

  static void Append(std::vector<uint8_t>* to, std::initializer_list<int> bytes) {
    for (int b : bytes) to->push_back(static_cast<uint8_t>(b));
  }

  void Put(int byte) { out_.bytes.push_back(static_cast<uint8_t>(byte)); }

  void Marker(int marker) {
    for (int fill = layout_.OneIn(6) ? layout_.Between(1, 3) : 0; fill > 0; --fill) Put(0xFF);
    Put(0xFF), Put(marker);
  }

  void Segment(int marker, const std::vector<uint8_t>& payload) {
    Marker(marker);
    const int length = static_cast<int>(payload.size()) + 2;
    Put(length >> 8), Put(length & 255);
    out_.bytes.insert(out_.bytes.end(), payload.begin(), payload.end());
  }

  void Comment() {
    if (!layout_.OneIn(5)) return;
    std::vector<uint8_t> payload(layout_.OneIn(4) ? layout_.Below(3000) : layout_.Below(20));
    for (uint8_t& b : payload) b = static_cast<uint8_t>(layout_.Below(256));
    Segment(layout_.OneIn(2) ? 0xFE : layout_.Between(0xE3, 0xEC), payload);
  }

  // Every block of the scan, in its order, interrupted by restarts.
  std::vector<Token> DrawTokens(const JpegSpec::Scan& scan, int* interval) {
    int across = CeilDiv(spec_.width, 8 * max_h_), down = CeilDiv(spec_.height, 8 * max_v_);
    const bool alone = scan.components.size() == 1;
    if (alone) {
      const JpegSpec::Component& c = spec_.components[scan.components[0]];
      across = CeilDiv(CeilDiv(spec_.width * c.h, max_h_), 8);
      down = CeilDiv(CeilDiv(spec_.height * c.v, max_v_), 8);
    }
    *interval = scan.restart == JpegSpec::kRow ? across : scan.restart;
    std::vector<Token> tokens;
    std::array<int, 4> last_dc{};
    for (int mcu = 0; mcu < across * down; ++mcu) {
      if (*interval && mcu && mcu % *interval == 0) {
        tokens.push_back({kRestart, 0, 0});
        last_dc = {};
      }
      for (int index : scan.components) {
        const JpegSpec::Component& c = spec_.components[index];
        for (int block = alone ? 1 : c.h * c.v; block > 0; --block) {
          int coefficients[64] = {last_dc[index]};
          DrawBlock(spec_, quant_[c.quant], choose_, coefficients);
          AppendBlock(c, coefficients, last_dc[index], &tokens);
          last_dc[index] = coefficients[0];
        }
      }
    }
    return tokens;
  }

  // The codes that these tokens need, as segments if the decoder has not got them yet.
  void UpdateCodes(const std::vector<Token>& tokens, std::vector<Piece>* pieces) {
    std::array<Frequencies, 8> frequency{};
    for (const Token& t : tokens) {
      if (t.table != kRestart) ++frequency[t.table][t.symbol];
    }
    for (int table = 0; table < 8; ++table) {
      const Frequencies& f = frequency[table];
      if (std::all_of(f.begin(), f.end(), [](uint32_t n) { return n == 0; })) continue;
      static const Lengths general[] = {General(false), General(true)};
      const Lengths lengths = spec_.codes == JpegSpec::Codes::kGeneral  ? general[table >> 2]
                              : spec_.codes == JpegSpec::Codes::kFitted ? Fitted(f)
                                                                        : Long(f, layout_);
      if (lengths == codes_[table].lengths && !layout_.OneIn(4)) continue;
      codes_[table] = Canonical(lengths);
      std::vector<uint8_t> payload = codes_[table].segment;
      payload.insert(payload.begin(), static_cast<uint8_t>((table >> 2) << 4 | (table & 3)));
      pieces->push_back({0xC4, payload});
    }
  }

  void AddQuant(const std::vector<int>& components, std::vector<Piece>* pieces) {
    for (int index : components) {
      const int slot = spec_.components[index].quant;
      if (sent_[slot] == quant_[slot] && !layout_.OneIn(4)) continue;
      sent_[slot] = quant_[slot];
      const bool wide = wide_ || *std::max_element(quant_[slot].begin(), quant_[slot].end()) > 255;
      std::vector<uint8_t> payload{static_cast<uint8_t>(wide << 4 | slot)};
      for (uint16_t q : quant_[slot]) {
        if (wide) Append(&payload, {q >> 8});
        Append(&payload, {q});
      }
      pieces->push_back({0xDB, payload});
    }
  }

  Piece Frame() const {
    Piece frame{spec_.extended ? 0xC1 : 0xC0, {8}};
    Append(&frame.payload, {spec_.height >> 8, spec_.height, spec_.width >> 8, spec_.width});
    Append(&frame.payload, {static_cast<int>(spec_.components.size())});
    for (const JpegSpec::Component& c : spec_.components) Append(&frame.payload, {c.id, c.h << 4 | c.v, c.quant});
    return frame;
  }

  void WriteScan(size_t number) {
    const JpegSpec::Scan& scan = spec_.scans[number];
    if (scan.new_quant) {
      for (int index : scan.components) {
        for (uint16_t& q : quant_[spec_.components[index].quant]) q = static_cast<uint16_t>(1 + layout_.Below(90));
      }
    }
    std::vector<Piece> pieces;
    int interval = 0;
    const std::vector<Token> tokens = DrawTokens(scan, &interval);
    for (const JpegSpec::Scan& later : spec_.scans) {
      if (&later == &scan || (number == 0 && early_quant_)) AddQuant(later.components, &pieces);
    }
    if (number == 0) pieces.push_back(Frame());
    UpdateCodes(tokens, &pieces);
    if (std::exchange(interval_, interval) != interval) {
      pieces.push_back({0xDD, {static_cast<uint8_t>(interval >> 8), static_cast<uint8_t>(interval)}});
    }
    if (layout_.OneIn(2)) Shuffle(&pieces, layout_);
    const bool join = layout_.OneIn(2);
    for (size_t i = 0; i < pieces.size(); ++i) {
      std::vector<uint8_t> payload = pieces[i].payload;
      while (join && (pieces[i].marker == 0xC4 || pieces[i].marker == 0xDB) && i + 1 < pieces.size() &&
             pieces[i + 1].marker == pieces[i].marker) {
        ++i;
        payload.insert(payload.end(), pieces[i].payload.begin(), pieces[i].payload.end());
      }
      Comment();
      Segment(pieces[i].marker, payload);
    }
    Comment();
    std::vector<uint8_t> header{static_cast<uint8_t>(scan.components.size())};
    for (int i : scan.components)
      Append(&header, {spec_.components[i].id, spec_.components[i].dc << 4 | spec_.components[i].ac});
    Append(&header, {0, 63, 0});
    Segment(0xDA, header);
    const size_t begin = out_.bytes.size();
    int restarts = 0;
    for (const Token& t : tokens) {
      if (t.table == kRestart) {
        Flush();
        Marker(0xD0 + (restarts++ & 7));
      } else {
        PutBits(codes_[t.table].bits[t.symbol], codes_[t.table].lengths[t.symbol]);
        PutBits(static_cast<uint32_t>(t.value), t.symbol & 15);
      }
    }
    Flush();
    out_.scans.push_back({begin, out_.bytes.size()});
  }

  void PutBits(uint32_t value, int count) {
    pending_ = pending_ << count | value;
    for (pending_bits_ += count; pending_bits_ >= 8; pending_bits_ -= 8) {
      const int byte = static_cast<int>(pending_ >> (pending_bits_ - 8) & 255);
      Put(byte);
      if (byte == 0xFF) Put(0);
    }
  }

  void Flush() {
    if (pending_bits_) PutBits((1u << (8 - pending_bits_)) - 1, 8 - pending_bits_);
  }

  const JpegSpec& spec_;
  Choices& choose_;
  Choices layout_{Bytes()};
  JpegStream out_;
  int max_h_ = 1, max_v_ = 1;
  bool early_quant_ = false, wide_ = false;
  std::array<std::array<uint16_t, 64>, 4> quant_{}, sent_{};
  std::array<Code, 8> codes_;
  int interval_ = 0;
  uint64_t pending_ = 0;
  int pending_bits_ = 0;
};

}  // namespace

JpegStream WriteJpeg(const JpegSpec& spec, Choices& choose) { return Writer(spec, choose).Write(); }

}  // namespace fastpre::test
