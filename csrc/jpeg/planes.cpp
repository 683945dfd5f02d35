#include "jpeg/planes.h"

#include <algorithm>
#include <cstring>

#include "jpeg/decoder.h"

namespace fastpre {
namespace {

constexpr size_t kMargin = 64;  // before a row's first sample: one sample is read there; rows stay aligned

size_t RoundUp(size_t value, size_t step) { return (value + step - 1) / step * step; }

}  // namespace

void PlaneDecoder::Open(Bytes stream, const Frame& frame, const McuWindow& window, const JpegKernels& kernels) {
  frame_ = &frame;
  kernels_ = &kernels;
  window_ = window;
  next_row_ = window.y0;
  SetPlanes();
  constexpr size_t kGroups = 10;
  int16_t* const coefficients = coefficients_.ReserveAs<int16_t>(kGroups * kGroupStride);
  std::memset(coefficients, 0, kGroups * kGroupStride * sizeof(int16_t));
  last_.fill(0);
  streams_.resize(frame.scans.size());
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& s = streams_[i];
    s.header = &frame.scans[i];
    s.scan.Open(stream, frame, *s.header, &cache_, kernels);
    SetTargets(&s);
    const FrameComponent& c = frame.component[s.header->component[0].index];
    const int64_t above = s.header->count > 1 ? int64_t{frame.mcus_x} * window.y0
                                              : int64_t{c.blocks_x} * std::min(c.v * window.y0, c.blocks_y);
    s.skip = s.scan.SkipSegments(above);
  }
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
void PlaneDecoder::SetTargets(Stream* s) {
  const Scan& scan = *s->header;
  s->groups.clear();
  s->targets.clear();
  s->targets.resize(static_cast<size_t>(kGroupBlocks) * s->scan.blocks());
  int16_t* const coefficients = reinterpret_cast<int16_t*>(coefficients_.data());
  int block = 0;
  for (int i = 0; i < scan.count; ++i) {
    const int index = scan.component[i].index;
    const int h = scan.count == 1 ? 1 : frame_->component[index].h;
    const int v = scan.count == 1 ? 1 : frame_->component[index].v;
    const int first = static_cast<int>(s->groups.size());
    for (int row = 0; row < v; ++row) {
      for (int g = 0; g < h; ++g) s->groups.push_back({index, row, g * kGroupBlocks});
    }
    for (int row = 0; row < v; ++row) {
      for (int column = 0; column < h; ++column, ++block) {
        for (int m = 0; m < kGroupBlocks; ++m) {
          const int x = m * h + column, group = first + row * h + x / kGroupBlocks;
          s->targets[m * s->scan.blocks() + block] = {coefficients + group * kGroupStride + x % kGroupBlocks * 8,
                                                      &last_[group]};
        }
      }
    }
  }
}

void PlaneDecoder::DecodeRow() {
  for (Stream& s : streams_) s.header->count > 1 ? DecodeInterleaved(&s) : DecodeSingle(&s);
  ExtendEdges();
  ++next_row_;
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
  for (int x = from; x < to; x += kGroupBlocks) {
    s->scan.Decode(std::min(kGroupBlocks, to - x), s->targets.data());
    Transform(s, x, block_row);
  }
}

void PlaneDecoder::Transform(Stream* s, int column, int block_row) {
  int16_t* coefficients = reinterpret_cast<int16_t*>(coefficients_.data());
  bool wild = false;
  for (size_t g = 0; g < s->groups.size(); ++g, coefficients += kGroupStride) {
    const Group& group = s->groups[g];
    const int h = s->header->count == 1 ? 1 : frame_->component[group.component].h;
    const Plane& p = plane_[group.component];
    uint8_t* out = At(group.component, next_row_ * p.rows + (block_row + group.row) * p.scale,
                      (column * h + group.column) * p.scale);
    const int16_t* quant = frame_->component[group.component].quant.data();
    const auto stride = static_cast<ptrdiff_t>(p.stride);
    if (p.scale == 8) {
      wild |= kernels_->idct(coefficients, quant, last_[g], out, stride);
    } else {
      kernels_->scaled[p.scale](coefficients, quant, out, stride);
    }
    std::memset(coefficients, 0, kGroupStride * sizeof(int16_t));
    last_[g] = 0;
  }
  if (wild) throw Declined("coefficients that no photograph has");
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
