// How a call from Python ends early: Python's signals, a Cancellation, a deadline.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "core/call_context.h"

namespace fastpre::bindings {

// Ends calls from another thread; once cancelled, for good.
struct Cancellation {
  CallContext::Flag flag = std::make_shared<std::atomic<bool>>(false);
};

// One call's context. To be made with the GIL held; the call runs without it.
class Call {
 public:
  Call(std::optional<double> deadline_s, const Cancellation* cancellation);
  CallContext* context() { return &context_; }
  // With the GIL held: raises what a signal's handler raised (KeyboardInterrupt, say), if one did.
  void RaiseInterrupt();

 private:
  bool PollSignals();

  std::optional<pybind11::error_already_set> raised_;
  CallContext context_;
};

// `body`, without the GIL; an interrupt comes out as Python's exception, however `body` ended.
template <class Body>
auto WithoutGil(Call* call, Body body) {
  try {
    auto result = [&] {
      pybind11::gil_scoped_release nogil;
      return body();
    }();
    call->RaiseInterrupt();
    return result;
  } catch (const pybind11::error_already_set&) {
    throw;
  } catch (...) {
    call->RaiseInterrupt();
    throw;
  }
}

}  // namespace fastpre::bindings
