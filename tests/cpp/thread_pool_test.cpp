// The pool calls every index once, from any number of callers at once, and survives fork().
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "core/available_threads.h"
#include "core/thread_pool.h"
#include "cpu/worker.h"

namespace fastpre::test {
namespace {

long cases = 0;

void TestEachIndexOnce(size_t count, int threads) {
  std::vector<std::atomic<int>> calls(count);
  ParallelFor(count, threads, [&](size_t i) { calls[i].fetch_add(1); });
  for (size_t i = 0; i < count; ++i) CHECK(calls[i].load() == 1, "index " + std::to_string(i));
  ++cases;
}

// A worker is one thread's scratch memory: no two calls may hold the same one at a time.
void TestWorkersAreExclusive() {
  constexpr int kCallers = 6;
  std::atomic<int> collisions{0};
  std::vector<std::atomic<Worker*>> held(256);
  std::atomic<size_t> next_holder{0};
  auto use = [&](Worker& worker) {
    thread_local const size_t me = next_holder.fetch_add(1);
    for (size_t i = 0; i < held.size(); ++i) collisions += i != me && held[i].load() == &worker;
    held[me].store(&worker);
    std::this_thread::yield();
    held[me].store(nullptr);
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 40; ++round) {
        Workers workers;
        ParallelFor(30, 3, [&](size_t) { use(workers.OfThisThread()); });
      }
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
  ParallelFor(8, 4, [&](size_t) { ParallelFor(16, 4, [&](size_t) { inner.fetch_add(1); }); });
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
    ParallelFor(100, 4, [&](size_t) { done.fetch_add(1); });
    _exit(before == 0 && done.load() == 100 && PoolSize() > 0 ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child of a fork");
  ++cases;
}

// Threads that a call once asked for and that no call needs end by themselves, down to one for each CPU.
void TestShrinks() {
  ParallelFor(400, 200, [](size_t) { std::this_thread::yield(); });
  CHECK(PoolSize() == 199, std::to_string(PoolSize()));
  for (int i = 0; i < 600 && PoolSize() > AvailableThreads(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHECK(PoolSize() <= AvailableThreads(), "idle threads stay: " + std::to_string(PoolSize()));
  TestEachIndexOnce(1000, 8);
  ++cases;
}

// However many threads a call asks for, one image gets no more than can help.
void TestHelpersOfOneImage() {
  PoolHelpers helpers(4095, 4096);
  CHECK(helpers.size() == kMostHelpers, std::to_string(helpers.size()));
  std::atomic<int> calls{0};
  helpers.Start([&] { calls.fetch_add(1); });
  helpers.Stop();
  CHECK(calls.load() <= kMostHelpers && PoolSize() <= kMostHelpers, std::to_string(PoolSize()));
  ++cases;
}

void Write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// Of version 1, "cpuset" is not "cpu": a hierarchy of its own, with a path of its own.
void TestQuota() {
  const std::filesystem::path root = std::filesystem::temp_directory_path() / ("cgroup." + std::to_string(getpid()));
  const auto quota = [&](const std::string& groups) {
    Write(root / "groups", groups);
    return QuotaThreads((root / "groups").string(), (root / "fs").string());
  };
  for (const std::string at : {"cpu/job", "cpu/other", "v2"}) {
    Write(root / "fs" / at / "cpu.cfs_quota_us", at == "cpu/job" ? "300000" : "100000");
    Write(root / "fs" / at / "cpu.cfs_period_us", "100000");
  }
  Write(root / "fs" / "v2" / "cpu.max", "150000 100000");
  CHECK(quota("4:cpu,cpuacct:/job\n3:cpuset:/other\n") == 3.0, "cpu beside cpuset");
  CHECK(quota("4:cpuacct,cpu:/job\n") == 3.0, "cpu in the second place");
  CHECK(quota("3:cpuset:/other\n2:cpuacct:/other\n") > 1e9, "no quota");
  CHECK(quota("0::/v2/inner\n") == 1.5, "a parent's quota of version 2");
  std::filesystem::remove_all(root);
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
  TestHelpersOfOneImage();
  TestShrinks();
  TestQuota();
  return Summary("thread_pool", cases);
}
