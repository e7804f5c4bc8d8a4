// Unidirectional layers on top of each other, stepped in one call.
#pragma once
#include <nanobind/nanobind.h>

namespace grus {
void def_stack(nanobind::module_& m);
}
