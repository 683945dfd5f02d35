#include "bindings/register.h"

namespace fb = fastpre::bindings;

// No global state is unguarded, so free-threaded CPython may keep the GIL off.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "fastpre's compiled core. Use the names in `fastpre`; these may change.";
  fb::register_errors(m);
  fb::register_spec(m);
  fb::register_draw(m);
  fb::register_plan(m);
  fb::register_dlpack(m);
  fb::register_call(m);
  fb::register_cpu(m);
  fb::register_transcode(m);
  fb::register_cuda(m);
  fb::register_build(m);
}
