// The decoder's vector kernels compiled for every instruction set (Google Highway), and the ordered
// list of what there is. Contracts are in kernels.h, bodies in the -inl.h files.
#include "jpeg/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jpeg/kernels/kernels_hwy.cpp"
// Before Highway's headers.
#include "core/highway_config.h"

#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "jpeg/kernels/color-inl.h"
#include "jpeg/kernels/idct-inl.h"
#include "jpeg/kernels/scaled-inl.h"
#include "jpeg/kernels/unstuff-inl.h"
#include "jpeg/kernels/upsample-inl.h"

#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace fastpre::jpeg {
namespace HWY_NAMESPACE {

constexpr JpegKernels kTable = {nullptr,
                                HWY_TARGET,
                                Unstuff,
                                Idct,
                                {nullptr, ScaledOne, ScaledSmall<2>, ScaledSmall<3>, ScaledSmall<4>, ScaledLarge<5>,
                                 ScaledLarge<6>, ScaledLarge<7>, nullptr},
                                H2V1,
                                H2V2,
                                H1V2,
                                YccToRgbx,
                                GrayToRgbx,
                                Interleave4,
                                Deinterleave4};

// Not a static initializer: nothing compiled for this target may run before the CPU is known to have it.
JpegKernels Table() {
  JpegKernels table = kTable;
  table.name = hwy::TargetName(HWY_TARGET);
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace fastpre::jpeg
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET != HWY_SCALAR

#if HWY_ONCE
namespace fastpre {
namespace jpeg {

const JpegKernels* ScalarKernels();  // kernels_scalar.cpp

namespace {

std::vector<JpegKernels> Compiled() {
  const int64_t supported = hwy::SupportedTargets();
  std::vector<JpegKernels> list;
  (void)supported;
#define FASTPRE_TRY(TARGET) \
  if (supported & HWY_##TARGET) list.push_back(N_##TARGET::Table())
#include "core/highway_targets.inc"
#undef FASTPRE_TRY
  return list;
}

const std::vector<JpegKernels>& Vectorized() {
  static const std::vector<JpegKernels> list = Compiled();
  return list;
}

}  // namespace
}  // namespace jpeg

std::vector<const JpegKernels*> AvailableJpegKernels() {
  std::vector<const JpegKernels*> list;
  for (const JpegKernels& table : jpeg::Vectorized()) list.push_back(&table);
  list.push_back(jpeg::ScalarKernels());
  return list;
}

const JpegKernels& JpegKernelsFor(int64_t target) {
  if (target != 0) {
    for (const JpegKernels& table : jpeg::Vectorized()) {
      if (table.target >= target) return table;  // Highway's better targets are lower bits
    }
  }
  return *jpeg::ScalarKernels();
}

}  // namespace fastpre
#endif  // HWY_ONCE
