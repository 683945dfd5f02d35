// One image a call with nvJPEG's CUDA decoder, its four phases one after another.
#include <algorithm>

#include "cuda/nvjpeg/decoders.h"
#include "cuda/nvjpeg/handles.h"

namespace fastpre::cuda {

struct HybridDecoder::State {
  // What the host's part of an image writes and the stream reads later.
  struct Lane {
    OwnedPinned pinned;
    OwnedStream header;
  };

  State(std::shared_ptr<const NvjpegLibrary> loaded, Runtime* on, BoundedMemory* device_bound,
        BoundedMemory* pinned_bound)
      : runtime(on),
        library(std::move(loaded)),
        api(library->api()),
        device(on, device_bound),
        pinned(on, pinned_bound),
        handle(MakeNvjpeg("CreateExV2 (hybrid)", api.CreateExV2, api.Destroy, kNvjpegBackendHybrid, device.allocator(),
                          pinned.allocator(), 0u)),
        decoder(MakeNvjpeg("DecoderCreate", api.DecoderCreate, api.DecoderDestroy, handle.get(), kNvjpegBackendHybrid)),
        // Without these allocators buffers are CUDA's own, not the handle's.
        buffer(MakeNvjpeg("BufferDeviceCreateV2", api.BufferDeviceCreateV2, api.BufferDeviceDestroy, handle.get(),
                          device.allocator())) {
    for (Lane& lane : lanes) {
      lane.pinned = MakeNvjpeg("BufferPinnedCreateV2", api.BufferPinnedCreateV2, api.BufferPinnedDestroy, handle.get(),
                               pinned.allocator());
      lane.header = MakeNvjpeg("JpegStreamCreate", api.JpegStreamCreate, api.JpegStreamDestroy, handle.get());
    }
    params = MakeNvjpeg("DecodeParamsCreate", api.DecodeParamsCreate, api.DecodeParamsDestroy, handle.get());
    CheckNvjpeg("DecodeParamsSetOutputFormat", api.DecodeParamsSetOutputFormat(params.get(), kNvjpegOutputUnchanged));
    state = MakeNvjpeg("DecoderStateCreate", api.DecoderStateCreate, api.JpegStateDestroy, handle.get(), decoder.get());
    CheckNvjpeg("StateAttachDeviceBuffer", api.StateAttachDeviceBuffer(state.get(), buffer.get()));
  }

  ~State() {
    try {
      last_image.Wait();
    } catch (...) {
      // The device is in no state to be waited for: nothing runs there any more.
    }
    device.StopWaiting();
    pinned.StopWaiting();
  }

  // Up to the end of the host's part.
  std::string DecodeOnHost(const Lane& lane, const NvjpegTask& task, const Rect& region) {
    const Bytes bytes = task.bytes;
    if (const auto s = api.JpegStreamParse(handle.get(), bytes.data(), bytes.size(), 0, 0, lane.header.get())) {
      return NvjpegFailure("JpegStreamParse", s);
    }
    if (std::string text = NvjpegDisagreement(api, lane.header.get(), task); !text.empty()) return text;
    const char* call = "";
    const NvjpegStatus status = [&] {
      call = "DecodeParamsSetROI";
      if (const auto s = api.DecodeParamsSetROI(params.get(), region.x0, region.y0, region.width(), region.height())) {
        return s;
      }
      call = "StateAttachPinnedBuffer";
      if (const auto s = api.StateAttachPinnedBuffer(state.get(), lane.pinned.get())) return s;
      call = "DecodeJpegHost";
      return api.DecodeJpegHost(handle.get(), decoder.get(), state.get(), params.get(), lane.header.get());
    }();
    return status == kNvjpegSuccess ? std::string() : NvjpegFailure(call, status);
  }

  std::string DecodeOnDevice(const Lane& lane, const NvjpegTask& task, Stream stream) {
    NvjpegImage image{};
    std::copy(task.plane.begin(), task.plane.end(), image.channel);
    std::copy(task.pitch.begin(), task.pitch.end(), image.pitch);
    if (const auto s =
            api.DecodeJpegTransferToDevice(handle.get(), decoder.get(), state.get(), lane.header.get(), stream)) {
      return NvjpegFailure("DecodeJpegTransferToDevice", s);
    }
    const auto s = api.DecodeJpegDevice(handle.get(), decoder.get(), state.get(), &image, stream);
    return s == kNvjpegSuccess ? std::string() : NvjpegFailure("DecodeJpegDevice", s);
  }

  Runtime* runtime;
  std::shared_ptr<const NvjpegLibrary> library;
  const NvjpegApi& api;
  LastUse last_image{runtime};
  NvjpegMemory device, pinned;
  OwnedHandle handle;
  OwnedCudaDecoder decoder;
  OwnedDevice buffer;
  Lane lanes[2];
  OwnedParams params;
  OwnedState state;  // dies before the buffers that are attached to it
  int turn = 0;
};

HybridDecoder::HybridDecoder(std::shared_ptr<const NvjpegLibrary> library, Runtime* runtime, BoundedMemory* device,
                             BoundedMemory* pinned) {
  const auto entered = runtime->Enter();
  state_ = std::make_unique<State>(std::move(library), runtime, device, pinned);
}

HybridDecoder::~HybridDecoder() { DestroyOnDevice(&state_); }

void HybridDecoder::Decode(NvjpegTask* task, const Rect* region, Stream stream) {
  State& s = *state_;
  const auto entered = s.runtime->Enter();
  const State::Lane& lane = s.lanes[s.turn];
  constexpr Rect kWhole{0, 0, -1, -1};
  // The stream may still be busy with the image before this one, out of the other lane; what this lane was used for
  // last was waited for below, an image ago. So Huffman decoding overlaps with the device's part of the image before.
  task->failure = s.DecodeOnHost(lane, *task, region ? *region : kWhole);
  task->out_of_memory = IsOutOfMemory(task->failure);
  if (!task->failure.empty()) return;
  // From here on what both lanes share is written: the state and the device buffer.
  s.last_image.Wait();
  s.turn ^= 1;
  task->failure = s.DecodeOnDevice(lane, *task, stream);
  task->out_of_memory = IsOutOfMemory(task->failure);
  s.last_image.Mark(stream);
}

}  // namespace fastpre::cuda
