// The CUDA backend's front door. A build without it keeps these names and says what to install.
#pragma once

#include <string>

namespace fastpre {

bool CudaCompiled();

// Why `device="cuda"` cannot work here, and what to do about it; empty if it can. Makes no CUDA context.
std::string CudaMissing();

}  // namespace fastpre
