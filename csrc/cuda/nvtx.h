// Ranges on a profiler's time line. NVTX 3 is headers only and does nothing until a profiler is attached.
#pragma once

#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>

namespace fastpre::cuda {

inline void NvtxPush(const char* name) { nvtxRangePushA(name); }
inline void NvtxPop() { nvtxRangePop(); }

}  // namespace fastpre::cuda
#else
namespace fastpre::cuda {

inline void NvtxPush(const char*) {}
inline void NvtxPop() {}

}  // namespace fastpre::cuda
#endif
