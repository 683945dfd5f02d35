// What the baseline decoder knows of an image before its first entropy-coded byte: geometry of every
// component, tables, scans. Stricter than libjpeg: anything unusual is Declined.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/image.h"
#include "jpeg/header.h"
#include "jpeg/huffman.h"

namespace fastpre {

enum class ColorModel : uint8_t { kGray, kRgb, kYcc, kCmyk, kYcck };

struct FrameComponent {
  int id = 0, h = 0, v = 0;                     // sampling factors
  int width = 0, height = 0;                    // samples
  int blocks_x = 0, blocks_y = 0;               // blocks that hold samples: what a scan of this component alone codes
  alignas(64) std::array<int16_t, 64> quant{};  // natural order, mod 2^16
  bool in_exact_range =
      false;  // no int8 times a quantizer of the first row leaves +-8191 (jpeg/kernels/dct.h, kExactRange)
};

struct ScanComponent {
  int index = 0;       // into Frame::component
  int dc = 0, ac = 0;  // into Frame::dc_code, ac_code
};

struct Scan {
  int count = 0;  // components; an MCU of one component is one block
  std::array<ScanComponent, 4> component{};
  size_t begin = 0;  // first entropy-coded byte
  int restart_interval = 0;
};

struct Frame {
  int width = 0, height = 0, components = 0;
  int hmax = 1, vmax = 1;
  int mcus_x = 0, mcus_y = 0;  // of 8 hmax x 8 vmax pixels
  ColorModel color = ColorModel::kGray;
  std::array<FrameComponent, 4> component{};
  std::vector<HuffmanCode> dc_code, ac_code;
  std::vector<Scan> scans;  // each component is in exactly one
};

// Throws Declined if the stream is not for the baseline decoder.
Frame ParseFrame(Bytes stream);
// And if it disagrees with `header`, by which buffers were sized.
Frame ParseFrame(Bytes stream, const Header& header);

// Sizes and colours alone, for streams that the baseline decoder is not for; no tables, no scans. Throws Declined for
// fractional sampling.
Frame GeometryOf(const Header& header);

// Fills in what follows from the size and the sampling factors. Throws Declined for fractional sampling.
void SetGeometry(Frame* frame);

}  // namespace fastpre
