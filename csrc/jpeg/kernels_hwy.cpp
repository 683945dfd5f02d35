// The decoder's vector kernels compiled for every instruction set (Google Highway), and the ordered
// list of what there is. Contracts are in kernels.h, bodies in the -inl.h files.
#include "jpeg/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "jpeg/kernels_hwy.cpp"
#define HWY_WANT_AVX3_DL 1            // off by default before Highway 1.1
#define HWY_COMPILE_ALL_ATTAINABLE 1  // down to SSSE3 and the emulated 128-bit one, so tests cover them
// A lane of 128 bits is a block's row; scalable vectors would gain nothing over NEON.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include "jpeg/color-inl.h"
#include "jpeg/idct-inl.h"
#include "jpeg/scaled-inl.h"
#include "jpeg/unstuff-inl.h"
#include "jpeg/upsample-inl.h"

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
#if defined(HWY_AVX10_2) && (HWY_TARGETS & HWY_AVX10_2)
  FASTPRE_TRY(AVX10_2);
#endif
#if defined(HWY_AVX3_SPR) && (HWY_TARGETS & HWY_AVX3_SPR)
  FASTPRE_TRY(AVX3_SPR);
#endif
#if defined(HWY_AVX3_ZEN4) && (HWY_TARGETS & HWY_AVX3_ZEN4)
  FASTPRE_TRY(AVX3_ZEN4);
#endif
#if HWY_TARGETS & HWY_AVX3_DL
  FASTPRE_TRY(AVX3_DL);
#endif
#if HWY_TARGETS & HWY_AVX3
  FASTPRE_TRY(AVX3);
#endif
#if HWY_TARGETS & HWY_AVX2
  FASTPRE_TRY(AVX2);
#endif
#if HWY_TARGETS & HWY_SSE4
  FASTPRE_TRY(SSE4);
#endif
#if HWY_TARGETS & HWY_SSSE3
  FASTPRE_TRY(SSSE3);
#endif
#if defined(HWY_SSE2) && (HWY_TARGETS & HWY_SSE2)
  FASTPRE_TRY(SSE2);
#endif
#if defined(HWY_NEON_BF16) && (HWY_TARGETS & HWY_NEON_BF16)
  FASTPRE_TRY(NEON_BF16);
#endif
#if HWY_TARGETS & HWY_NEON
  FASTPRE_TRY(NEON);
#endif
#if defined(HWY_NEON_WITHOUT_AES) && (HWY_TARGETS & HWY_NEON_WITHOUT_AES)
  FASTPRE_TRY(NEON_WITHOUT_AES);
#endif
#if HWY_TARGETS & HWY_EMU128
  FASTPRE_TRY(EMU128);
#endif
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
