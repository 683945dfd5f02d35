// nvjpeg/api.h against NVIDIA's own header: constants, layouts, and every function's parameters. Needs nvjpeg.h and the
// CUDA headers that it includes; nothing is called, so neither a library nor a GPU.
#include <nvjpeg.h>

#include <cstdio>
#include <type_traits>

#include "cuda/nvjpeg/api.h"

namespace fastpre::cuda {
namespace {

// What a class of nvJPEG's is called here.
template <class T>
struct Ours;
template <class Name>
struct Is {
  using Type = Name;
};
template <>
struct Ours<nvjpegHandle> : Is<NvjpegHandle> {};
template <>
struct Ours<nvjpegJpegState> : Is<NvjpegState> {};
template <>
struct Ours<nvjpegJpegStream> : Is<NvjpegStream> {};
template <>
struct Ours<nvjpegDecodeParams> : Is<NvjpegParams> {};
template <>
struct Ours<nvjpegJpegDecoder> : Is<NvjpegCudaDecoder> {};
template <>
struct Ours<nvjpegBufferPinned> : Is<NvjpegPinned> {};
template <>
struct Ours<nvjpegBufferDevice> : Is<NvjpegDevice> {};
template <>
struct Ours<nvjpegImage_t> : Is<NvjpegImage> {};
template <>
struct Ours<nvjpegDevAllocatorV2_t> : Is<NvjpegAllocator> {};
template <>
struct Ours<nvjpegPinnedAllocatorV2_t> : Is<NvjpegAllocator> {};
template <>
struct Ours<std::remove_pointer_t<cudaStream_t>> : Is<void> {};

// Whether two types are passed alike and mean alike: A is nvJPEG's, B is ours.
template <class A, class B>
struct Alike;

template <class A, class B>
constexpr bool AlikeTypes() {
  if constexpr (std::is_function_v<A> || std::is_function_v<B>) {
    return Alike<A, B>::value;
  } else if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    using X = std::remove_pointer_t<A>;
    using Y = std::remove_pointer_t<B>;
    return std::is_const_v<X> == std::is_const_v<Y> && AlikeTypes<std::remove_cv_t<X>, std::remove_cv_t<Y>>();
  } else if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) {
    return false;
  } else if constexpr (std::is_class_v<A>) {
    return std::is_same_v<B, typename Ours<A>::Type>;
  } else if constexpr (std::is_enum_v<A>) {
    return std::is_same_v<B, int> && sizeof(A) == sizeof(B);
  } else {
    return std::is_same_v<A, B>;
  }
}

template <class A, class B>
struct Alike : std::false_type {};

template <class RA, class... A, class RB, class... B>
  requires(sizeof...(A) == sizeof...(B))
struct Alike<RA(A...), RB(B...)>
    : std::bool_constant<AlikeTypes<RA, RB>() && (AlikeTypes<std::remove_cv_t<A>, std::remove_cv_t<B>>() && ...)> {};

template <class A, class B>
struct Alike<A*, B*> : std::bool_constant<AlikeTypes<A, B>()> {};

// The comparison itself sees differences.
static_assert(Alike<cudaStream_t(const char* const*, int), void*(const char* const*, int)>::value);
static_assert(!Alike<int(const char**), int(const char* const*)>::value);
static_assert(!Alike<int(int), int(int, int)>::value);
static_assert(!Alike<int(int*), int(int**)>::value);
static_assert(!Alike<int(size_t), int(int)>::value);
static_assert(!Alike<int(nvjpegBackend_t), int(size_t)>::value);
static_assert(!Alike<int(nvjpegHandle_t), int(NvjpegState*)>::value);

#define FASTPRE_ALIKE(name, ...) \
  static_assert(Alike<decltype(&nvjpeg##name), decltype(NvjpegApi::name)>::value, "nvjpeg" #name);
FASTPRE_NVJPEG_FUNCTIONS(FASTPRE_ALIKE)
#undef FASTPRE_ALIKE

static_assert(kNvjpegSuccess == NVJPEG_STATUS_SUCCESS);
static_assert(kNvjpegNotInitialized == NVJPEG_STATUS_NOT_INITIALIZED);
static_assert(kNvjpegInvalidParameter == NVJPEG_STATUS_INVALID_PARAMETER);
static_assert(kNvjpegBadJpeg == NVJPEG_STATUS_BAD_JPEG);
static_assert(kNvjpegJpegNotSupported == NVJPEG_STATUS_JPEG_NOT_SUPPORTED);
static_assert(kNvjpegAllocatorFailure == NVJPEG_STATUS_ALLOCATOR_FAILURE);
static_assert(kNvjpegExecutionFailed == NVJPEG_STATUS_EXECUTION_FAILED);
static_assert(kNvjpegArchMismatch == NVJPEG_STATUS_ARCH_MISMATCH);
static_assert(kNvjpegInternalError == NVJPEG_STATUS_INTERNAL_ERROR);
static_assert(kNvjpegImplementationNotSupported == NVJPEG_STATUS_IMPLEMENTATION_NOT_SUPPORTED);
static_assert(kNvjpegIncompleteBitstream == NVJPEG_STATUS_INCOMPLETE_BITSTREAM);

static_assert(kNvjpegMajorVersion == MAJOR_VERSION && kNvjpegMinorVersion == MINOR_VERSION);
static_assert(kNvjpegPatchLevel == PATCH_LEVEL);
static_assert(kNvjpegBackendHybrid == NVJPEG_BACKEND_HYBRID && kNvjpegBackendHardware == NVJPEG_BACKEND_HARDWARE);
static_assert(kNvjpegOutputUnchanged == NVJPEG_OUTPUT_UNCHANGED);
static_assert(kNvjpegScaleNone == NVJPEG_SCALE_NONE && kNvjpegScaleHalf == NVJPEG_SCALE_1_BY_2);
static_assert(kNvjpegScaleQuarter == NVJPEG_SCALE_1_BY_4 && kNvjpegScaleEighth == NVJPEG_SCALE_1_BY_8);

static_assert(sizeof(NvjpegImage) == sizeof(nvjpegImage_t) && alignof(NvjpegImage) == alignof(nvjpegImage_t));
static_assert(offsetof(NvjpegImage, channel) == offsetof(nvjpegImage_t, channel));
static_assert(offsetof(NvjpegImage, pitch) == offsetof(nvjpegImage_t, pitch));
static_assert(std::is_same_v<decltype(NvjpegImage::channel), decltype(nvjpegImage_t::channel)>);
static_assert(std::is_same_v<decltype(NvjpegImage::pitch), decltype(nvjpegImage_t::pitch)>);

static_assert(sizeof(NvjpegAllocator) == sizeof(nvjpegDevAllocatorV2_t));
static_assert(offsetof(NvjpegAllocator, allocate) == offsetof(nvjpegDevAllocatorV2_t, dev_malloc));
static_assert(offsetof(NvjpegAllocator, free) == offsetof(nvjpegDevAllocatorV2_t, dev_free));
static_assert(offsetof(NvjpegAllocator, context) == offsetof(nvjpegDevAllocatorV2_t, dev_ctx));
static_assert(Alike<tDevMallocV2, decltype(NvjpegAllocator::allocate)>::value);
static_assert(Alike<tDevFreeV2, decltype(NvjpegAllocator::free)>::value);
static_assert(sizeof(NvjpegAllocator) == sizeof(nvjpegPinnedAllocatorV2_t));
static_assert(offsetof(NvjpegAllocator, allocate) == offsetof(nvjpegPinnedAllocatorV2_t, pinned_malloc));
static_assert(offsetof(NvjpegAllocator, free) == offsetof(nvjpegPinnedAllocatorV2_t, pinned_free));
static_assert(offsetof(NvjpegAllocator, context) == offsetof(nvjpegPinnedAllocatorV2_t, pinned_ctx));
static_assert(Alike<tPinnedMallocV2, decltype(NvjpegAllocator::allocate)>::value);
static_assert(Alike<tPinnedFreeV2, decltype(NvjpegAllocator::free)>::value);

}  // namespace
}  // namespace fastpre::cuda

int main() {
  constexpr int kFunctions = sizeof(fastpre::cuda::NvjpegApi) / sizeof(void*);
  std::printf("nvjpeg_abi: %d functions as in nvjpeg.h %d.%d.%d\n", kFunctions, NVJPEG_VER_MAJOR, NVJPEG_VER_MINOR,
              NVJPEG_VER_PATCH);
}
