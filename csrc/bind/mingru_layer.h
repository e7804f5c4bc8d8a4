// The MinGRU as Python sees it: a layer with packed weights, and training on addresses.
#pragma once
#include <nanobind/nanobind.h>

namespace grus {
void def_mingru(nanobind::module_& m);
}  // namespace grus
