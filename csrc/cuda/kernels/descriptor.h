// What kernels read: plain structures, packed for a whole batch and uploaded in one copy. Pointers are the device's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/image.h"
#include "jpeg/frame.h"
#include "jpeg/kernels/upsample.h"

namespace fastpre::cuda {

struct Span {
  int32_t begin, end;
};

// Samples of one component: those of columns [x0, x1) and rows [y0, y1), in the component's own coordinates. Where the
// image ends, they end with it: what lies outside is the nearest sample, which gives libjpeg's edge cases exactly.
struct DevicePlane {
  const uint8_t* data;  // sample (x0, y0)
  int32_t pitch;
  int32_t x0, y0, x1, y1;
  Upsampling upsampling;
  uint8_t h, v;  // pixels for each sample
};

// plan/filter.h's Taps for a warp: weight k of position i lies at [k * count + i], so that neighbouring positions read
// neighbouring words.
struct DeviceTaps {
  const Span* span;  // of each position: source indices
  const int32_t* weight;
  int32_t count;
};

// One axis of a task, cut into tiles of 1 << tile_log2 positions. tile_span[t]: what the positions of tile t read.
struct DeviceAxis {
  DeviceTaps taps;
  const Span* tile_span;
};

enum class TaskKind : uint8_t { kResample, kFill };

struct DeviceOutput {
  void* data;                     // element (0, 0) of channel 0
  int64_t channel_step;           // in elements, as all steps
  int64_t column_step, row_step;  // of the stored frame: EXIF orientations are in these
  int32_t columns, rows;
  bool transposed;  // rows of the stored frame are the output's x axis
};

struct ResampleTask {
  TaskKind kind;
  ColorModel color;
  uint8_t components;
  bool planar;          // each component is resampled from its own resolution, colours are converted afterwards
  bool vertical_first;  // the pass down the stored columns comes first
  bool luma;
  uint8_t tile_x_log2, tile_y_log2;
  // Shared memory: the tile's pixels, a chunk of lines along the axis of the first pass, all lines' results of that
  // pass.
  int32_t chunk_lines, line_length;
  DevicePlane plane[4];
  DeviceAxis columns[4], rows[4];  // of each component; without `planar` only the first is used, in pixels
  DeviceOutput out;
  uint32_t fill[3];  // bits of a kFill task's value for each channel
};

// plan/affine.h's tables, and what computes the same bits where that is possible.
struct DeviceAffine {
  const float* f32;     // [channel][256]
  const uint16_t* u16;  // the same in float16 or bfloat16
  float mean[3], std[3], inverse_std[3];
  bool multiply;  // rescale by multiplying
  bool computed;  // Affine::reciprocal_exact
};

struct ResampleLaunch {
  const ResampleTask* tasks;
  const uint32_t* first_tile;  // of each task
  int32_t count;               // of tasks
  uint32_t tiles;
  uint32_t shared_bytes;  // the largest need of any task
  DType dtype;
  int32_t channels;
  int32_t order[3];  // colour of each output channel: 0 is red
  DeviceAffine affine;
};

// Quantized coefficients of one component's blocks, row by row, sparse (jpeg/sparse_format.h), to samples.
struct IdctTask {
  const uint32_t* offset;  // of each block, in words
  const uint8_t* count;    // of each block: entries, and kWideEntries
  const uint16_t* words;
  const int16_t* quant;  // natural order
  uint8_t* out;          // sample (0, 0) of the first block
  int32_t pitch;         // a multiple of 8, as is the address of `out`
  int32_t blocks_x, blocks;
};

struct IdctLaunch {
  const IdctTask* tasks;
  const uint32_t* first_tile;
  int32_t count;
  uint32_t tiles;
};

// Planes that another decoder is to write: marked before, looked at afterwards (cuda/kernels/canary.h).
struct CanaryTask {
  uint8_t* data;
  int32_t pitch, width, height;
  uint32_t image;  // whose flag is raised
};

struct CanaryLaunch {
  const CanaryTask* tasks;
  int32_t count;
  uint32_t seed;
  uint32_t* unwritten;  // a flag for each image; null: mark
};

}  // namespace fastpre::cuda
