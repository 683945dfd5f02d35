#include "jpeg/groups.h"

#include <algorithm>
#include <cstring>

#include "core/call_context.h"
#include "jpeg/declined.h"

namespace fastpre {

void GroupDecoder::Open(Bytes stream, const Frame& frame, const McuRect& wanted, const JpegKernels& kernels,
                        HelperThreads* helpers) {
  Close();
  frame_ = &frame;
  wanted_ = wanted;
  next_row_ = wanted.y0;
  streams_.resize(frame.scans.size());
  if (helpers && helpers->size() > 0 && SpeculativeDecoder::Applies(frame, stream)) {
    streams_[0].header = &frame.scans[0];
    with_helpers_ = true;
    speculative_.Open(stream, frame, wanted, &cache_, kernels, SetGroups(&streams_[0]), helpers);
    return;
  }
  constexpr size_t kGroups = 10;
  int16_t* const coefficients = coefficients_.ReserveAs<int16_t>(kGroups * kGroupStride);
  std::memset(coefficients, 0, kGroups * kGroupStride * sizeof(int16_t));
  last_.fill(0);
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& s = streams_[i];
    s.header = &frame.scans[i];
    s.scan.Open(stream, frame, *s.header, &cache_, kernels);
    s.targets.clear();
    for (const McuQuadLayout::Place& p : SetGroups(&s).places) {
      s.targets.push_back({coefficients + p.offset, &last_[p.group]});
    }
    const FrameComponent& c = frame.component[s.header->component[0].index];
    const int64_t above = s.header->count > 1 ? int64_t{frame.mcus_x} * wanted.y0
                                              : int64_t{c.blocks_x} * std::min(c.v * wanted.y0, c.blocks_y);
    s.skip = s.scan.SkipSegments(above);
  }
}

void GroupDecoder::Close() {
  speculative_.Close();
  with_helpers_ = false;
}

// Four MCUs at a time make whole groups of every component, whatever its sampling factors.
McuQuadLayout GroupDecoder::SetGroups(Stream* s) {
  const Scan& scan = *s->header;
  s->groups.clear();
  McuQuadLayout layout;
  std::vector<McuQuadLayout::Place> block_places[kGroupBlocks];
  for (int i = 0; i < scan.count; ++i) {
    const int index = scan.component[i].index;
    const int h = Across(scan, index), v = scan.count == 1 ? 1 : frame_->component[index].v;
    const int first = static_cast<int>(s->groups.size());
    for (int row = 0; row < v; ++row) {
      for (int g = 0; g < h; ++g) s->groups.push_back({index, row, g * kGroupBlocks});
    }
    for (int row = 0; row < v; ++row) {
      for (int column = 0; column < h; ++column) {
        for (int m = 0; m < kGroupBlocks; ++m) {
          const int x = m * h + column, group = first + row * h + x / kGroupBlocks;
          block_places[m].push_back({group * kGroupStride + x % kGroupBlocks * 8, group});
        }
      }
    }
  }
  for (const auto& places : block_places) layout.places.insert(layout.places.end(), places.begin(), places.end());
  layout.blocks = static_cast<int>(block_places[0].size());
  layout.groups = static_cast<int>(s->groups.size());
  return layout;
}

// Blocks of a component across an MCU.
int GroupDecoder::Across(const Scan& scan, int component) const {
  return scan.count == 1 ? 1 : frame_->component[component].h;
}

void GroupDecoder::DecodeRow(GroupSink* sink) {
  CheckCancelledByRow();
  if (with_helpers_) {
    DecodeSpeculative(sink);
  } else {
    for (Stream& s : streams_) s.header->count > 1 ? DecodeInterleaved(&s, sink) : DecodeSingle(&s, sink);
  }
  ++next_row_;
}

void GroupDecoder::DecodeRow(const std::array<SparseTables, 4>& tables, SparseWriter* writer) {
  CheckCancelledByRow();
  if (with_helpers_) {
    // Helpers make dense blocks.
    struct Packer final : GroupSink {
      void Group(const GroupPlace& place, const int16_t* coefficients, int) override {
        const SparseTables& t = (*tables)[place.component];
        const ptrdiff_t at = ptrdiff_t{t.blocks_x} * (place.row - t.row) + place.column - t.column;
        const SparseTarget target{t.offset + at, t.head + at, 1, &frame->component[place.component]};
        for (int b = place.first; b < place.end; ++b) {
          if (place.column + b - t.column < t.blocks_x) writer->Dense(coefficients + 8 * b, target, b);
        }
      }
      const std::array<SparseTables, 4>* tables;
      const Frame* frame;
      SparseWriter* writer;
    } packer;
    packer.tables = &tables, packer.frame = frame_, packer.writer = writer;
    DecodeSpeculative(&packer);
  } else {
    for (Stream& s : streams_) DecodeSparse(&s, tables, writer);
  }
  ++next_row_;
}

void GroupDecoder::DecodeSparse(Stream* s, const std::array<SparseTables, 4>& tables, SparseWriter* writer) {
  if (s->header->count > 1) {
    s->skip += wanted_.x0;
    DecodeSparse(s, wanted_.x0, wanted_.x1, 0, tables, writer);
    s->skip += frame_->mcus_x - wanted_.x1;
    return;
  }
  const FrameComponent& c = frame_->component[s->header->component[0].index];
  const int from = std::min(wanted_.x0 * c.h, c.blocks_x), to = std::min(wanted_.x1 * c.h, c.blocks_x);
  for (int row = 0; row < c.v && next_row_ * c.v + row < c.blocks_y; ++row) {
    s->skip += from;
    DecodeSparse(s, from, to, row, tables, writer);
    s->skip += c.blocks_x - to;
  }
}

// MCUs [from, to); those of a scan of one component are blocks, of row `block_row` of the row of MCUs.
void GroupDecoder::DecodeSparse(Stream* s, int from, int to, int block_row, const std::array<SparseTables, 4>& tables,
                                SparseWriter* writer) {
  if (from >= to) return;
  s->scan.Skip(s->skip);
  s->skip = 0;
  sparse_targets_.clear();
  for (int i = 0; i < s->header->count; ++i) {
    const int index = s->header->component[i].index;
    const FrameComponent& c = frame_->component[index];
    const SparseTables& t = tables[index];
    const int h = Across(*s->header, index), v = s->header->count == 1 ? 1 : c.v;
    for (int k = 0; k < h * v; ++k) {
      const int row = next_row_ * c.v + block_row + k / h - t.row, column = from * h + k % h - t.column;
      const ptrdiff_t at = ptrdiff_t{t.blocks_x} * row + column;
      sparse_targets_.push_back({t.offset + at, t.head + at, h, &c});
    }
  }
  s->scan.DecodeSparse(to - from, sparse_targets_.data(), 0, writer);
}

void GroupDecoder::DecodeSpeculative(GroupSink* sink) {
  const int64_t row = int64_t{frame_->mcus_x} * next_row_;
  speculative_.Visit(row + wanted_.x0, row + wanted_.x1, [&](const SpeculativeDecoder::Quad& b) {
    HandOver(streams_[0], b.coefficients, b.last, static_cast<int>(b.first - row), static_cast<int>(b.begin - b.first),
             static_cast<int>(b.end - b.first), 0, sink);
  });
}

void GroupDecoder::DecodeInterleaved(Stream* s, GroupSink* sink) {
  s->skip += wanted_.x0;
  DecodeQuads(s, wanted_.x0, wanted_.x1, 0, sink);
  s->skip += frame_->mcus_x - wanted_.x1;
}

// A scan of one component codes only the blocks that hold samples.
void GroupDecoder::DecodeSingle(Stream* s, GroupSink* sink) {
  const FrameComponent& c = frame_->component[s->header->component[0].index];
  const int from = std::min(wanted_.x0 * c.h, c.blocks_x), to = std::min(wanted_.x1 * c.h, c.blocks_x);
  for (int row = 0; row < c.v && next_row_ * c.v + row < c.blocks_y; ++row) {
    s->skip += from;
    DecodeQuads(s, from, to, row, sink);
    s->skip += c.blocks_x - to;
  }
}

void GroupDecoder::DecodeQuads(Stream* s, int from, int to, int block_row, GroupSink* sink) {
  if (from >= to) return;
  s->scan.Skip(s->skip);
  s->skip = 0;
  int16_t* const coefficients = reinterpret_cast<int16_t*>(coefficients_.data());
  for (int x = from; x < to; x += kGroupBlocks) {
    s->scan.Decode(std::min(kGroupBlocks, to - x), s->targets.data());
    HandOver(*s, coefficients, last_.data(), x, 0, kGroupBlocks, block_row, sink);
    std::memset(coefficients, 0, s->groups.size() * kGroupStride * sizeof(int16_t));
    last_.fill(0);
  }
}

void GroupDecoder::HandOver(const Stream& s, const int16_t* coefficients, const uint8_t* last, int column, int from,
                            int to, int block_row, GroupSink* sink) {
  for (size_t g = 0; g < s.groups.size(); ++g, coefficients += kGroupStride) {
    const Group& group = s.groups[g];
    const int h = Across(*s.header, group.component);
    const int first = std::max(from * h - group.column, 0), end = std::min(to * h - group.column, kGroupBlocks);
    if (first >= end) continue;
    const int row = next_row_ * frame_->component[group.component].v + block_row + group.row;
    sink->Group({group.component, row, column * h + group.column, first, end}, coefficients, last[g]);
  }
}

}  // namespace fastpre
