#include "cuda/backend.h"

namespace fastpre {

bool CudaCompiled() { return false; }

std::string CudaMissing() {
  return "this build of fastpre has no CUDA backend (it is CPU-only); use device=\"cpu\" and move the "
         "result with .to(\"cuda\", non_blocking=True), from pinned memory if you can (pin_memory=True)";
}

}  // namespace fastpre
