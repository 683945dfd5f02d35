#include "core/thread_pool.h"

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

#include "core/available_threads.h"
#include "core/call_context.h"
#include "core/fork_safe.h"

namespace fastpre {
namespace {

// A thread that had nothing to do for so long ends, if there are more threads than CPUs.
constexpr std::chrono::seconds kIdle{5};

struct Loop {
  size_t count = 0;
  const std::function<void(size_t)>* body = nullptr;
  std::atomic<size_t> next{0};
  int threads_wanted = 0;  // of the pool's; guarded by its mutex
  int threads_inside = 0;  // likewise

  void Work() {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) (*body)(i);
  }
};

class Pool {
 public:
  void Run(Loop* loop, int threads) {
    const int others = static_cast<int>(std::min<size_t>(threads, loop->count)) - 1;
    if (others > 0) Post(loop, others, others);
    loop->Work();
    if (others > 0) Withdraw(loop);
  }

  // Up to `wanted` threads may take the loop's indices from now on; the pool grows to `threads`.
  void Post(Loop* loop, int wanted, int threads) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      wanted = loop->threads_wanted = std::min(wanted, Grow(threads));
      loops_.push_back(loop);
    }
    // As many as there is work for; a thread that is busy looks for the next loop by itself.
    for (int i = 0; i < wanted; ++i) wake_.notify_one();
  }

  // No thread takes an index any more; waits for those that have one. Meanwhile the caller's context is polled: a
  // Ctrl-C that comes now has to reach the threads that are waited for.
  void Withdraw(Loop* loop) {
    CallContext* const context = CallContext::Current();
    std::unique_lock<std::mutex> lock(mutex_);
    loop->threads_wanted = 0;
    std::erase(loops_, loop);
    const auto finished = [&] { return loop->threads_inside == 0; };
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
      for (; started_ < wanted; ++started_) std::thread([this] { Serve(); }).detach();
    } catch (const std::system_error&) {
      // A limit on processes. The caller's own thread does what is left.
    }
    return started_;
  }

  void Serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      Loop* loop = nullptr;
      const auto found = [&] { return (loop = Next()) != nullptr; };
      if (started_ <= keep_) {
        wake_.wait(lock, found);
      } else if (!wake_.wait_for(lock, kIdle, found) && started_ > keep_) {
        --started_;
        return;
      }
      if (!loop) continue;
      --loop->threads_wanted;
      ++loop->threads_inside;
      lock.unlock();
      loop->Work();
      lock.lock();
      if (--loop->threads_inside == 0) done_.notify_all();
    }
  }

  Loop* Next() {
    for (Loop* loop : loops_) {
      if (loop->threads_wanted > 0 && loop->next.load(std::memory_order_relaxed) < loop->count) return loop;
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<Loop*> loops_;
  std::atomic<int> started_{0};
  int keep_ = 0;  // threads that stay without work; guarded by the mutex
};

Pool& ThePool() { return ForkSafe<Pool>::Get(); }

}  // namespace

void ParallelFor(size_t count, int threads, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  Loop loop;
  loop.count = count;
  loop.body = &body;
  ThePool().Run(&loop, std::max(threads, 1));
}

void ParallelOrThrow(size_t count, int threads, const std::function<void(size_t)>& body) {
  std::mutex mutex;
  std::exception_ptr error;
  ParallelFor(count, threads, [&](size_t i) {
    try {
      body(i);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!error) error = std::current_exception();
    }
  });
  if (error) std::rethrow_exception(error);
}

struct PoolHelpers::Started {
  Loop loop;
  std::function<void(size_t)> body;
};

PoolHelpers::PoolHelpers(int size, int threads)
    : size_(std::min(size, kMostHelpers)),
      threads_(std::min(threads, kMostHelpers + 1)) {}
PoolHelpers::~PoolHelpers() { Stop(); }
int PoolHelpers::size() const { return size_; }

void PoolHelpers::Start(const std::function<void()>& body) {
  started_ = std::make_unique<Started>();
  started_->body = [body](size_t) { body(); };
  started_->loop.count = static_cast<size_t>(size_);
  started_->loop.body = &started_->body;
  ThePool().Post(&started_->loop, size_, threads_ - 1);
}

void PoolHelpers::Stop() {
  if (started_) ThePool().Withdraw(&started_->loop);
  started_.reset();
}

int PoolSize() { return ThePool().size(); }

}  // namespace fastpre
