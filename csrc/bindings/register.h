// One register_* per file; module.cpp is their table of contents.
#pragma once

#include <pybind11/pybind11.h>

namespace fastpre::bindings {

void register_errors(pybind11::module_& m);
void register_spec(pybind11::module_& m);
void register_draw(pybind11::module_& m);
void register_plan(pybind11::module_& m);
void register_dlpack(pybind11::module_& m);
void register_call(pybind11::module_& m);
void register_cpu(pybind11::module_& m);
void register_transcode(pybind11::module_& m);
void register_cuda(pybind11::module_& m);
void register_build(pybind11::module_& m);

}  // namespace fastpre::bindings
