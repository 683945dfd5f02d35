// The persistent thread pool of one process.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "core/crew.h"
#include "cpu/pipeline.h"

namespace fastpre {

// Calls body(index, worker) once for every index in [0, count), on at most `threads` threads, the
// caller among them. Indices are taken in ascending order, one at a time, so callers put the
// costliest work first. Returns when all are done. `body` must not throw.
//
// Calls from several threads share the helpers: a call whose helpers are busy elsewhere runs on its
// own thread and never waits. There are never more than the callers' threads and the helpers, of
// which there are as many as the largest call asked for, less one. Helpers beyond AvailableThreads() end after a
// few seconds without work.
//
// After fork() the child starts with a fresh pool; threads do not survive a fork.
void ParallelFor(size_t count, int threads, const std::function<void(size_t, Worker&)>& body);

// The same for a body that may throw: the first exception comes out when all are done.
void ParallelOrThrow(size_t count, int threads, const std::function<void(size_t, Worker&)>& body);

// More helpers than this have nothing to do on one image: its owner checks and transforms what they decode, which takes
// it about half as long as their entropy decoding (docs/performance.md). Each of them also has three chunks of 384 KB
// in store.
inline constexpr int kMostHelpers = 31;

// The pool's idle threads as helpers of a caller that has `threads` threads for `size` + 1 workers on this image,
// kMostHelpers at most: see ParallelFor for who gets them.
class PoolCrew final : public Crew {
 public:
  PoolCrew(int size, int threads);
  ~PoolCrew() override;
  int size() const override;
  void Lend(const std::function<void()>& body) override;
  void Recall() override;

 private:
  struct Offer;
  std::unique_ptr<Offer> offer_;
  int size_, threads_;
};

// Threads that the pool has, the callers' own not counted.
int PoolSize();

}  // namespace fastpre
