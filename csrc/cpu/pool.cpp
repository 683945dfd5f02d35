#include "cpu/pool.h"

#include <pthread.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

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

// CPUs' worth of time a cgroup grants; infinity where there is no quota. Version 2 has one file
// ("max 100000" or "150000 100000", in microseconds), version 1 has two.
double QuotaThreads() {
  double best = INFINITY;
  std::ifstream groups("/proc/self/cgroup");
  auto consider = [&](double quota, double period) {
    if (quota > 0 && period > 0) best = std::min(best, quota / period);
  };
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    const bool v2 = controllers.empty();
    if (!v2 && controllers.find("cpu") == std::string::npos) continue;
    // A parent's quota binds too, and inside a container the path may be relative to its root.
    while (true) {
      const std::string base = (v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu") + (path == "/" ? "" : path);
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

struct Job {
  size_t count = 0;
  const std::function<void(size_t, Worker&)>* body = nullptr;
  std::atomic<size_t> next{0};
  int helpers_wanted = 0;  // guarded by the pool's mutex
  int helpers_inside = 0;  // likewise

  void Work(Worker& worker) {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) (*body)(i, worker);
  }
};

class Pool {
 public:
  // Threads must not be joined from a static destructor (Python may be half gone), so a pool is
  // leaked: at exit its idle threads end with the process.
  static Pool& Get() {
    Pool* pool = instance.load(std::memory_order_acquire);
    if (pool) return *pool;
    static std::once_flag at_fork;
    std::call_once(at_fork, [] { pthread_atfork(nullptr, nullptr, [] { instance.store(nullptr); }); });
    Pool* fresh = new Pool;
    if (instance.compare_exchange_strong(pool, fresh)) return *fresh;
    delete fresh;
    return *pool;
  }

  void Run(Job* job, int threads) {
    const int helpers = static_cast<int>(std::min<size_t>(threads, job->count)) - 1;
    std::unique_ptr<Worker> worker = TakeWorker();
    if (helpers > 0) Offer(job, helpers, helpers);
    job->Work(*worker);
    if (helpers > 0) Withdraw(job);
    ReturnWorker(std::move(worker));
  }

  // Up to `helpers` threads may take the job's indices from now on; the pool grows to `threads`.
  void Offer(Job* job, int helpers, int threads) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      job->helpers_wanted = std::min(helpers, Grow(threads));
      jobs_.push_back(job);
    }
    wake_.notify_all();
  }

  // Nobody takes an index any more; waits for those who have one.
  void Withdraw(Job* job) {
    std::unique_lock<std::mutex> lock(mutex_);
    job->helpers_wanted = 0;
    std::erase(jobs_, job);
    done_.wait(lock, [&] { return job->helpers_inside == 0; });
  }

  int size() const { return started_.load(); }

 private:
  // Starts threads until there are `wanted`, or as many as the system allows. Called with the mutex held.
  int Grow(int wanted) {
    try {
      for (; started_ < wanted; ++started_) std::thread([this] { Loop(); }).detach();
    } catch (const std::system_error&) {
      // A limit on processes. The caller's own thread does what is left.
    }
    return started_;
  }

  void Loop() {
    Worker worker;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      Job* job = nullptr;
      wake_.wait(lock, [&] { return (job = Next()) != nullptr; });
      --job->helpers_wanted;
      ++job->helpers_inside;
      lock.unlock();
      job->Work(worker);
      lock.lock();
      if (--job->helpers_inside == 0) done_.notify_all();
    }
  }

  Job* Next() {
    for (Job* job : jobs_) {
      if (job->helpers_wanted > 0 && job->next.load(std::memory_order_relaxed) < job->count) return job;
    }
    return nullptr;
  }

  // Callers' workers are pooled as well, so a server's threads do not each keep scratch memory.
  std::unique_ptr<Worker> TakeWorker() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (spare_.empty()) return std::make_unique<Worker>();
    auto worker = std::move(spare_.back());
    spare_.pop_back();
    return worker;
  }
  void ReturnWorker(std::unique_ptr<Worker> worker) {
    std::lock_guard<std::mutex> lock(mutex_);
    spare_.push_back(std::move(worker));
  }

  static std::atomic<Pool*> instance;

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<Job*> jobs_;
  std::vector<std::unique_ptr<Worker>> spare_;
  std::atomic<int> started_{0};
};

std::atomic<Pool*> Pool::instance{nullptr};

}  // namespace

int AvailableThreads() {
  // Atomics, not a mutex: another thread may hold a mutex at the moment of a fork().
  static std::atomic<int64_t> read_at_ns{0};
  static std::atomic<int> cached{0};
  const int64_t now_ns = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  const int known = cached.load();
  if (known > 0 && now_ns - read_at_ns.load() < 1'000'000'000) return known;
  const double quota = QuotaThreads();
  const int affinity = AffinityThreads();
  const int threads =
      std::isinf(quota) ? affinity : std::max(1, std::min(affinity, static_cast<int>(std::ceil(quota))));
  cached.store(threads);
  read_at_ns.store(now_ns);
  return threads;
}

void ParallelFor(size_t count, int threads, const std::function<void(size_t, Worker&)>& body) {
  if (count == 0) return;
  Job job;
  job.count = count;
  job.body = &body;
  Pool::Get().Run(&job, std::max(threads, 1));
}

void ParallelOrThrow(size_t count, int threads, const std::function<void(size_t, Worker&)>& body) {
  std::mutex mutex;
  std::exception_ptr error;
  ParallelFor(count, threads, [&](size_t i, Worker& worker) {
    try {
      body(i, worker);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

struct PoolCrew::Offer {
  Job job;
  std::function<void(size_t, Worker&)> body;
};

PoolCrew::PoolCrew(int size, int threads) : size_(size), threads_(threads) {}
PoolCrew::~PoolCrew() { Recall(); }
int PoolCrew::size() const { return size_; }

void PoolCrew::Lend(const std::function<void()>& body) {
  offer_ = std::make_unique<Offer>();
  offer_->body = [body](size_t, Worker&) { body(); };
  offer_->job.count = static_cast<size_t>(size_);
  offer_->job.body = &offer_->body;
  Pool::Get().Offer(&offer_->job, size_, threads_ - 1);
}

void PoolCrew::Recall() {
  if (offer_) Pool::Get().Withdraw(&offer_->job);
  offer_.reset();
}

int PoolSize() { return Pool::Get().size(); }

}  // namespace fastpre
