// A batch's plans as the kernels read them: descriptors and taps in one block of pinned memory that is uploaded in
// one copy. Taps and tile spans that several images share are there once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "core/image.h"
#include "cuda/kernels/descriptor.h"
#include "plan/affine.h"
#include "plan/plan.h"
#include "plan/planar.h"

namespace fastpre::cuda {

// No launch asks for more shared memory than this: every device grants 48 KB without being asked twice, and some may
// count the one that they reserve.
inline constexpr size_t kMostShared = size_t{47} << 10;

// How a task is cut into tiles, and what a tile then needs.
struct Tiling {
  int x_log2 = 0, y_log2 = 0;
  int chunk_lines = 0, line_length = 0, lines = 0;
  size_t shared_bytes = 0;  // more than kMostShared: there is no way to cut it
};

// `planes`: each component's (columns, rows); one pair of pixels' taps if `planar` is false.
struct AxisPair {
  const Taps *columns, *rows;
};
Tiling ChooseTiling(const std::vector<AxisPair>& planes, bool vertical_first, bool planar);

// What is known of an image once its samples have a place on the device.
struct DeviceImage {
  const Plan* plan = nullptr;
  const PlanarPlan* planar = nullptr;  // null: components are upsampled to pixels first
  ColorModel color = ColorModel::kYcc;
  int components = 3;
  std::array<DevicePlane, 4> plane{};
  bool luma = false;
  OutputView out;
};

class BatchPacker {
 public:
  // Memory of `capacity` bytes, the same on both sides.
  BatchPacker(uint8_t* host, uint8_t* device, size_t capacity) : host_(host), device_(device), capacity_(capacity) {}

  // Bytes that an image takes at most.
  static size_t MostBytes(const std::vector<AxisPair>& planes, const Tiling& tiling);
  static size_t BatchBytes(size_t images);  // and a batch, beside them

  // The image's plans must live until FinishResample.
  void Add(const DeviceImage& image, const Tiling& tiling);
  // `value`: in the output's scale.
  void Fill(const OutputView& out, float value);
  void AddIdct(const IdctTask& task);
  // Anything that kernels read; for the address on the device.
  template <class T>
  const T* Put(const T* values, size_t count) {
    return reinterpret_cast<const T*>(PutBytes(values, count * sizeof(T)));
  }

  // After the last task: the launches, and how many bytes have to be uploaded.
  IdctLaunch FinishIdct();
  ResampleLaunch FinishResample(const Spec& spec, const Affine& affine);
  size_t used() const { return used_; }

 private:
  const uint8_t* PutBytes(const void* values, size_t bytes);
  DeviceAxis PutAxis(const Taps& taps, int tile_log2);
  void AddPadding(const DeviceImage& image);
  void AddRectangle(const OutputView& out, int x0, int y0, int x1, int y1, const std::array<uint8_t, 3>* padding,
                    float value);
  void AddTask(const ResampleTask& task, size_t shared_bytes);

  uint8_t *host_, *device_;
  size_t capacity_, used_ = 0;
  std::vector<ResampleTask> tasks_;
  std::vector<uint32_t> first_tile_;
  struct Padding {
    size_t task;
    std::array<uint8_t, 3> fill;  // 8-bit RGB, normalized at the end
  };
  std::vector<Padding> padding_;
  uint32_t tiles_ = 0;
  size_t shared_bytes_ = 0;
  std::vector<IdctTask> idct_;
  std::vector<uint32_t> idct_first_;
  uint32_t idct_tiles_ = 0;
  struct Axis {
    const Taps* taps;
    int tile_log2;
    DeviceAxis axis;
  };
  std::unordered_multimap<size_t, Axis> axes_;  // by a summary of the taps
};

}  // namespace fastpre::cuda
