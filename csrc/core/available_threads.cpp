#include "core/available_threads.h"

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace fastpre {
namespace {

int AffinityThreads() {
#ifdef __linux__
  // A mask of 1024 CPUs is enough for cpu_set_t; larger machines need a larger, allocated one.
  for (int cpus = 1024; cpus <= 1 << 16; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (!set) break;
    const size_t size = CPU_ALLOC_SIZE(cpus);
    const bool ok = sched_getaffinity(0, size, set) == 0;
    const int count = ok ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (ok && count > 0) return count;
  }
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

double QuotaThreads(const std::string& groups_file, const std::string& mount) {
  double best = INFINITY;
  std::ifstream groups(groups_file);
  auto consider = [&](double quota, double period) {
    if (quota > 0 && period > 0) best = std::min(best, quota / period);
  };
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    const bool v2 = controllers.empty();
    // Not "cpuset", "cpuacct": a hierarchy of theirs may have another path.
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    // A parent's quota binds too, and inside a container the path may be relative to its root.
    while (true) {
      const std::string base = mount + (v2 ? "" : "/cpu") + (path == "/" ? "" : path);
      if (v2) {
        std::ifstream f(base + "/cpu.max");
        std::string quota;
        double period = 0;
        if (f >> quota >> period && quota != "max") consider(std::atof(quota.c_str()), period);
      } else {
        std::ifstream q(base + "/cpu.cfs_quota_us"), p(base + "/cpu.cfs_period_us");
        double quota = 0, period = 0;
        if (q >> quota && p >> period) consider(quota, period);
      }
      if (path.empty() || path == "/") break;
      path = path.substr(0, path.rfind('/'));
    }
  }
  return best;
}

int AvailableThreads() {
  // Atomics, not a mutex: another thread may hold a mutex at the moment of a fork().
  static std::atomic<int64_t> read_at_ns{0};
  static std::atomic<int> cached{0};
  const int64_t now_ns = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  const int known = cached.load();
  if (known > 0 && now_ns - read_at_ns.load() < 1'000'000'000) return known;
  const double quota = QuotaThreads("/proc/self/cgroup", "/sys/fs/cgroup");
  const int affinity = AffinityThreads();
  const int threads =
      std::isinf(quota) ? affinity : std::max(1, std::min(affinity, static_cast<int>(std::ceil(quota))));
  cached.store(threads);
  read_at_ns.store(now_ns);
  return threads;
}

}  // namespace fastpre
