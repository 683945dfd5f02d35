// Batches on the hardware JPEG engines.
#include <algorithm>
#include <exception>

#include "cuda/nvjpeg/decoders.h"
#include "cuda/nvjpeg/handles.h"

namespace fastpre::cuda {
namespace {

// Calls of one Decode beyond the first: three bad images of 256 are told apart, but not 256 of 256 when an engine died.
constexpr int kMostRetries = 48;

// Of nvJPEG's; kNvjpegScaleNone to kNvjpegScaleEighth are 0 to 3.
int ScaleFactor(int scale) {
  switch (scale) {
    case 8: return kNvjpegScaleNone;
    case 4: return kNvjpegScaleHalf;
    case 2: return kNvjpegScaleQuarter;
    case 1: return kNvjpegScaleEighth;
    default: ThrowInternal("scale " + std::to_string(scale) + " asked of the JPEG engines");
  }
}

}  // namespace

struct HardwareDecoder::State {
  State(std::shared_ptr<const NvjpegLibrary> loaded, Runtime* on, BoundedMemory* device_bound,
        BoundedMemory* pinned_bound)
      : runtime(on),
        library(std::move(loaded)),
        api(library->api()),
        device(on, device_bound),
        pinned(on, pinned_bound),
        handle(MakeNvjpeg("CreateExV2 (hardware)", api.CreateExV2, api.Destroy, kNvjpegBackendHardware,
                          device.allocator(), pinned.allocator(), 0u)) {
    CheckNvjpeg("GetHardwareDecoderInfo", api.GetHardwareDecoderInfo(handle.get(), &engines, &cores_per_engine));
    if (engines == 0) throw CudaError("this device has no JPEG engines, or this nvJPEG does not find them");
    state = MakeNvjpeg("JpegStateCreate", api.JpegStateCreate, api.JpegStateDestroy, handle.get());
    for (int factor = kNvjpegScaleNone; factor <= kNvjpegScaleEighth; ++factor) {
      params[factor] = MakeNvjpeg("DecodeParamsCreate", api.DecodeParamsCreate, api.DecodeParamsDestroy, handle.get());
      NvjpegParams* const p = params[factor].get();
      CheckNvjpeg("DecodeParamsSetOutputFormat", api.DecodeParamsSetOutputFormat(p, kNvjpegOutputUnchanged));
      CheckNvjpeg("DecodeParamsSetScaleFactor", api.DecodeParamsSetScaleFactor(p, factor));
    }
    header = MakeNvjpeg("JpegStreamCreate", api.JpegStreamCreate, api.JpegStreamDestroy, handle.get());
  }

  ~State() {
    try {
      last_batch.Wait();
    } catch (...) {
      // The device is in no state to be waited for: nothing runs there any more.
    }
    device.StopWaiting();
    pinned.StopWaiting();
  }

  // One call of nvJPEG's; the status of all of it, in words; empty is success.
  std::string Batch(std::span<NvjpegTask* const> tasks, int factor, Stream stream) {
    const int size = static_cast<int>(tasks.size());
    NvjpegStatus status = kNvjpegSuccess;
    if (size != initialized_for) {
      status = api.DecodeBatchedInitialize(handle.get(), state.get(), size, 1, kNvjpegOutputUnchanged);
      if (status != kNvjpegSuccess) return NvjpegFailure("DecodeBatchedInitialize", status);
      initialized_for = size;
    }
    data.clear(), lengths.clear(), images.clear();
    for (const NvjpegTask* task : tasks) {
      data.push_back(task->bytes.data());
      lengths.push_back(task->bytes.size());
      NvjpegImage& image = images.emplace_back();
      std::copy(task->plane.begin(), task->plane.end(), image.channel);
      std::copy(task->pitch.begin(), task->pitch.end(), image.pitch);
    }
    if (factor == kNvjpegScaleNone) {  // the call that others use most
      status = api.DecodeBatched(handle.get(), state.get(), data.data(), lengths.data(), images.data(), stream);
      return status == kNvjpegSuccess ? std::string() : NvjpegFailure("DecodeBatched", status);
    }
    every_params.assign(tasks.size(), params[factor].get());
    status = api.DecodeBatchedEx(handle.get(), state.get(), data.data(), lengths.data(), images.data(),
                                 every_params.data(), stream);
    return status == kNvjpegSuccess ? std::string() : NvjpegFailure("DecodeBatchedEx", status);
  }

  // nvJPEG answers for a batch as a whole. A refused one is halved until the images at fault are alone; what the
  // refused call had already begun to write, the next one writes again.
  void Halve(std::span<NvjpegTask* const> tasks, int factor, Stream stream) {
    const std::string failure = Batch(tasks, factor, stream);
    if (failure.empty()) return;
    initialized_for = 0;  // initializing is also how a failed batch is reset
    runtime->SynchronizeStream(stream);
    if (tasks.size() == 1 || retries_left < 2) {
      for (NvjpegTask* task : tasks) task->failure = failure;
      return;
    }
    retries_left -= 2;
    const size_t half = tasks.size() / 2;
    Halve(tasks.first(half), factor, stream);
    Halve(tasks.subspan(half), factor, stream);
  }

  Runtime* runtime;
  std::shared_ptr<const NvjpegLibrary> library;
  const NvjpegApi& api;
  LastUse last_batch{runtime};
  NvjpegMemory device, pinned;
  OwnedHandle handle;
  OwnedState state;
  OwnedParams params[4];  // for each scale factor
  OwnedStream header;
  unsigned int engines = 0, cores_per_engine = 0;
  int initialized_for = 0;  // images
  int retries_left = 0;
  std::vector<const unsigned char*> data;
  std::vector<size_t> lengths;
  std::vector<NvjpegImage> images;
  std::vector<NvjpegParams*> every_params;
};

HardwareDecoder::HardwareDecoder(std::shared_ptr<const NvjpegLibrary> library, Runtime* runtime, BoundedMemory* device,
                                 BoundedMemory* pinned) {
  const auto entered = runtime->Enter();
  state_ = std::make_unique<State>(std::move(library), runtime, device, pinned);
}

HardwareDecoder::~HardwareDecoder() { DestroyOnDevice(&state_); }

int HardwareDecoder::engines() const { return static_cast<int>(state_->engines); }
int HardwareDecoder::cores_per_engine() const { return static_cast<int>(state_->cores_per_engine); }

std::string HardwareDecoder::WhyNot(const NvjpegTask& task, int scale) {
  State& s = *state_;
  const auto entered = s.runtime->Enter();
  const NvjpegApi& api = s.api;
  const int factor = ScaleFactor(scale);
  NvjpegStatus status = api.JpegStreamParseHeader(s.handle.get(), task.bytes.data(), task.bytes.size(), s.header.get());
  if (status != kNvjpegSuccess) return NvjpegFailure("JpegStreamParseHeader", status);
  if (std::string text = NvjpegDisagreement(api, s.header.get(), task); !text.empty()) return text;
  int unsupported = 1;  // 0 is yes
  status = factor == kNvjpegScaleNone
               ? api.DecodeBatchedSupported(s.handle.get(), s.header.get(), &unsupported)
               : api.DecodeBatchedSupportedEx(s.handle.get(), s.header.get(), s.params[factor].get(), &unsupported);
  if (status != kNvjpegSuccess) return NvjpegFailure("DecodeBatchedSupported", status);
  return unsupported == 0 ? "" : "nvJPEG's engines do not support it";
}

void HardwareDecoder::Decode(std::span<NvjpegTask* const> tasks, int scale, Stream stream) {
  if (tasks.empty()) return;
  State& s = *state_;
  const auto entered = s.runtime->Enter();
  const int factor = ScaleFactor(scale);
  // The state's buffers hold the last batch's streams until the engines have read them.
  s.last_batch.Wait();
  s.retries_left = kMostRetries;
  s.Halve(tasks, factor, stream);
  s.last_batch.Mark(stream);
}

}  // namespace fastpre::cuda
