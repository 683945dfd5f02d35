// A batch from bytes to the caller's tensor on a device.
//
//   prepare   every image: header, plan, the decoders that it may have (route.h)
//   split     engines and cores get shares that should end together
//   wave      as many images as memory allows, nearly always all of them (wave.h): decode, verify, retry, then one
//             inverse DCT and one resampling kernel on the caller's stream
//
// Returns when everything is decoded and the kernels are asked for; the tensor is complete when the stream gets there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/image.h"
#include "core/source.h"
#include "cpu/record.h"
#include "cuda/device.h"
#include "plan/affine.h"
#include "plan/spec.h"

namespace fastpre::cuda {

struct Batch {
  const std::vector<Source>* sources = nullptr;
  const Spec* spec = nullptr;
  const Affine* affine = nullptr;
  std::function<OutputView(size_t)> slot;  // where image i goes: device memory
  float fill = 0;                          // of slots whose image failed, in the output's scale
  int threads = 1;
  Stream stream = nullptr;       // the caller's
  std::string decoder = "auto";  // or a RouteName, taken wherever it is allowed
};

// Images' faults go into their records. Throws CudaError for everything else; the tensor's contents are then undefined.
std::vector<Record> Run(Device& device, const Batch& batch);

}  // namespace fastpre::cuda
