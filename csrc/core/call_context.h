// What may end a call before its work is done: cancellation (Ctrl-C, a shutdown) and a deadline.
//
// Long work calls CheckCancelled() between rows of MCUs and between blocks of output rows, so that a
// call ends within a fraction of a second, whatever image it is at. The context is kept per thread (CallContext::Scope)
// and is no parameter of the functions in between: it can stop their work and never change a result.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <thread>

namespace fastpre {

// The call is to end. Not an Error: no image is at fault.
class Cancelled final : public std::exception {
 public:
  const char* what() const noexcept override { return "the call was cancelled"; }
};

class CallContext {
 public:
  using Clock = std::chrono::steady_clock;
  using Flag = std::shared_ptr<std::atomic<bool>>;
  // How often the calling thread asks `poll`, at most. A signal is seen after one interval and a few rows of MCUs.
  // Where asking takes long, because other Python threads hold the GIL, it is asked less often.
  static constexpr std::chrono::milliseconds kPollInterval{20}, kLongestPollInterval{80};

  // `poll` is called on the thread that made the context, and only there; true ends the call. Null: nothing to ask.
  explicit CallContext(std::function<bool()> poll = nullptr, Flag cancelled = nullptr);

  // Images are begun until then.
  void SetDeadline(double seconds_from_now);
  // To be called before an image is begun. Throws Cancelled, and Error(kDeadline) where the time is up.
  void Begin();

  bool cancelled() const {
    return interrupted_.load(std::memory_order_relaxed) || (cancelled_ && cancelled_->load(std::memory_order_relaxed));
  }
  // Asks `poll`, if this is its thread and it is time. Does not throw, so that a thread that has to wait for others
  // can call it.
  void Poll();
  // Throws Cancelled. For what is done seldom: files, images, blocks of input.
  void Check() {
    Poll();
    if (cancelled()) throw Cancelled();
  }
  // The same for rows of MCUs, which take 5 us to 5 ms: the clock, which takes 25 ns, is looked at by every fourth call
  // on the caller's thread. On other threads this is two loads.
  void CheckRow() {
    if (poll_ && std::this_thread::get_id() == caller_ && ++rows_ % 4 == 0) Poll();
    if (cancelled()) throw Cancelled();
  }
  // True once images are no longer begun.
  bool late() const { return deadline_ != Clock::time_point::max() && Clock::now() >= deadline_; }

  // The context of the call that this thread works for; null outside of calls.
  static CallContext* Current();

  // While it lives, this thread works for `context`.
  class Scope {
   public:
    explicit Scope(CallContext* context);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    CallContext* const outer_;
  };

 private:
  std::function<bool()> poll_;
  const Flag cancelled_;                  // from outside; null: not possible
  std::atomic<bool> interrupted_{false};  // by `poll`
  const std::thread::id caller_;
  unsigned rows_ = 0;  // the caller's thread's, as the next line
  Clock::time_point next_poll_;
  Clock::time_point deadline_ = Clock::time_point::max();
};

// Throw Cancelled if the call that this thread works for is to end.
inline void CheckCancelled() {
  if (CallContext* const context = CallContext::Current()) context->Check();
}
inline void CheckCancelledByRow() {
  if (CallContext* const context = CallContext::Current()) context->CheckRow();
}

}  // namespace fastpre
