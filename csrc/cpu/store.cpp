#include "cpu/store.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace fastpre {
namespace {

constexpr std::array<uint8_t, 256> kIdentity = [] {
  std::array<uint8_t, 256> t{};
  for (int i = 0; i < 256; ++i) t[i] = static_cast<uint8_t>(i);
  return t;
}();

const float* TableF32(const Affine& a, int c) { return a.f32[c].data(); }
const uint16_t* TableU16(const Affine& a, int c) { return a.u16[c].data(); }
const uint8_t* TableU8(const Affine&, int) { return kIdentity.data(); }

template <class T>
void FillRect(T* at, ptrdiff_t stride_y, ptrdiff_t stride_x, int height, int width, T value) {
  for (int y = 0; y < height; ++y) {
    T* p = at + y * stride_y;
    for (int x = 0; x < width; ++x) p[x * stride_x] = value;
  }
}

template <class T>
void FillAround(const OutputView& out, int channel, T value, const Geometry& g) {
  T* base = static_cast<T*>(out.data) + channel * out.stride_c;
  const int bottom = g.pad_top + g.window_height, right = g.pad_left + g.window_width;
  FillRect(base, out.stride_y, out.stride_x, g.pad_top, g.out_width, value);
  FillRect(base + bottom * out.stride_y, out.stride_y, out.stride_x, g.out_height - bottom, g.out_width, value);
  T* middle = base + g.pad_top * out.stride_y;
  FillRect(middle, out.stride_y, out.stride_x, g.window_height, g.pad_left, value);
  FillRect(middle + right * out.stride_x, out.stride_y, out.stride_x, g.window_height, g.out_width - right, value);
}

}  // namespace

Store::Store(const KernelTable& kernels, const Affine& affine, Color color, const OutputView& out,
             const Placement& placement, int count)
    : kernels_(kernels),
      affine_(affine),
      out_(out),
      place_(placement),
      count_(count) {
  if (color == Color::kBGR) std::swap(order_[0], order_[2]);
  const bool dense = place_.column_step == -1, packed = place_.column_step == -3 && out_.stride_c == 1;
  if (dense || packed) {
    backwards_.resize(static_cast<size_t>(count_) + kRowSlack / sizeof(uint32_t));
    place_.origin += (count_ - 1) * place_.column_step;
    place_.column_step = -place_.column_step;
  }
}

template <class T>
void Store::Scatter(const uint8_t* pixels, T* out, const T* (*lut)(const Affine&, int)) {
  for (int c = 0; c < out_.channels; ++c) {
    const T* table = lut(affine_, order_[c]);
    T* p = out + ChannelOffset(c);
    const uint8_t* source = pixels + order_[c];
    for (int i = 0; i < count_; ++i) p[i * place_.column_step] = table[source[4 * i]];
  }
}

void Store::Row(const uint8_t* pixels, int index) {
  if (!backwards_.empty()) {
    for (int i = 0; i < count_; ++i) std::memcpy(&backwards_[i], pixels + 4 * (count_ - 1 - i), 4);
    pixels = reinterpret_cast<const uint8_t*>(backwards_.data());
  }
  const ptrdiff_t at = place_.origin + index * place_.row_step;
  const bool dense = place_.column_step == 1;
  const bool packed = place_.column_step == 3 && out_.stride_c == 1 && out_.channels == 3;
  switch (out_.dtype) {
    case DType::kF32: {
      float* out = static_cast<float*>(out_.data) + at;
      if (out_.channels == 3 && dense) {
        float* planes[3];
        for (int c = 0; c < 3; ++c) planes[order_[c]] = out + ChannelOffset(c);
        return kernels_.planar_f32(pixels, count_, affine_, planes);
      }
      if (packed) return kernels_.packed_f32(pixels, count_, affine_, order_, out);
      return Scatter(pixels, out, TableF32);
    }
    case DType::kU8: {
      uint8_t* out = static_cast<uint8_t*>(out_.data) + at;
      if (out_.channels == 3 && dense) {
        uint8_t* planes[3];
        for (int c = 0; c < 3; ++c) planes[order_[c]] = out + ChannelOffset(c);
        return kernels_.planar_u8(pixels, count_, planes);
      }
      if (packed) return kernels_.packed_u8(pixels, count_, order_, out);
      return Scatter(pixels, out, TableU8);
    }
    default: {
      uint16_t* out = static_cast<uint16_t*>(out_.data) + at;
      if (out_.channels == 3 && dense) {
        uint16_t* planes[3];
        for (int c = 0; c < 3; ++c) planes[order_[c]] = out + ChannelOffset(c);
        return kernels_.planar_u16(pixels, count_, affine_, planes);
      }
      if (packed) return kernels_.packed_u16(pixels, count_, affine_, order_, out);
      return Scatter(pixels, out, TableU16);
    }
  }
}

void Store::Padding(const Plan& plan) {
  const Geometry& g = plan.geometry;
  if (g.window_width == g.out_width && g.window_height == g.out_height) return;
  for (int c = 0; c < out_.channels; ++c) {
    switch (out_.dtype) {
      case DType::kF32: FillAround(out_, c, affine_.f32[order_[c]][plan.fill[order_[c]]], g); break;
      case DType::kU8: FillAround(out_, c, plan.fill[order_[c]], g); break;
      default: FillAround(out_, c, affine_.u16[order_[c]][plan.fill[order_[c]]], g); break;
    }
  }
}

}  // namespace fastpre
