#include "cpu/pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "core/available_threads.h"
#include "core/call_context.h"

namespace fastpre {
namespace {

// A thread that had nothing to do for so long ends, if there are more threads than CPUs.
constexpr std::chrono::seconds kIdle{5};

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
    int wanted;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      wanted = job->helpers_wanted = std::min(helpers, Grow(threads));
      jobs_.push_back(job);
    }
    // As many as there is work for; a thread that is busy looks for the next job by itself.
    for (int i = 0; i < wanted; ++i) wake_.notify_one();
  }

  // No thread takes an index any more; waits for those that have one. Meanwhile the caller's context is polled: a
  // Ctrl-C that comes now has to reach the threads that are waited for.
  void Withdraw(Job* job) {
    CallContext* const context = CallContext::Current();
    std::unique_lock<std::mutex> lock(mutex_);
    job->helpers_wanted = 0;
    std::erase(jobs_, job);
    const auto finished = [&] { return job->helpers_inside == 0; };
    if (!context) return done_.wait(lock, finished);
    while (!done_.wait_for(lock, CallContext::kPollInterval, finished)) {
      lock.unlock();
      context->Poll();
      lock.lock();
    }
  }

  int size() const { return started_.load(); }

 private:
  // Starts threads until there are `wanted`, or as many as the system allows. Called with the mutex held.
  int Grow(int wanted) {
    if (started_ < wanted) keep_ = AvailableThreads();
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
      const auto found = [&] { return (job = Next()) != nullptr; };
      if (started_ <= keep_) {
        wake_.wait(lock, found);
      } else if (!wake_.wait_for(lock, kIdle, found) && started_ > keep_) {
        --started_;
        return;
      }
      if (!job) continue;
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
  int keep_ = 0;  // threads that stay without work; guarded by the mutex
};

std::atomic<Pool*> Pool::instance{nullptr};

}  // namespace

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

PoolCrew::PoolCrew(int size, int threads)
    : size_(std::min(size, kMostHelpers)),
      threads_(std::min(threads, kMostHelpers + 1)) {}
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
