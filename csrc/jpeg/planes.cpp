#include "jpeg/planes.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"
#include "jpeg/declined.h"

namespace fastpre {
namespace {

constexpr size_t kMargin = 64;  // before a row's first sample: one sample is read there; rows stay aligned

}  // namespace

void PlaneDecoder::Open(Bytes stream, const Frame& frame, const McuRect& wanted, const PlaneOptions& options,
                        const JpegKernels& kernels, HelperThreads* helpers) {
  Close();
  frame_ = &frame;
  kernels_ = &kernels;
  wanted_ = wanted;
  options_ = options;
  SetPlanes();
  groups_.Open(stream, frame, wanted, kernels, helpers);
}

void PlaneDecoder::Trim(size_t keep_bytes) {
  samples_.ShrinkAbove(keep_bytes);
  groups_.Trim(keep_bytes);
}

void PlaneDecoder::SetPlanes() {
  size_t total = 0;
  for (int i = 0; i < frame_->components; ++i) {
    const FrameComponent& c = frame_->component[i];
    Plane& p = plane_[i];
    p.scale = options_.scale[i];
    p.width = (c.width * p.scale + 7) / 8;
    p.height = (c.height * p.scale + 7) / 8;
    p.rows = p.scale * c.v;
    p.first = wanted_.x0 * c.h * p.scale;
    const int end = wanted_.x1 * c.h * p.scale;
    p.right = end >= p.width ? p.width : 0;
    const int mcus = static_cast<int>(RoundUp(wanted_.x1 - wanted_.x0, kGroupBlocks));
    p.stride = RoundUp(kMargin + static_cast<size_t>(mcus) * c.h * p.scale + kJpegSlack, 64);
    p.offset = total;
    total += p.stride * p.rows * options_.kept_rows;
  }
  samples_.Reserve(total + kJpegSlack);
}

void PlaneDecoder::DecodeRow() {
  const int row = next_row();
  groups_.DecodeRow(this);
  ExtendEdges(row);
}

void PlaneDecoder::Group(const GroupPlace& place, const int16_t* coefficients, int last) {
  if (place.first > 0 || place.end < kGroupBlocks) return InversePart(place, coefficients, last);
  const Plane& p = plane_[place.component];
  uint8_t* const out = At(place.component, place.row * p.scale, place.column * p.scale);
  Inverse(place.component, coefficients, last, out, p.stride);
}

void PlaneDecoder::Inverse(int c, const int16_t* coefficients, int last, uint8_t* out, size_t stride) const {
  const int16_t* const quant = frame_->component[c].quant.data();
  const int scale = plane_[c].scale;
  const auto step = static_cast<ptrdiff_t>(stride);
  const bool extreme = scale < 8 ? kernels_->scaled[scale](coefficients, quant, out, step)
                                 : kernels_->idct(coefficients, quant, last, out, step);
  if (extreme) throw Declined(kExtreme);
}

// A group whose first block may be outside the plane.
void PlaneDecoder::InversePart(const GroupPlace& place, const int16_t* coefficients, int last) {
  constexpr size_t kStride = kGroupColumns;
  alignas(64) uint8_t samples[8 * kStride + kJpegSlack];
  Inverse(place.component, coefficients, last, samples, kStride);
  const int scale = plane_[place.component].scale;
  const int x = place.column + place.first, bytes = (place.end - place.first) * scale;
  for (int r = 0; r < scale; ++r) {
    std::memcpy(At(place.component, place.row * scale + r, x * scale), samples + r * kStride + place.first * scale,
                bytes);
  }
}

// The triangle filter's edge cases are its general one with the edge sample repeated.
void PlaneDecoder::ExtendEdges(int mcu_row) {
  for (int i = 0; i < frame_->components; ++i) {
    const Plane& p = plane_[i];
    for (int r = mcu_row * p.rows; r < (mcu_row + 1) * p.rows; ++r) {
      if (p.first == 0) *At(i, r, -1) = *At(i, r, 0);
      if (p.right > 0) *At(i, r, p.right) = *At(i, r, p.right - 1);
    }
  }
}

uint8_t* PlaneDecoder::At(int c, int row, int column) {
  const Plane& p = plane_[c];
  return samples_.data() + p.offset + p.stride * (row % (options_.kept_rows * p.rows)) + kMargin + column - p.first;
}

const uint8_t* PlaneDecoder::row(int c, int r) const { return const_cast<PlaneDecoder*>(this)->At(c, r, 0); }

}  // namespace fastpre
