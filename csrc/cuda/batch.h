// A batch from bytes to the caller's tensor on a device.
//
//   prepare      every image: header, plan, the decoders that it may have (decode_path.h)
//   assign       engines and cores get shares that should end together
//   micro-batch  as many images as memory allows, nearly always all of them (micro_batch.h): decode, verify, retry,
//                then one inverse DCT and one resampling kernel on the caller's stream
//
// Returns when everything is decoded and the kernels are asked for; the tensor is complete when the stream gets there.
#pragma once

#include <string>
#include <vector>

#include "core/batch.h"
#include "core/record.h"
#include "cuda/device.h"

namespace fastpre::cuda {

struct Batch : fastpre::Batch {  // slots are device memory
  Stream stream = nullptr;       // the caller's
  std::string decoder = "auto";  // or a PathName, taken wherever it is allowed
};

// Images' faults go into their records. Throws Cancelled, and CudaError for everything else; the
// tensor's contents are then undefined.
std::vector<Record> Run(Device& device, const Batch& batch);

}  // namespace fastpre::cuda
