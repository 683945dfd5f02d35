// What became of one image, and the clock that fills in where the time went.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <string>

#include "core/error.h"

namespace fastpre {

enum Stage { kStageRead, kStageHeader, kStageDecode, kStageResample, kStageStore, kStageCount };
inline constexpr std::array<const char*, kStageCount> kStageNames = {"read", "header", "decode", "resample",
                                                                     "normalize"};

struct Record {
  bool ok = false;
  bool truncated = false;  // ok, but only what arrived of it
  ErrorKind error_kind = ErrorKind::kInternal;
  std::string reason;
  int width = 0, height = 0;  // oriented
  const char* decoder = "";
  std::string declined;     // why libjpeg-turbo decoded it; empty otherwise
  std::string retried;      // why the CPU did an image again that the GPU's decoder had taken; empty otherwise
  const char* target = "";  // instruction set that ran
  std::array<float, kStageCount> stages_us{};
  int64_t peak_bytes = 0;      // of the worker's own buffers, without libjpeg's
  int64_t uploaded_bytes = 0;  // to a device, for this image alone
};

// Runs a part of one image's work. False if it threw: the record then says why, and the batch goes on.
template <class Body>
bool Recorded(Record* record, Body body) {
  const auto failed = [&](ErrorKind kind, const char* reason) {
    record->ok = false;
    record->error_kind = kind;
    record->reason = reason;
    return false;
  };
  try {
    body();
    return true;
  } catch (const Error& e) {
    return failed(e.kind(), e.what());
  } catch (const std::bad_alloc&) {
    return failed(ErrorKind::kLimit, "out of memory");
  } catch (const std::exception& e) {
    return failed(ErrorKind::kInternal, e.what());
  }
}

// Reading it takes about 25 ns, so it is read per block of rows.
class StageClock {
 public:
  using Clock = std::chrono::steady_clock;
  explicit StageClock(Record* record) : record_(record), last_(Clock::now()) {}
  void Charge(Stage stage) {
    const Clock::time_point now = Clock::now();
    record_->stages_us[stage] += std::chrono::duration<float, std::micro>(now - last_).count();
    last_ = now;
  }

 private:
  Record* record_;
  Clock::time_point last_;
};

}  // namespace fastpre
