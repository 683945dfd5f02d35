// The persistent thread pool of one process.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "core/helper_threads.h"

namespace fastpre {

// Calls body(index) once for every index in [0, count), on at most `threads` threads, the caller among them. Indices
// are taken in ascending order, one at a time, so callers put the costliest work first. Returns when all are done.
// `body` must not throw.
//
// Calls from several threads share the pool's: a call that finds them busy elsewhere runs on its own thread and never
// waits. There are never more than the callers' threads and the pool's, of which there are as many as the largest call
// asked for, less one. Those beyond AvailableThreads() end after a few seconds without work.
//
// After fork() the child starts with a fresh pool (core/fork_safe.h).
void ParallelFor(size_t count, int threads, const std::function<void(size_t)>& body);

// The same for a body that may throw: the first exception comes out when all are done.
void ParallelOrThrow(size_t count, int threads, const std::function<void(size_t)>& body);

// More helpers than this have nothing to do on one image: the thread that owns it checks and transforms what they
// decode, which takes it about half as long as their entropy decoding (docs/performance.md). Each of them also has
// three chunks of 384 KB in store.
inline constexpr int kMostHelpers = 31;

// The pool's idle threads as helpers of a caller that has `threads` threads for `size` + 1 of them on this image,
// kMostHelpers at most: see ParallelFor for who gets them.
class PoolHelpers final : public HelperThreads {
 public:
  PoolHelpers(int size, int threads);
  ~PoolHelpers() override;
  int size() const override;
  void Start(const std::function<void()>& body) override;
  void Stop() override;

 private:
  struct Started;
  std::unique_ptr<Started> started_;
  int size_, threads_;
};

// Threads that the pool has, the callers' own not counted.
int PoolSize();

}  // namespace fastpre
