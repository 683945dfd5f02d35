#include "core/call_context.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace fastpre {
namespace {

thread_local CallContext* current = nullptr;

}  // namespace

CallContext::CallContext(std::function<bool()> poll, Flag cancelled)
    : poll_(std::move(poll)),
      cancelled_(std::move(cancelled)),
      caller_(std::this_thread::get_id()),
      next_poll_(Clock::now() + kPollInterval) {}

void CallContext::SetDeadline(double seconds_from_now) {
  constexpr double kFarAway = 1e9;  // 30 years; the clock's own range is ten times that
  if (seconds_from_now >= kFarAway) return;
  deadline_ =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_from_now));
}

void CallContext::Begin() {
  Check();
  if (late())
    throw Error(ErrorKind::kDeadline,
                "not begun by the call's deadline (deadline_s); images that were begun are finished");
}

void CallContext::Poll() {
  if (!poll_ || std::this_thread::get_id() != caller_) return;
  const Clock::time_point before = Clock::now();
  if (before < next_poll_) return;
  if (poll_()) interrupted_.store(true, std::memory_order_relaxed);
  const Clock::time_point after = Clock::now();
  next_poll_ = after + std::clamp<Clock::duration>(10 * (after - before), kPollInterval, kLongestPollInterval);
}

CallContext* CallContext::Current() { return current; }

CallContext::Scope::Scope(CallContext* context) : outer_(std::exchange(current, context)) {}
CallContext::Scope::~Scope() { current = outer_; }

}  // namespace fastpre
