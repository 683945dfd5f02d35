// Launchers of the kernels. Descriptors must be on the device when the stream gets there.
#pragma once

#include <cuda_runtime_api.h>

namespace fastpre::cuda {

struct ResampleLaunch;
struct IdctLaunch;
struct CanaryLaunch;

cudaError_t LaunchKernel(const ResampleLaunch& launch, cudaStream_t stream);
cudaError_t LaunchKernel(const IdctLaunch& launch, cudaStream_t stream);
cudaError_t LaunchKernel(const CanaryLaunch& launch, cudaStream_t stream);

}  // namespace fastpre::cuda
