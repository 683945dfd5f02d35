// What stands for the GPU in a build without CUDA; the emulator is there all the same.
#include "cuda/backend.h"
#include "cuda/runtime.h"

namespace fastpre {

bool CudaCompiled() { return false; }

std::string CudaMissing() {
  return "this build of fastpre has no CUDA backend (it was compiled without nvcc, or with FASTPRE_CUDA=OFF); use "
         "device=\"cpu\" and move the result with .to(\"cuda\", non_blocking=True), from pinned memory if you can "
         "(pin_memory=True)";
}

namespace cuda {

std::unique_ptr<Runtime> MakeCudaRuntime(int) { throw CudaError(CudaMissing()); }
int DriverVersion() { return 0; }
int RuntimeVersion() { return 0; }
std::vector<DeviceInfo> Devices(std::string* why_none) {
  *why_none = CudaMissing();
  return {};
}
std::string CompiledArchitectures() { return ""; }

}  // namespace cuda
}  // namespace fastpre
