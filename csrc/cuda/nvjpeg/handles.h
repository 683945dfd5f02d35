// nvJPEG's objects with an owner, and the memory that they live on. What cannot be made is a CudaError.
#pragma once

#include <memory>
#include <string>

#include "core/round.h"
#include "cuda/bounded_memory.h"
#include "cuda/nvjpeg/api.h"
#include "cuda/nvjpeg/decoders.h"
#include "cuda/runtime.h"

namespace fastpre::cuda {

// For messages.
inline std::string NvjpegStatusText(NvjpegStatus status) {
  switch (status) {
    case kNvjpegSuccess: return "success";
    case kNvjpegNotInitialized: return "not initialized";
    case kNvjpegInvalidParameter: return "invalid parameter";
    case kNvjpegBadJpeg: return "bad JPEG";
    case kNvjpegJpegNotSupported: return "kind of JPEG not supported";
    case kNvjpegAllocatorFailure: return "no memory";
    // Without a driver this is CreateExV2's answer (12.1, 13.3).
    case kNvjpegExecutionFailed: return "execution failed, or there is no working driver";
    case kNvjpegArchMismatch: return "not available on this device";
    case kNvjpegInternalError: return "internal error";
    case kNvjpegImplementationNotSupported: return "not supported by this implementation";
    case kNvjpegIncompleteBitstream: return "incomplete JPEG";
    default: return "status " + std::to_string(status);
  }
}

inline std::string NvjpegFailure(const char* call, NvjpegStatus status) {
  return std::string("nvjpeg") + call + ": " + NvjpegStatusText(status);
}

inline bool IsOutOfMemory(const std::string& failure) {
  return failure.ends_with(NvjpegStatusText(kNvjpegAllocatorFailure));
}

inline void CheckNvjpeg(const char* call, NvjpegStatus status) {
  if (status != kNvjpegSuccess) throw CudaError(NvjpegFailure(call, status));
}

// Planes were laid out by our parser's sizes. A stream in which nvJPEG's finds others, two frame headers say, would be
// written past them. Components may be padded, to no more than there is room for. Empty if all agree.
inline std::string NvjpegDisagreement(const NvjpegApi& api, NvjpegStream* header, const NvjpegTask& task) {
  constexpr int kRoom = 16;  // cuda/image_job.cpp rounds planes up to that, and more
  unsigned int components = 0, width = 0, height = 0;
  if (const auto s = api.JpegStreamGetFrameDimensions(header, &width, &height)) {
    return NvjpegFailure("JpegStreamGetFrameDimensions", s);
  }
  if (const auto s = api.JpegStreamGetComponentsNum(header, &components)) {
    return NvjpegFailure("JpegStreamGetComponentsNum", s);
  }
  bool same = components == static_cast<unsigned int>(task.components) &&
              width == static_cast<unsigned int>(task.frame_width) &&
              height == static_cast<unsigned int>(task.frame_height);
  for (unsigned int c = 0; same && c < components; ++c) {
    if (const auto s = api.JpegStreamGetComponentDimensions(header, c, &width, &height)) {
      return NvjpegFailure("JpegStreamGetComponentDimensions", s);
    }
    same = width <= RoundUp(static_cast<size_t>(task.width[c]), kRoom) &&
           height <= RoundUp(static_cast<size_t>(task.height[c]), kRoom);
  }
  return same ? std::string() : "nvJPEG reads other sizes in the stream's headers";
}

template <class T>
struct NvjpegDeleter {
  NvjpegStatus (*destroy)(T*);
  void operator()(T* object) const noexcept { destroy(object); }
};

template <class T>
using NvjpegOwned = std::unique_ptr<T, NvjpegDeleter<T>>;

using OwnedHandle = NvjpegOwned<NvjpegHandle>;
using OwnedState = NvjpegOwned<NvjpegState>;
using OwnedStream = NvjpegOwned<NvjpegStream>;
using OwnedParams = NvjpegOwned<NvjpegParams>;
using OwnedCudaDecoder = NvjpegOwned<NvjpegCudaDecoder>;
using OwnedPinned = NvjpegOwned<NvjpegPinned>;
using OwnedDevice = NvjpegOwned<NvjpegDevice>;

// create(arguments..., &object), and from then on it has an owner. `call`: the function without "nvjpeg".
template <class T, class... Parameters, class... Arguments>
NvjpegOwned<T> MakeNvjpeg(const char* call, NvjpegStatus (*create)(Parameters...), NvjpegStatus (*destroy)(T*),
                          Arguments... arguments) {
  T* object = nullptr;
  CheckNvjpeg(call, create(arguments..., &object));
  return NvjpegOwned<T>(object, {destroy});
}

// One kind of memory for nvJPEG, which has this object's address. A failure inside is nvJPEG's "allocator failure":
// nothing is thrown through C.
class NvjpegMemory {
 public:
  static constexpr size_t kLeastBytes = size_t{4} << 10;  // nvJPEG asks for few and large pieces

  NvjpegMemory(Runtime* runtime, BoundedMemory* memory)
      : runtime_(runtime),
        memory_(memory),
        allocator_{&Allocate, &Free, this} {}
  NvjpegMemory(const NvjpegMemory&) = delete;
  NvjpegMemory& operator=(const NvjpegMemory&) = delete;

  NvjpegAllocator* allocator() { return &allocator_; }
  // Nothing is pending any more; streams that nvJPEG remembers may be gone.
  void StopWaiting() { wait_ = false; }

 private:
  // nvJPEG may call from a thread of its own, where another device is current.
  static int Allocate(void* context, void** memory, size_t bytes, NvjpegCudaStream) noexcept {
    try {
      NvjpegMemory& self = *static_cast<NvjpegMemory*>(context);
      const auto entered = self.runtime_->Enter();
      *memory = self.memory_->Allocate(SizeClass(bytes, kLeastBytes));
      return *memory ? 0 : 1;
    } catch (...) {
      return 1;
    }
  }

  // Modelled after cudaFreeAsync: what `stream` was asked for before may still use the memory.
  static int Free(void* context, void* memory, size_t, NvjpegCudaStream stream) noexcept {
    try {
      NvjpegMemory& self = *static_cast<NvjpegMemory*>(context);
      const auto entered = self.runtime_->Enter();
      if (self.wait_) self.runtime_->SynchronizeStream(static_cast<Stream>(stream));
      self.memory_->Free(memory);
      return 0;
    } catch (...) {
      return 1;  // the memory's owner frees it in the end
    }
  }

  Runtime* runtime_;
  BoundedMemory* memory_;
  NvjpegAllocator allocator_;
  bool wait_ = true;
};

// Where a stream is done with something.
class LastUse {
 public:
  explicit LastUse(Runtime* runtime) : runtime_(runtime), event_(runtime->CreateEvent()) {}
  ~LastUse() { runtime_->DestroyEvent(event_); }
  LastUse(const LastUse&) = delete;
  LastUse& operator=(const LastUse&) = delete;

  void Mark(Stream stream) { runtime_->Record(event_, stream); }
  void Wait() { runtime_->Synchronize(event_); }  // on the host; at once if nothing was marked

 private:
  Runtime* runtime_;
  Event event_;
};

// A decoder's state goes while its device is current, if that can be had.
template <class State>
void DestroyOnDevice(std::unique_ptr<State>* state) {
  std::unique_ptr<Runtime::Entered> entered;
  try {
    entered = (*state)->runtime->Enter();
  } catch (...) {
    // A broken device: nvJPEG's objects go all the same.
  }
  state->reset();
}

}  // namespace fastpre::cuda
