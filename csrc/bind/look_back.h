// What GRU-D makes of its inputs before its GRU runs, on raw pointers.
#pragma once
#include <nanobind/nanobind.h>

namespace grus {
void def_look_back(nanobind::module_& m);
}
