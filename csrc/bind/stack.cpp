#include "stack.h"

#include <atomic>

#include "packed.h"

namespace grus {
namespace {

using nb::literals::operator""_a;

class Stack {
 public:
  Stack(nb::handle layers, idx directions) : directions_(directions) {
    for (nb::handle o : layers) {
      const PackedGru& layer = nb::cast<const PackedGru&>(o);
      layers_.push_back(layer.layer());
      keep_.push_back(layer.zoneout());
      work_ += 3 * layer.hidden_size() * (layer.input_size() + layer.hidden_size());
    }
    if (layers_.empty()) throw UsageError("Recurrent: layers must be at least 1, got 0");
    const PackedGru& first = nb::cast<const PackedGru&>(layers[0]);
    input_ = first.input_size();
    hidden_ = first.hidden_size();
    for (size_t i = 0; i < layers_.size(); ++i) check(nb::cast<const PackedGru&>(layers[i]), first, i);
  }

  // x [B, I], state [B, layers, H] -> (y [B, H], the state after)
  nb::object step(nb::handle x, nb::handle state, nb::handle out) const {
    if (directions_ != 1)
      throw UnsupportedError("Recurrent.step: layers must run in one direction, got bidirectional ones, which need the "
                             "whole sequence");
    return std::visit(
        [&](const auto& first) { return step_as<std::decay_t<decltype(first)>>(x, state, out); }, *layers_[0]);
  }
  idx input_size() const { return input_; }
  idx hidden_size() const { return hidden_; }
  idx layers() const { return static_cast<idx>(layers_.size()) / directions_; }
  idx directions() const { return directions_; }

 private:
  idx input_, hidden_, directions_, work_ = 0;
  std::vector<std::shared_ptr<const PackedGru::Layer>> layers_;
  std::vector<double> keep_;
  mutable std::atomic<bool> turn_{false};  // which way the next step goes through the units: a matter of speed only

  void check(const PackedGru& layer, const PackedGru& first, size_t i) const {
    const idx wanted = static_cast<idx>(i) < directions_ ? input_ : directions_ * hidden_;
    if (layer.layer()->index() != first.layer()->index() || layer.hidden_size() != hidden_ || layer.input_size() != wanted)
      throw UsageError("Recurrent: layer " + std::to_string(static_cast<idx>(i) / directions_) +
                       " must have the dtype of the first, input size " + std::to_string(wanted) + " and hidden size " +
                       std::to_string(hidden_) + ", got " + layer.dtype() + ", " + std::to_string(layer.input_size()) +
                       " and " + std::to_string(layer.hidden_size()));
  }

  template <class Layer>
  nb::object step_as(nb::handle xo, nb::handle so, nb::handle yo) const {
    using T = typename Layer::Number;
    constexpr Kind kind = kind_of<T>;
    const idx depth = static_cast<idx>(layers_.size());
    const bool in_place = !yo.is_none();
    const Array x(xo, "Recurrent.step: x");
    x.expect(kind, {-1, input_}, "BI");
    const idx batch = x.dim(0);
    nb::object next = nb::borrow(so), last = nb::borrow(yo);
    if (!in_place) {
      const Array given(so, "Recurrent.step: state");
      given.expect(kind, {batch, depth, hidden_}, "BLH");
      next = empty({batch, depth, hidden_}, kind);
      last = empty({batch, hidden_}, kind);
      given.copy_to(Array(next, "Recurrent.step: state", true).writable_data());
    }
    const Array state(next, "Recurrent.step: state", true), y(last, "Recurrent.step: out", true);
    if (in_place) {
      state.expect(kind, {batch, depth, hidden_}, "BLH");
      state.check_output();
      y.expect(kind, {batch, hidden_}, "BH");
      y.check_output();
      check_apart(state, x, "Recurrent.step: state", "x");
      check_apart(y, x, "Recurrent.step: out", "x");
      check_apart(y, state, "Recurrent.step: out", "state");
    }
    const Input<T> in(x);
    T* const h = static_cast<T*>(state.writable_data());
    const idx h_row = state.stride(0), h_layer = state.stride(1);
    const bool turn = turn_.load(std::memory_order_relaxed);
    turn_.store(!turn, std::memory_order_relaxed);
    compute(batch * work_, [&] {
      for (idx i = 0; i < depth; ++i) {
        const Layer& layer = *std::get_if<Layer>(layers_[i].get());
        const bool top = i + 1 == depth;
        layer.step(i ? h + (i - 1) * h_layer : in.data, i ? h_row : in.stride0, h + i * h_layer, h_row,
                   top ? static_cast<T*>(y.writable_data()) : nullptr, y.stride(0), batch, static_cast<T>(keep_[i]), turn);
      }
    });
    return nb::steal(PyTuple_Pack(2, last.ptr(), next.ptr()));
  }
};

}  // namespace

void def_stack(nb::module_& m) {
  nb::class_<Stack>(m, "Stack")
      .def(nb::init<nb::handle, idx>(), "layers"_a, "directions"_a = 1,
           nb::sig("def __init__(self, layers: collections.abc.Sequence[PackedGRU], directions: int = 1) -> None"))
      .def("step", &Stack::step, "x"_a, "state"_a, "out"_a = nb::none(),
           nb::sig("def step(self, x: numpy.ndarray, state: numpy.ndarray, out: numpy.ndarray | None = None) "
                   "-> tuple[numpy.ndarray, numpy.ndarray]"),
           R"(One step of every stream: ``(y, state)`` after it.

Without ``out`` both are new arrays and the given state stays as it is. With ``out`` nothing is allocated: y is
written to it and the state is updated in place; the two arrays that were given are returned. The bits are those
of ``run``.

Args:
    x: ``[B, I]``, one row a stream, dtype of the weights.
    state: ``[B, layers, H]``, contiguous along its last axis if it is updated.
    out: ``[B, H]`` to fill with the last layer's new state; may share no memory with x or state.

Raises:
    UsageError: a wrong shape, or arrays that share memory.
    UnsupportedError: bidirectional layers.
    TypeError: a wrong dtype, or not an array.)")
      .def_prop_ro("input_size", &Stack::input_size)
      .def_prop_ro("hidden_size", &Stack::hidden_size)
      .def_prop_ro("layers", &Stack::layers)
      .def_prop_ro("directions", &Stack::directions);
}

}  // namespace grus
