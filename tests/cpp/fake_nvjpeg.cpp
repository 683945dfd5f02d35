// A libnvjpeg without a GPU, for tests: the same symbols, decoding with libjpeg-turbo into whatever memory it is given,
// at once, whatever the stream still has to do. It misbehaves on request. Needs libjpeg alone:
//   c++ -std=c++20 -O1 -shared -fPIC -Icsrc tests/cpp/fake_nvjpeg.cpp -ljpeg -o libfake_nvjpeg.so
//
// Where the real one's answer is not known, this is what the fake does:
// - Scaled planes are averages of 2x2, 4x4 or 8x8 samples of the full ones (libjpeg's own scaling would give chroma the
//   size of luma), ceil(size / factor) of them a row, blocks' padding included as a scaled inverse DCT would.
// - A region's chroma begins at floor(x0 * h / hmax) and ends before ceil(x1 * h / hmax).
// - Any warning of libjpeg's makes the stream a bad one, for its whole batch.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda/nvjpeg/api.h"
#include "raw_planes.h"

namespace fastpre::cuda {
namespace {

using test::CeilDiv;
using test::PlanesLayout;
using test::ReadRawPlanes;

using Settings = std::map<std::string, std::atomic<int>>;

template <class... Pairs>
Settings* MakeSettings(const Pairs&... pairs) {
  auto* const settings = new Settings;
  ((*settings)[pairs.first].store(pairs.second), ...);
  return settings;
}

// Images are counted from 0 within a batch of the hardware's; -1: none.
Settings& faults = *MakeSettings(std::pair("skip_image", -1),  // is called a success and not written
                                 std::pair("half_image", -1),  // only the upper half of its rows is
                                 std::pair("fail_batch", -1),  // known by its address from the first batch that has
                                                               // one: any batch it is in fails, until set again
                                 std::pair("fail_create", 0),  // status of CreateExV2
                                 std::pair("engines", 2),      //
                                 std::pair("version", 13000),  // 1000 * major + 10 * minor + patch
                                 std::pair("noise", 0),        // added to every other sample, subtracted from the rest
                                 std::pair("allocator_probe", 0));  // device bytes wanted for the time of every decode
// allocated_bytes is what is held at this moment, of both kinds.
Settings& counts = *MakeSettings(std::pair("batches", 0), std::pair("images", 0), std::pair("hybrid_images", 0),
                                 std::pair("allocated_bytes", 0), std::pair("regions", 0));

int Fault(const char* what) { return faults.at(what); }

std::mutex victim_mutex;
const unsigned char* victim = nullptr;

struct Region {
  int x = 0, y = 0, width = -1, height = -1;
  bool whole() const { return width < 0; }
};

// `factor`: samples averaged along each axis. Everything, or the upper half.
void Write(const PlanesLayout& layout, const uint8_t* memory, const NvjpegImage& image, const Region& region,
           int factor, bool half) {
  const int noise = Fault("noise");
  for (int c = 0; c < layout.components; ++c) {
    const test::RawPlane& p = layout.planes[c];
    int x0 = 0, y0 = 0, x1 = CeilDiv(p.width, factor), y1 = CeilDiv(p.height, factor);
    if (!region.whole()) {
      x0 = region.x * p.h / layout.max_h, y0 = region.y * p.v / layout.max_v;
      x1 = CeilDiv((region.x + region.width) * p.h, layout.max_h);
      y1 = CeilDiv((region.y + region.height) * p.v, layout.max_v);
    }
    const int end = half ? y0 + (y1 - y0) / 2 : y1;
    for (int y = y0; y < end; ++y) {
      uint8_t* const out = image.channel[c] + static_cast<size_t>(y - y0) * image.pitch[c];
      for (int x = x0; x < x1; ++x) {
        int sum = 0;
        for (int i = 0; i < factor * factor; ++i) {
          const int row = y * factor + i / factor, column = x * factor + i % factor;
          sum += memory[p.offset + static_cast<size_t>(row) * p.pitch + column];
        }
        const int value = (sum + factor * factor / 2) / (factor * factor) + ((x + y) % 2 ? -noise : noise);
        out[x - x0] = static_cast<uint8_t>(std::clamp(value, 0, 255));
      }
    }
  }
}

// Memory from the caller's allocator that grows and never shrinks, as the real one's does. Growing frees first.
class Growing {
 public:
  explicit Growing(const NvjpegAllocator& allocator) : allocator_(allocator) {}
  ~Growing() { Free(nullptr); }
  Growing(const Growing&) = delete;
  Growing& operator=(const Growing&) = delete;

  bool Grow(size_t bytes, NvjpegCudaStream stream) {
    if (bytes <= bytes_) return true;
    Free(stream);
    void* memory = nullptr;
    if (allocator_.allocate(allocator_.context, &memory, bytes, stream) != 0 || !memory) return false;
    std::memset(memory, 0x5A, bytes);
    memory_ = static_cast<uint8_t*>(memory), bytes_ = bytes;
    counts.at("allocated_bytes") += static_cast<int>(bytes);
    return true;
  }
  void Free(NvjpegCudaStream stream) {
    if (!memory_) return;
    allocator_.free(allocator_.context, memory_, bytes_, stream);
    counts.at("allocated_bytes") -= static_cast<int>(bytes_);
    memory_ = nullptr, bytes_ = 0;
  }
  uint8_t* memory() const { return memory_; }

 private:
  NvjpegAllocator allocator_;
  uint8_t* memory_ = nullptr;
  size_t bytes_ = 0;
};

constexpr size_t kStateBytes = 1024;  // of either kind, from the start

}  // namespace

// --- The library's objects ---

struct NvjpegHandle {
  int backend;
  NvjpegAllocator device, pinned;
};
struct NvjpegCudaDecoder {};
struct NvjpegParams {
  int format = -1, scale = kNvjpegScaleNone;
  Region region;
};
struct NvjpegStream {
  const unsigned char* data = nullptr;
  size_t length = 0;
  PlanesLayout layout;
};
struct NvjpegPinned : Growing {
  using Growing::Growing;
};
struct NvjpegDevice : Growing {
  using Growing::Growing;
};
struct NvjpegState {
  explicit NvjpegState(const NvjpegHandle& handle) : own_device(handle.device), own_pinned(handle.pinned) {}
  Growing own_device, own_pinned;  // of the hardware's
  int batch_size = 0;
  NvjpegPinned* pinned = nullptr;  // attached, of the CUDA decoder's
  NvjpegDevice* device = nullptr;
  enum { kIdle, kOnHost, kOnDevice } phase = kIdle;
  PlanesLayout layout;
  Region region;
};

namespace {

template <class T>
NvjpegStatus Destroy(T* object) {
  if (!object) return kNvjpegInvalidParameter;
  delete object;
  return kNvjpegSuccess;
}

bool HasVictim(const unsigned char* const* data, int size) {
  const int index = Fault("fail_batch");
  const std::lock_guard<std::mutex> lock(victim_mutex);
  if (index < 0) return false;
  if (!victim && index < size) victim = data[index];
  return victim && std::find(data, data + size, victim) != data + size;
}

// A temporary need; false: refused.
bool Probe(const NvjpegAllocator& allocator, NvjpegCudaStream stream) {
  const int bytes = Fault("allocator_probe");
  if (bytes <= 0) return true;
  Growing temporary(allocator);
  return temporary.Grow(static_cast<size_t>(bytes), stream);
}

NvjpegStatus DecodeBatch(NvjpegHandle* handle, NvjpegState* state, const unsigned char* const* data,
                         const size_t* lengths, const NvjpegImage* images, NvjpegParams* const* params,
                         NvjpegCudaStream stream) {
  const int size = std::exchange(state->batch_size, 0);  // a failed batch has to be initialized again
  if (size <= 0) return kNvjpegNotInitialized;
  ++counts.at("batches");
  if (HasVictim(data, size)) return kNvjpegExecutionFailed;
  size_t streams = 0;
  for (int i = 0; i < size; ++i) streams += lengths[i];
  if (!Probe(handle->device, stream) || !state->own_pinned.Grow(streams, stream)) return kNvjpegAllocatorFailure;
  for (int i = 0; i < size; ++i) {
    PlanesLayout layout;
    if (!ReadRawPlanes(data[i], lengths[i], &layout, nullptr)) return kNvjpegBadJpeg;
    if (!layout.plain) return kNvjpegJpegNotSupported;
    if (!state->own_device.Grow(layout.bytes, stream)) return kNvjpegAllocatorFailure;
    if (!ReadRawPlanes(data[i], lengths[i], &layout, state->own_device.memory())) return kNvjpegBadJpeg;
    if (i != Fault("skip_image")) {
      const int factor = params ? 1 << params[i]->scale : 1;
      Write(layout, state->own_device.memory(), images[i], Region{}, factor, i == Fault("half_image"));
    }
    ++counts.at("images");
  }
  state->batch_size = size;
  return kNvjpegSuccess;
}

NvjpegStatus Parse(const unsigned char* data, size_t length, NvjpegStream* header) {
  header->data = data, header->length = length;
  return ReadRawPlanes(data, length, &header->layout, nullptr) ? kNvjpegSuccess : kNvjpegBadJpeg;
}

}  // namespace
}  // namespace fastpre::cuda

using namespace fastpre::cuda;  // NOLINT: the symbols below are C's

#define FAKE extern "C" __attribute__((visibility("default"))) NvjpegStatus

FAKE nvjpegGetProperty(int type, int* value) {
  const int version = Fault("version");
  *value = type == kNvjpegMajorVersion   ? version / 1000
           : type == kNvjpegMinorVersion ? version / 10 % 100
                                         : version % 10;
  return kNvjpegSuccess;
}
FAKE nvjpegCreateExV2(int backend, NvjpegAllocator* device, NvjpegAllocator* pinned, unsigned int, NvjpegHandle** out) {
  if (const int status = Fault("fail_create")) return status;
  if (!device || !pinned) return kNvjpegInvalidParameter;
  *out = new NvjpegHandle{backend, *device, *pinned};
  return kNvjpegSuccess;
}
FAKE nvjpegDestroy(NvjpegHandle* handle) { return Destroy(handle); }
FAKE nvjpegGetHardwareDecoderInfo(NvjpegHandle*, unsigned int* engines, unsigned int* cores) {
  *engines = static_cast<unsigned int>(Fault("engines"));
  *cores = 1;
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStateCreate(NvjpegHandle* handle, NvjpegState** out) {
  auto state = std::make_unique<NvjpegState>(*handle);
  if (!state->own_device.Grow(kStateBytes, nullptr) || !state->own_pinned.Grow(kStateBytes, nullptr)) {
    return kNvjpegAllocatorFailure;
  }
  *out = state.release();
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStateDestroy(NvjpegState* state) { return Destroy(state); }
FAKE nvjpegDecodeBatchedInitialize(NvjpegHandle* handle, NvjpegState* state, int batch_size, int threads, int format) {
  if (handle->backend != kNvjpegBackendHardware || batch_size < 1 || threads < 1 || format != kNvjpegOutputUnchanged) {
    return kNvjpegInvalidParameter;
  }
  state->batch_size = batch_size;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeBatched(NvjpegHandle* handle, NvjpegState* state, const unsigned char* const* data,
                         const size_t* lengths, NvjpegImage* images, NvjpegCudaStream stream) {
  return DecodeBatch(handle, state, data, lengths, images, nullptr, stream);
}
FAKE nvjpegDecodeBatchedEx(NvjpegHandle* handle, NvjpegState* state, const unsigned char* const* data,
                           const size_t* lengths, NvjpegImage* images, NvjpegParams** params, NvjpegCudaStream stream) {
  return DecodeBatch(handle, state, data, lengths, images, params, stream);
}
FAKE nvjpegDecodeBatchedSupported(NvjpegHandle*, NvjpegStream* header, int* unsupported) {
  *unsupported = header->layout.plain ? 0 : 1;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeBatchedSupportedEx(NvjpegHandle* handle, NvjpegStream* header, NvjpegParams*, int* unsupported) {
  return nvjpegDecodeBatchedSupported(handle, header, unsupported);
}
FAKE nvjpegDecodeParamsCreate(NvjpegHandle*, NvjpegParams** out) {
  *out = new NvjpegParams;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeParamsDestroy(NvjpegParams* params) { return Destroy(params); }
FAKE nvjpegDecodeParamsSetOutputFormat(NvjpegParams* params, int format) {
  params->format = format;
  return format == kNvjpegOutputUnchanged ? kNvjpegSuccess : kNvjpegInvalidParameter;
}
FAKE nvjpegDecodeParamsSetROI(NvjpegParams* params, int x, int y, int width, int height) {
  params->region = {x, y, width, height};
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeParamsSetScaleFactor(NvjpegParams* params, int scale) {
  if (scale < kNvjpegScaleNone || scale > kNvjpegScaleEighth) return kNvjpegInvalidParameter;
  params->scale = scale;
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStreamCreate(NvjpegHandle*, NvjpegStream** out) {
  *out = new NvjpegStream;
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStreamDestroy(NvjpegStream* header) { return Destroy(header); }
FAKE nvjpegJpegStreamParse(NvjpegHandle*, const unsigned char* data, size_t length, int, int, NvjpegStream* header) {
  return Parse(data, length, header);
}
FAKE nvjpegJpegStreamParseHeader(NvjpegHandle*, const unsigned char* data, size_t length, NvjpegStream* header) {
  return Parse(data, length, header);
}
FAKE nvjpegJpegStreamGetFrameDimensions(NvjpegStream* header, unsigned int* width, unsigned int* height) {
  *width = static_cast<unsigned int>(header->layout.width);
  *height = static_cast<unsigned int>(header->layout.height);
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStreamGetComponentsNum(NvjpegStream* header, unsigned int* components) {
  *components = static_cast<unsigned int>(header->layout.components);
  return kNvjpegSuccess;
}
FAKE nvjpegJpegStreamGetComponentDimensions(NvjpegStream* header, unsigned int component, unsigned int* width,
                                            unsigned int* height) {
  if (component >= static_cast<unsigned int>(header->layout.components)) return kNvjpegInvalidParameter;
  *width = static_cast<unsigned int>(header->layout.planes[component].width);
  *height = static_cast<unsigned int>(header->layout.planes[component].height);
  return kNvjpegSuccess;
}
FAKE nvjpegDecoderCreate(NvjpegHandle*, int backend, NvjpegCudaDecoder** out) {
  if (backend != kNvjpegBackendHybrid) return kNvjpegImplementationNotSupported;
  *out = new NvjpegCudaDecoder;
  return kNvjpegSuccess;
}
FAKE nvjpegDecoderDestroy(NvjpegCudaDecoder* decoder) { return Destroy(decoder); }
FAKE nvjpegDecoderStateCreate(NvjpegHandle* handle, NvjpegCudaDecoder*, NvjpegState** out) {
  *out = new NvjpegState(*handle);
  return kNvjpegSuccess;
}
// Without an allocator the real one takes CUDA's, which is not intended here.
FAKE nvjpegBufferPinnedCreateV2(NvjpegHandle*, NvjpegAllocator* allocator, NvjpegPinned** out) {
  if (!allocator) return kNvjpegInvalidParameter;
  *out = new NvjpegPinned(*allocator);
  return kNvjpegSuccess;
}
FAKE nvjpegBufferPinnedDestroy(NvjpegPinned* buffer) { return Destroy(buffer); }
FAKE nvjpegBufferDeviceCreateV2(NvjpegHandle*, NvjpegAllocator* allocator, NvjpegDevice** out) {
  if (!allocator) return kNvjpegInvalidParameter;
  *out = new NvjpegDevice(*allocator);
  return kNvjpegSuccess;
}
FAKE nvjpegBufferDeviceDestroy(NvjpegDevice* buffer) { return Destroy(buffer); }
FAKE nvjpegStateAttachPinnedBuffer(NvjpegState* state, NvjpegPinned* buffer) {
  state->pinned = buffer;
  return kNvjpegSuccess;
}
FAKE nvjpegStateAttachDeviceBuffer(NvjpegState* state, NvjpegDevice* buffer) {
  state->device = buffer;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeJpegHost(NvjpegHandle*, NvjpegCudaDecoder*, NvjpegState* state, NvjpegParams* params,
                          NvjpegStream* header) {
  if (!state->pinned || !header->data || params->format != kNvjpegOutputUnchanged) return kNvjpegInvalidParameter;
  state->layout = header->layout, state->region = params->region;
  const Region& r = state->region;
  if (!r.whole() && (r.x < 0 || r.y < 0 || r.width < 1 || r.height < 1 || r.x + r.width > state->layout.width ||
                     r.y + r.height > state->layout.height)) {
    return kNvjpegInvalidParameter;
  }
  if (!state->pinned->Grow(state->layout.bytes, nullptr)) return kNvjpegAllocatorFailure;
  if (!ReadRawPlanes(header->data, header->length, &state->layout, state->pinned->memory())) return kNvjpegBadJpeg;
  state->phase = NvjpegState::kOnHost;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeJpegTransferToDevice(NvjpegHandle* handle, NvjpegCudaDecoder*, NvjpegState* state, NvjpegStream*,
                                      NvjpegCudaStream stream) {
  if (state->phase != NvjpegState::kOnHost || !state->device) return kNvjpegInvalidParameter;
  if (!Probe(handle->device, stream) || !state->device->Grow(state->layout.bytes, stream)) {
    return kNvjpegAllocatorFailure;
  }
  std::memcpy(state->device->memory(), state->pinned->memory(), state->layout.bytes);
  state->phase = NvjpegState::kOnDevice;
  return kNvjpegSuccess;
}
FAKE nvjpegDecodeJpegDevice(NvjpegHandle*, NvjpegCudaDecoder*, NvjpegState* state, NvjpegImage* image,
                            NvjpegCudaStream) {
  if (state->phase != NvjpegState::kOnDevice) return kNvjpegInvalidParameter;
  state->phase = NvjpegState::kIdle;
  Write(state->layout, state->device->memory(), *image, state->region, 1, false);
  ++counts.at("hybrid_images");
  if (!state->region.whole()) ++counts.at("regions");
  return kNvjpegSuccess;
}

#define FASTPRE_SAME_TYPE(name, ...) \
  static_assert(std::is_same_v<decltype(&nvjpeg##name), decltype(NvjpegApi::name)>, #name);
FASTPRE_NVJPEG_FUNCTIONS(FASTPRE_SAME_TYPE)
#undef FASTPRE_SAME_TYPE

extern "C" __attribute__((visibility("default"))) void fake_nvjpeg_set(const char* what, int value) {
  const auto found = faults.find(what);
  if (found == faults.end()) {
    std::fprintf(stderr, "fake_nvjpeg_set: no fault is called %s\n", what);
    std::abort();
  }
  const std::lock_guard<std::mutex> lock(victim_mutex);
  victim = nullptr;
  found->second = value;
}

extern "C" __attribute__((visibility("default"))) int fake_nvjpeg_get(const char* what) {
  const auto found = counts.find(what);
  if (found == counts.end()) {
    std::fprintf(stderr, "fake_nvjpeg_get: nothing called %s is counted\n", what);
    std::abort();
  }
  return found->second;
}
