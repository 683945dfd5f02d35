// The kernels and their launchers; what they do is in resample.h, idct.h and canary.h.
#include <cuda_runtime.h>

#include "cuda/kernels/canary.h"
#include "cuda/kernels/descriptor.h"
#include "cuda/kernels/idct.h"
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/resample.h"
#include "cuda/kernels/thread_block.h"

namespace fastpre::cuda {
namespace {

// --- kernels -------------------------------------------------------------------------------------------------------

extern __shared__ __align__(16) uint8_t shared_memory[];

__global__ void __launch_bounds__(kThreads) ResampleKernel(const __grid_constant__ ResampleLaunch launch) {
  ResampleTile(DeviceBlock(shared_memory), launch);
}

__global__ void __launch_bounds__(kThreads) IdctKernel(const __grid_constant__ IdctLaunch launch) {
  IdctTile(DeviceBlock(shared_memory), launch);
}

__global__ void __launch_bounds__(kThreads) CanaryKernel(const __grid_constant__ CanaryLaunch launch) {
  CanaryPlane(DeviceBlock(shared_memory), launch);
}

}  // namespace

// --- launchers -----------------------------------------------------------------------------------------------------

cudaError_t LaunchKernel(const ResampleLaunch& launch, cudaStream_t stream) {
  if (launch.tiles == 0) return cudaSuccess;
  ResampleKernel<<<launch.tiles, kThreads, launch.shared_bytes, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t LaunchKernel(const IdctLaunch& launch, cudaStream_t stream) {
  if (launch.tiles == 0) return cudaSuccess;
  IdctKernel<<<launch.tiles, kThreads, kIdctShared, stream>>>(launch);
  return cudaGetLastError();
}

cudaError_t LaunchKernel(const CanaryLaunch& launch, cudaStream_t stream) {
  if (launch.count == 0) return cudaSuccess;
  CanaryKernel<<<static_cast<unsigned>(launch.count), kThreads, 0, stream>>>(launch);
  return cudaGetLastError();
}

}  // namespace fastpre::cuda
