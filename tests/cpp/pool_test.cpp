// The pool calls every index once, from any number of callers at once, and survives fork().
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/pool.h"

namespace fastpre::test {
namespace {

long cases = 0;

void TestEachIndexOnce(size_t count, int threads) {
  std::vector<std::atomic<int>> calls(count);
  ParallelFor(count, threads, [&](size_t i, Worker&) { calls[i].fetch_add(1); });
  for (size_t i = 0; i < count; ++i) CHECK(calls[i].load() == 1, "index " + std::to_string(i));
  ++cases;
}

// A worker is one thread's scratch memory: no two calls may hold the same one at a time.
void TestWorkersAreExclusive() {
  constexpr int kCallers = 6;
  std::atomic<int> collisions{0};
  std::vector<std::atomic<Worker*>> held(256);
  std::atomic<size_t> next_holder{0};
  auto body = [&](size_t, Worker& worker) {
    thread_local const size_t me = next_holder.fetch_add(1);
    for (size_t i = 0; i < held.size(); ++i) collisions += i != me && held[i].load() == &worker;
    held[me].store(&worker);
    std::this_thread::yield();
    held[me].store(nullptr);
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 40; ++round) ParallelFor(30, 3, body);
    });
  }
  for (std::thread& t : callers) t.join();
  CHECK(collisions.load() == 0, "two threads in one worker");
  CHECK(next_holder.load() <= held.size(), "more threads than expected");
  ++cases;
}

// A body may itself call ParallelFor; helpers that are busy never make it wait for ever.
void TestNested() {
  std::atomic<int> inner{0};
  ParallelFor(8, 4, [&](size_t, Worker&) { ParallelFor(16, 4, [&](size_t, Worker&) { inner.fetch_add(1); }); });
  CHECK(inner.load() == 8 * 16, std::to_string(inner.load()));
  ++cases;
}

// ThreadSanitizer cannot follow threads into a fork's child.
#if defined(__SANITIZE_THREAD__)
constexpr bool kCanFork = false;
#elif defined(__has_feature)
constexpr bool kCanFork = !__has_feature(thread_sanitizer);
#else
constexpr bool kCanFork = true;
#endif

void TestFork() {
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> done{0};
    const int before = PoolSize();
    ParallelFor(100, 4, [&](size_t, Worker&) { done.fetch_add(1); });
    _exit(before == 0 && done.load() == 100 && PoolSize() > 0 ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child of a fork");
  ++cases;
}

}  // namespace
}  // namespace fastpre::test

int main() {
  using namespace fastpre;
  using namespace fastpre::test;
  CHECK(AvailableThreads() >= 1, std::to_string(AvailableThreads()));
  CHECK(PoolSize() == 0, "the pool is lazy");
  TestEachIndexOnce(10, 1);
  CHECK(PoolSize() == 0, "one thread needs no pool");
  for (size_t count : {0, 1, 2, 3, 1000}) {
    for (int threads : {1, 2, 3, 8}) TestEachIndexOnce(count, threads);
  }
  CHECK(PoolSize() == 7, "the largest call's helpers: " + std::to_string(PoolSize()));
  TestWorkersAreExclusive();
  TestNested();
  CHECK(PoolSize() == 7, "the pool does not grow with callers: " + std::to_string(PoolSize()));
  if (kCanFork) TestFork();
  return Summary("pool", cases);
}
