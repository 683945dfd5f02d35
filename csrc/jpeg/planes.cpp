#include "jpeg/planes.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"
#include "jpeg/decoder.h"

namespace fastpre {
namespace {

constexpr size_t kMargin = 64;  // before a row's first sample: one sample is read there; rows stay aligned

}  // namespace

void PlaneDecoder::Open(Bytes stream, const Frame& frame, const McuWindow& window, const JpegKernels& kernels,
                        Crew* crew) {
  Close();
  frame_ = &frame;
  kernels_ = &kernels;
  window_ = window;
  next_row_ = window.y0;
  SetPlanes();
  streams_.resize(frame.scans.size());
  if (crew && crew->size() > 0 && EntropyAhead::Applies(frame, stream)) {
    streams_[0].header = &frame.scans[0];
    with_crew_ = true;
    ahead_.Open(stream, frame, {window.x0, window.x1, window.y0}, &cache_, kernels, SetGroups(&streams_[0]), crew);
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
    for (const BatchLayout::Place& p : SetGroups(&s).places) {
      s.targets.push_back({coefficients + p.offset, &last_[p.group]});
    }
    const FrameComponent& c = frame.component[s.header->component[0].index];
    const int64_t above = s.header->count > 1 ? int64_t{frame.mcus_x} * window.y0
                                              : int64_t{c.blocks_x} * std::min(c.v * window.y0, c.blocks_y);
    s.skip = s.scan.SkipSegments(above);
  }
}

void PlaneDecoder::Close() {
  ahead_.Close();
  with_crew_ = false;
}

void PlaneDecoder::Trim(size_t keep_bytes) {
  samples_.ShrinkAbove(keep_bytes);
  ahead_.Trim(keep_bytes);
}

void PlaneDecoder::SetPlanes() {
  size_t total = 0;
  for (int i = 0; i < frame_->components; ++i) {
    const FrameComponent& c = frame_->component[i];
    Plane& p = plane_[i];
    p.scale = window_.scale[i];
    p.width = (c.width * p.scale + 7) / 8;
    p.height = (c.height * p.scale + 7) / 8;
    p.rows = p.scale * c.v;
    p.first = window_.x0 * c.h * p.scale;
    const int end = window_.x1 * c.h * p.scale;
    p.right = end >= p.width ? p.width : 0;
    const int mcus = static_cast<int>(RoundUp(window_.x1 - window_.x0, kGroupBlocks));
    p.stride = RoundUp(kMargin + static_cast<size_t>(mcus) * c.h * p.scale + kJpegSlack, 64);
    p.offset = total;
    total += p.stride * p.rows * window_.kept;
  }
  samples_.Reserve(total + kJpegSlack);
}

// Four MCUs at a time make whole groups of every component, whatever its sampling factors.
BatchLayout PlaneDecoder::SetGroups(Stream* s) {
  const Scan& scan = *s->header;
  s->groups.clear();
  BatchLayout layout;
  std::vector<BatchLayout::Place> block_places[kGroupBlocks];
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
int PlaneDecoder::Across(const Scan& scan, int component) const {
  return scan.count == 1 ? 1 : frame_->component[component].h;
}

void PlaneDecoder::DecodeRow() {
  if (with_crew_) {
    DecodeAhead();
  } else {
    for (Stream& s : streams_) s.header->count > 1 ? DecodeInterleaved(&s) : DecodeSingle(&s);
  }
  ExtendEdges();
  ++next_row_;
}

void PlaneDecoder::DecodeAhead() {
  const int64_t row = int64_t{frame_->mcus_x} * next_row_;
  ahead_.Visit(row + window_.x0, row + window_.x1, [&](const EntropyAhead::Batch& b) {
    Transform(streams_[0], b.coefficients, b.last, static_cast<int>(b.first - row), static_cast<int>(b.begin - b.first),
              static_cast<int>(b.end - b.first), 0);
  });
}

void PlaneDecoder::DecodeInterleaved(Stream* s) {
  s->skip += window_.x0;
  DecodeBatches(s, window_.x0, window_.x1, 0);
  s->skip += frame_->mcus_x - window_.x1;
}

// A scan of one component codes only the blocks that hold samples.
void PlaneDecoder::DecodeSingle(Stream* s) {
  const FrameComponent& c = frame_->component[s->header->component[0].index];
  const int from = std::min(window_.x0 * c.h, c.blocks_x), to = std::min(window_.x1 * c.h, c.blocks_x);
  for (int row = 0; row < c.v && next_row_ * c.v + row < c.blocks_y; ++row) {
    s->skip += from;
    DecodeBatches(s, from, to, row);
    s->skip += c.blocks_x - to;
  }
}

void PlaneDecoder::DecodeBatches(Stream* s, int from, int to, int block_row) {
  if (from >= to) return;
  s->scan.Skip(s->skip);
  s->skip = 0;
  int16_t* const coefficients = reinterpret_cast<int16_t*>(coefficients_.data());
  for (int x = from; x < to; x += kGroupBlocks) {
    s->scan.Decode(std::min(kGroupBlocks, to - x), s->targets.data());
    Transform(*s, coefficients, last_.data(), x, 0, kGroupBlocks, block_row);
    std::memset(coefficients, 0, s->groups.size() * kGroupStride * sizeof(int16_t));
    last_.fill(0);
  }
}

void PlaneDecoder::Transform(const Stream& s, const int16_t* coefficients, const uint8_t* last, int column, int from,
                             int to, int block_row) {
  for (size_t g = 0; g < s.groups.size(); ++g, coefficients += kGroupStride) {
    const Group& group = s.groups[g];
    const int h = Across(*s.header, group.component);
    const Plane& p = plane_[group.component];
    const int row = next_row_ * p.rows + (block_row + group.row) * p.scale, x = column * h + group.column;
    const int first = std::max(from * h - group.column, 0), end = std::min(to * h - group.column, kGroupBlocks);
    if (first == 0 && end == kGroupBlocks) {
      Inverse(group.component, coefficients, last[g], At(group.component, row, x * p.scale), p.stride);
    } else if (first < end) {
      InversePart(group.component, coefficients, last[g], first, end, row, x);
    }
  }
}

void PlaneDecoder::Inverse(int c, const int16_t* coefficients, int last, uint8_t* out, size_t stride) const {
  const int16_t* const quant = frame_->component[c].quant.data();
  const int scale = plane_[c].scale;
  if (scale < 8) return kernels_->scaled[scale](coefficients, quant, out, static_cast<ptrdiff_t>(stride));
  if (kernels_->idct(coefficients, quant, last, out, static_cast<ptrdiff_t>(stride))) {
    throw Declined("coefficients that no photograph has");
  }
}

// Blocks [from, to) of a group whose first one belongs at block column x, which may be outside the plane.
void PlaneDecoder::InversePart(int c, const int16_t* coefficients, int last, int from, int to, int row, int x) {
  constexpr size_t kStride = kGroupColumns;
  alignas(64) uint8_t samples[8 * kStride + kJpegSlack];
  Inverse(c, coefficients, last, samples, kStride);
  const int scale = plane_[c].scale;
  for (int r = 0; r < scale; ++r) {
    std::memcpy(At(c, row + r, (x + from) * scale), samples + r * kStride + from * scale, (to - from) * scale);
  }
}

// The triangle filter's edge cases are its general one with the edge sample repeated.
void PlaneDecoder::ExtendEdges() {
  for (int i = 0; i < frame_->components; ++i) {
    const Plane& p = plane_[i];
    for (int r = next_row_ * p.rows; r < (next_row_ + 1) * p.rows; ++r) {
      if (p.first == 0) *At(i, r, -1) = *At(i, r, 0);
      if (p.right > 0) *At(i, r, p.right) = *At(i, r, p.right - 1);
    }
  }
}

uint8_t* PlaneDecoder::At(int c, int row, int column) {
  const Plane& p = plane_[c];
  return samples_.data() + p.offset + p.stride * (row % (window_.kept * p.rows)) + kMargin + column - p.first;
}

const uint8_t* PlaneDecoder::row(int c, int r) const { return const_cast<PlaneDecoder*>(this)->At(c, r, 0); }

}  // namespace fastpre
