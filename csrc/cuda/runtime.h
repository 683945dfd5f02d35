// What the backend asks of a device. CUDA's runtime is one implementation; the other one (emulator.cpp) runs the same
// kernels' source on the host, thread by thread, so that everything above this line is tested without a GPU.
//
// Work on a stream is done in order, some time after the call that asked for it. Both implementations mean
// it: the emulator does nothing before it is waited for, so what lacks a wait fails there too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"

namespace fastpre::cuda {

struct ResampleLaunch;
struct IdctLaunch;
struct CanaryLaunch;

// Types of their own, so that one is not taken for the other.
struct StreamObject;
struct EventObject;
using Stream = StreamObject*;  // a cudaStream_t; null is the legacy default stream
using Event = EventObject*;    // a cudaEvent_t

enum class Memory : uint8_t { kDevice, kPinned };

// A call into CUDA that failed: ours or the machine's fault, never an image's.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct DeviceInfo {
  int index = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  size_t memory_bytes = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // Makes the device current for this thread until the object dies. What was current comes back then, unless no call
  // has used that one: going back would make a context there.
  class Entered {
   public:
    virtual ~Entered() = default;
  };
  virtual std::unique_ptr<Entered> Enter() = 0;
  virtual DeviceInfo info() const = 0;
  virtual bool emulated() const = 0;

  // Null if there is not enough; memory is aligned to 256 bytes. Free waits for nothing: nothing pending may use it.
  virtual void* Allocate(Memory kind, size_t bytes) = 0;
  virtual void Free(Memory kind, void* memory) noexcept = 0;

  virtual Stream CreateStream() = 0;  // that does not wait for the default stream
  virtual void DestroyStream(Stream stream) noexcept = 0;
  virtual Event CreateEvent() = 0;
  virtual void DestroyEvent(Event event) noexcept = 0;
  virtual void Record(Event event, Stream stream) = 0;
  virtual void Wait(Stream stream, Event event) = 0;  // on the device
  virtual void Synchronize(Event event) = 0;          // on the host; an event never recorded is done
  virtual void SynchronizeStream(Stream stream) = 0;
  virtual bool Done(Event event) = 0;  // without waiting

  // `host` is pinned memory and is read or written when the stream gets there.
  virtual void CopyToDevice(void* device, const void* host, size_t bytes, Stream stream) = 0;
  virtual void CopyToHost(void* host, const void* device, size_t bytes, Stream stream) = 0;

  virtual void Launch(const ResampleLaunch& launch, Stream stream) = 0;
  virtual void Launch(const IdctLaunch& launch, Stream stream) = 0;
  virtual void Launch(const CanaryLaunch& launch, Stream stream) = 0;

  // A marked range of the time line (NVTX), for profilers.
  virtual void PushRange(const char* name) = 0;
  virtual void PopRange() noexcept = 0;
};

// A range for as long as it lives.
class Range {
 public:
  Range(Runtime& runtime, const char* name) : runtime_(runtime) { runtime_.PushRange(name); }
  ~Range() { runtime_.PopRange(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Runtime& runtime_;
};

// Runs kernels on the host. `shuffle`: the order in which a block's threads run between two barriers; any
// order must give the same bytes.
enum class ThreadOrder : uint8_t { kAscending, kDescending, kShuffled };
std::unique_ptr<Runtime> MakeEmulator(ThreadOrder order = ThreadOrder::kAscending);

// The GPU. Throws CudaError.
std::unique_ptr<Runtime> MakeCudaRuntime(int device);

// What CUDA says of this machine. None of these makes a context.
int DriverVersion();   // 13000 is 13.0; 0: no driver
int RuntimeVersion();  // compiled in; 0: this build has no CUDA
// Without names and memory sizes. If there are none, `why_none` says why.
std::vector<DeviceInfo> Devices(std::string* why_none);
// "sm_75 sm_80 ... and PTX for sm_120"
std::string CompiledArchitectures();

}  // namespace fastpre::cuda
