#include "bindings/call.h"

#include <functional>

#include "bindings/register.h"

namespace py = pybind11;

namespace fastpre::bindings {
namespace {

// Python runs signal handlers on its main thread alone; other threads have nothing to ask.
bool OnMainThread() {
  const py::module_ threading = py::module_::import("threading");
  return threading.attr("get_ident")().equal(threading.attr("main_thread")().attr("ident"));
}

}  // namespace

Call::Call(std::optional<double> deadline_s, const Cancellation* cancellation)
    : context_(OnMainThread() ? std::function<bool()>([this] { return PollSignals(); }) : nullptr,
               cancellation ? cancellation->flag : nullptr) {
  if (deadline_s) context_.SetDeadline(*deadline_s);
}

bool Call::PollSignals() {
  py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() == 0) return false;
  raised_.emplace();  // takes the exception, which would otherwise be in the way of other Python code on this thread
  return true;
}

void Call::RaiseInterrupt() {
  if (raised_) throw *std::exchange(raised_, std::nullopt);
}

void register_call(py::module_& m) {
  py::class_<Cancellation>(m, "Cancellation").def(py::init<>()).def("cancel", [](const Cancellation& c) {
    c.flag->store(true);
  });
}

}  // namespace fastpre::bindings
