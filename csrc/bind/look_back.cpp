#include "look_back.h"

#include <nanobind/stl/string.h>

#include <string>
#include <vector>

#include "gil.h"
#include "packed.h"
#include "problem.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

// grus.kernels.look_back.LookBack, field by field.
enum class Given { itemsize, sizes, decay, x, mask, gap, last, since, inputs, elapsed, before, last_n, since_n, lengths };
constexpr Py_ssize_t kGiven = 14;

nb::handle field(nb::handle given, Given i) { return PyTuple_GetItem(given.ptr(), static_cast<Py_ssize_t>(i)); }

template <class T>
struct Look {
  LookBackArgs<T> a{};
  std::vector<int64_t> lengths;

  explicit Look(nb::handle p) {
    const auto at = [&](Given i) { return field(p, i); };
    idx sizes[3];
    if (!PyTuple_Check(at(Given::sizes).ptr()) || PyTuple_Size(at(Given::sizes).ptr()) != 3)
      throw nb::type_error("sizes must be (batch, time, size)");
    for (int i = 0; i < 3; ++i) {
      sizes[i] = integer(PyTuple_GetItem(at(Given::sizes).ptr(), i), "sizes");
      if (sizes[i] < 0 || sizes[i] > (idx{1} << 40))
        throw UsageError("sizes must be from 0 to 2^40, got " + std::to_string(sizes[i]));
    }
    a.batch = sizes[0], a.time = sizes[1], a.size = sizes[2];
    const T* decay[2];
    addresses<const T, 2>(at(Given::decay), "decay", decay);
    a.weight = decay[0], a.bias = decay[1];
    const bool steps = a.batch > 0 && a.time > 0 && a.size > 0, rows = a.batch > 0 && a.size > 0;
    const View<const T> x(at(Given::x), "x", steps), mask(at(Given::mask), "mask", steps), gap(at(Given::gap), "gap", steps);
    const View<const T> last(at(Given::last), "last", rows), since(at(Given::since), "since", rows);
    const View<T> inputs(at(Given::inputs), "inputs", steps), elapsed(at(Given::elapsed), "elapsed", steps);
    const View<T> before(at(Given::before), "before", steps), last_n(at(Given::last_n), "last_n", rows);
    const View<T> since_n(at(Given::since_n), "since_n", rows);
    if (steps && (!a.weight || !a.bias)) throw UsageError("decay must hold weight and bias");
    a.x = x.data, a.x_row = x.row, a.x_time = x.time;
    a.mask = mask.data, a.mask_row = mask.row, a.mask_time = mask.time;
    a.gap = gap.data, a.gap_row = gap.row, a.gap_time = gap.time;
    a.last = last.data, a.last_row = last.row, a.since = since.data, a.since_row = since.row;
    a.inputs = inputs.data, a.inputs_row = inputs.row, a.inputs_time = inputs.time;
    a.elapsed = elapsed.data, a.elapsed_row = elapsed.row, a.elapsed_time = elapsed.time;
    a.before = before.data, a.before_row = before.row, a.before_time = before.time;
    a.last_n = last_n.data, a.last_n_row = last_n.row, a.since_n = since_n.data, a.since_n_row = since_n.row;
    if (at(Given::lengths).is_none()) return;
    const View<const int64_t> given(at(Given::lengths), "lengths");
    lengths.assign(given.data, given.data + a.batch);
    check_lengths(lengths.data(), a.batch, a.time);
    a.lengths = lengths.data();
  }
  // Multiply-adds that take as long, about.
  idx work() const { return a.batch * a.time * a.size * 8; }
};

bool of_doubles(nb::handle given) {
  if (!PyTuple_Check(given.ptr()) || PyTuple_Size(given.ptr()) != kGiven)
    throw nb::type_error("given must be a grus.kernels.look_back.LookBack");
  const idx itemsize = integer(field(given, Given::itemsize).ptr(), "itemsize");
  if (itemsize != 4 && itemsize != 8)
    throw UsageError("itemsize must be 4 (float32) or 8 (float64), got " + std::to_string(itemsize));
  return itemsize == 8;
}

template <class T>
void run_as(const Isa& isa, nb::handle given) {
  const Look<T> look(given);
  compute(look.work(), [&] { kernels_of<T>(isa).look_back(look.a); });
}

template <class T>
void back_as(const Isa& isa, nb::handle given, nb::handle dinputs, nb::handle delapsed, nb::handle dlast_n,
             nb::handle dsince_n, nb::handle decay, nb::handle dx, nb::handle dgap, nb::handle dlast, nb::handle dsince) {
  const Look<T> look(given);
  LookBackGradient<T> b{};
  b.f = look.a;
  const bool steps = b.f.batch > 0 && b.f.time > 0 && b.f.size > 0;
  const View<const T> d_inputs(dinputs, "d_inputs", steps), d_elapsed(delapsed, "d_elapsed");
  const View<const T> d_last_n(dlast_n, "d_last_n"), d_since_n(dsince_n, "d_since_n");
  const View<T> d_x(dx, "d_x"), d_gap(dgap, "d_gap"), d_last(dlast, "d_last"), d_since(dsince, "d_since");
  b.dinputs = d_inputs.data, b.dinputs_row = d_inputs.row, b.dinputs_time = d_inputs.time;
  b.delapsed = d_elapsed.data, b.delapsed_row = d_elapsed.row, b.delapsed_time = d_elapsed.time;
  b.dlast_n = d_last_n.data, b.dlast_n_row = d_last_n.row;
  b.dsince_n = d_since_n.data, b.dsince_n_row = d_since_n.row;
  T* d_decay[2];
  addresses<T, 2>(decay, "d_decay", d_decay);
  if (b.f.size && (!d_decay[0] || !d_decay[1])) throw UsageError("d_decay must hold weight and bias");
  b.dweight = d_decay[0], b.dbias = d_decay[1];
  b.dx = d_x.data, b.dx_row = d_x.row, b.dx_time = d_x.time;
  b.dgap = d_gap.data, b.dgap_row = d_gap.row, b.dgap_time = d_gap.time;
  b.dlast = d_last.data, b.dlast_row = d_last.row;
  b.dsince = d_since.data, b.dsince_row = d_since.row;
  const Aligned<T> room = allocate<T>(4 * b.f.size);
  compute(2 * look.work(), [&] { kernels_of<T>(isa).look_back_gradient(b, room.get()); });
}

}  // namespace

void def_look_back(nb::module_& m) {
  m.def(
      "look_back",
      [](nb::handle given, const std::string& isa) {
        (of_doubles(given) ? run_as<double> : run_as<float>)(isa_by_name(isa), given);
      },
      "given"_a, "isa"_a = "");
  m.def(
      "look_back_gradient",
      [](nb::handle given, nb::handle d_inputs, nb::handle d_elapsed, nb::handle d_last_n, nb::handle d_since_n,
         nb::handle d_decay, nb::handle d_x, nb::handle d_gap, nb::handle d_last, nb::handle d_since,
         const std::string& isa) {
        (of_doubles(given) ? back_as<double> : back_as<float>)(isa_by_name(isa), given, d_inputs, d_elapsed, d_last_n,
                                                               d_since_n, d_decay, d_x, d_gap, d_last, d_since);
      },
      "given"_a, "d_inputs"_a, "d_elapsed"_a.none(), "d_last_n"_a.none(), "d_since_n"_a.none(), "d_decay"_a,
      "d_x"_a.none(), "d_gap"_a.none(), "d_last"_a.none(), "d_since"_a.none(), "isa"_a = "");
}

}  // namespace grus
