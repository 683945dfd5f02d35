// nvJPEG, loaded when it is first needed: the hardware JPEG engines (batches) and the CUDA decoder (one image a call).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/image.h"
#include "cuda/bounded_memory.h"
#include "cuda/runtime.h"

namespace fastpre::cuda {

struct NvjpegApi;  // api.h

// The shared library, kept for the life of the process.
class NvjpegLibrary {
 public:
  // Tries `candidates` (paths or names for dlopen) in order. Throws CudaError with every candidate's reason, and what
  // to install, if none will do: one that is missing, lacks a symbol, or is of another version than 12.1 to 13.x.
  static std::shared_ptr<const NvjpegLibrary> Load(const std::vector<std::string>& candidates);

  const NvjpegApi& api() const { return *api_; }
  const std::string& path() const { return path_; }  // of the file that was loaded
  int major() const { return major_; }
  int minor() const { return minor_; }
  int patch() const { return patch_; }
  std::string version() const;
  ~NvjpegLibrary();

 private:
  NvjpegLibrary() = default;
  std::unique_ptr<NvjpegApi> api_;
  std::string path_;
  int major_ = 0, minor_ = 0, patch_ = 0;
};

// One image for nvJPEG: planar, each component at its own resolution, written at plane[c] + y * pitch[c].
struct NvjpegTask {
  Bytes bytes;  // in host memory, unchanged until the stream is done: whether nvJPEG copies them is not documented
  int frame_width = 0, frame_height = 0, components = 0;
  std::array<int, 4> width{},
      height{};                     // samples of each component at full size, by our own parser: nvJPEG's must agree
  std::array<uint8_t*, 4> plane{};  // device memory
  std::array<size_t, 4> pitch{};
  bool out_of_memory = false;  // what `failure` is about
  std::string failure;         // set by the decoder: why this image has to go elsewhere
};

// The hardware engines. One call at a time, from any thread; streams given to Decode outlive the decoder.
//
// Trap: on some releases the engines' writes can land before earlier work on the same stream is done (H100,
// 12.3.5 to 13.2.1). The planes' memory must be drained, by waiting on the host, before Decode is called.
class HardwareDecoder {
 public:
  // Throws CudaError if this device or this library has no engines that answer.
  HardwareDecoder(std::shared_ptr<const NvjpegLibrary> library, Runtime* runtime, BoundedMemory* device,
                  BoundedMemory* pinned);
  ~HardwareDecoder();

  int engines() const;
  int cores_per_engine() const;
  // nvJPEG's own verdict on the task's bytes, from the header, which must give the sizes that the task has: why not, or
  // empty. `scale`: the decoded side of a block, 8, 4, 2 or 1.
  std::string WhyNot(const NvjpegTask& task, int scale);
  // Asks for all tasks in one batch, every image at the same scale, after waiting for the batch before. A batch that
  // nvJPEG refuses is halved until the images at fault are alone, in a bounded number of calls: they get their
  // `failure`. Success of the others is only known from what was written, once `stream` is done.
  void Decode(std::span<NvjpegTask* const> tasks, int scale, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// nvJPEG's CUDA decoder, Huffman decoding on the CPU. One call at a time, from any thread; streams given to Decode
// outlive the decoder.
class HybridDecoder {
 public:
  // Throws CudaError.
  HybridDecoder(std::shared_ptr<const NvjpegLibrary> library, Runtime* runtime, BoundedMemory* device,
                BoundedMemory* pinned);
  ~HybridDecoder();

  // Returns when the host's part is done; nvJPEG's refusal is the task's `failure`. `region`: in pixels, null for the
  // whole image; planes then begin at its corner. A caller that gives one knows how this release rounds it.
  void Decode(NvjpegTask* task, const Rect* region, Stream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fastpre::cuda
