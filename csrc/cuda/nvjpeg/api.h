// What fastpre uses of nvJPEG's C interface, 12.1 to 13.x, declared anew: a build needs no nvjpeg.h, and a wheel built
// once runs with any of these releases. tests/cpp/nvjpeg_abi_test.cpp holds it against a real header.
#pragma once

#include <cstddef>

namespace fastpre::cuda {

// Opaque in nvJPEG too.
struct NvjpegHandle;
struct NvjpegState;
struct NvjpegStream;  // a parsed header, not a CUDA stream
struct NvjpegParams;
struct NvjpegCudaDecoder;
struct NvjpegPinned;
struct NvjpegDevice;

using NvjpegCudaStream = void*;  // cudaStream_t

// C enumerations of nvJPEG's are ints here: a value that this file does not know is no undefined behaviour.
using NvjpegStatus = int;
inline constexpr NvjpegStatus kNvjpegSuccess = 0;
inline constexpr NvjpegStatus kNvjpegNotInitialized = 1;
inline constexpr NvjpegStatus kNvjpegInvalidParameter = 2;
inline constexpr NvjpegStatus kNvjpegBadJpeg = 3;
inline constexpr NvjpegStatus kNvjpegJpegNotSupported = 4;
inline constexpr NvjpegStatus kNvjpegAllocatorFailure = 5;
inline constexpr NvjpegStatus kNvjpegExecutionFailed = 6;
inline constexpr NvjpegStatus kNvjpegArchMismatch = 7;
inline constexpr NvjpegStatus kNvjpegInternalError = 8;
inline constexpr NvjpegStatus kNvjpegImplementationNotSupported = 9;
inline constexpr NvjpegStatus kNvjpegIncompleteBitstream = 10;

inline constexpr int kNvjpegMajorVersion = 0, kNvjpegMinorVersion = 1, kNvjpegPatchLevel = 2;  // of GetProperty
inline constexpr int kNvjpegBackendHybrid = 1, kNvjpegBackendHardware = 3;
inline constexpr int kNvjpegOutputUnchanged = 0;  // planes as they are coded, each at its own resolution
inline constexpr int kNvjpegScaleNone = 0, kNvjpegScaleHalf = 1, kNvjpegScaleQuarter = 2, kNvjpegScaleEighth = 3;

struct NvjpegImage {
  unsigned char* channel[4];
  size_t pitch[4];
};

// Called back by nvJPEG, in its own order: 0 is success. `stream`: where the memory is, or was, used.
struct NvjpegAllocator {
  int (*allocate)(void* context, void** memory, size_t bytes, NvjpegCudaStream stream);
  int (*free)(void* context, void* memory, size_t bytes, NvjpegCudaStream stream);
  void* context;
};

// X(Name, parameters...) for every function: nvjpegName in the library. One list, so that what is declared, loaded,
// faked and held against the header is the same.
#define FASTPRE_NVJPEG_FUNCTIONS(X)                                                                                   \
  X(GetProperty, int type, int* value)                                                                                \
  X(CreateExV2, int backend, NvjpegAllocator* device, NvjpegAllocator* pinned, unsigned int flags,                    \
    NvjpegHandle** handle)                                                                                            \
  X(Destroy, NvjpegHandle* handle)                                                                                    \
  X(GetHardwareDecoderInfo, NvjpegHandle* handle, unsigned int* engines, unsigned int* cores_per_engine)              \
  X(JpegStateCreate, NvjpegHandle* handle, NvjpegState** state)                                                       \
  X(JpegStateDestroy, NvjpegState* state)                                                                             \
  X(DecodeBatchedInitialize, NvjpegHandle* handle, NvjpegState* state, int batch_size, int max_cpu_threads,           \
    int output_format)                                                                                                \
  X(DecodeBatched, NvjpegHandle* handle, NvjpegState* state, const unsigned char* const* data, const size_t* lengths, \
    NvjpegImage* destinations, NvjpegCudaStream stream)                                                               \
  X(DecodeBatchedEx, NvjpegHandle* handle, NvjpegState* state, const unsigned char* const* data,                      \
    const size_t* lengths, NvjpegImage* destinations, NvjpegParams** params, NvjpegCudaStream stream)                 \
  X(DecodeBatchedSupported, NvjpegHandle* handle, NvjpegStream* header, int* unsupported)                             \
  X(DecodeBatchedSupportedEx, NvjpegHandle* handle, NvjpegStream* header, NvjpegParams* params, int* unsupported)     \
  X(DecodeParamsCreate, NvjpegHandle* handle, NvjpegParams** params)                                                  \
  X(DecodeParamsDestroy, NvjpegParams* params)                                                                        \
  X(DecodeParamsSetOutputFormat, NvjpegParams* params, int output_format)                                             \
  X(DecodeParamsSetROI, NvjpegParams* params, int x, int y, int width, int height)                                    \
  X(DecodeParamsSetScaleFactor, NvjpegParams* params, int scale_factor)                                               \
  X(JpegStreamCreate, NvjpegHandle* handle, NvjpegStream** header)                                                    \
  X(JpegStreamDestroy, NvjpegStream* header)                                                                          \
  X(JpegStreamParse, NvjpegHandle* handle, const unsigned char* data, size_t length, int save_metadata,               \
    int save_stream, NvjpegStream* header)                                                                            \
  X(JpegStreamParseHeader, NvjpegHandle* handle, const unsigned char* data, size_t length, NvjpegStream* header)      \
  X(JpegStreamGetFrameDimensions, NvjpegStream* header, unsigned int* width, unsigned int* height)                    \
  X(JpegStreamGetComponentsNum, NvjpegStream* header, unsigned int* components)                                       \
  X(JpegStreamGetComponentDimensions, NvjpegStream* header, unsigned int component, unsigned int* width,              \
    unsigned int* height)                                                                                             \
  X(DecoderCreate, NvjpegHandle* handle, int backend, NvjpegCudaDecoder** decoder)                                    \
  X(DecoderDestroy, NvjpegCudaDecoder* decoder)                                                                       \
  X(DecoderStateCreate, NvjpegHandle* handle, NvjpegCudaDecoder* decoder, NvjpegState** state)                        \
  X(BufferPinnedCreateV2, NvjpegHandle* handle, NvjpegAllocator* allocator, NvjpegPinned** buffer)                    \
  X(BufferPinnedDestroy, NvjpegPinned* buffer)                                                                        \
  X(BufferDeviceCreateV2, NvjpegHandle* handle, NvjpegAllocator* allocator, NvjpegDevice** buffer)                    \
  X(BufferDeviceDestroy, NvjpegDevice* buffer)                                                                        \
  X(StateAttachPinnedBuffer, NvjpegState* state, NvjpegPinned* buffer)                                                \
  X(StateAttachDeviceBuffer, NvjpegState* state, NvjpegDevice* buffer)                                                \
  X(DecodeJpegHost, NvjpegHandle* handle, NvjpegCudaDecoder* decoder, NvjpegState* state, NvjpegParams* params,       \
    NvjpegStream* header)                                                                                             \
  X(DecodeJpegTransferToDevice, NvjpegHandle* handle, NvjpegCudaDecoder* decoder, NvjpegState* state,                 \
    NvjpegStream* header, NvjpegCudaStream stream)                                                                    \
  X(DecodeJpegDevice, NvjpegHandle* handle, NvjpegCudaDecoder* decoder, NvjpegState* state, NvjpegImage* destination, \
    NvjpegCudaStream stream)

struct NvjpegApi {
#define FASTPRE_NVJPEG_MEMBER(name, ...) NvjpegStatus (*name)(__VA_ARGS__) = nullptr;
  FASTPRE_NVJPEG_FUNCTIONS(FASTPRE_NVJPEG_MEMBER)
#undef FASTPRE_NVJPEG_MEMBER
};

}  // namespace fastpre::cuda
