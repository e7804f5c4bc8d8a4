// A GRU layer with packed weights as Python sees it, and what all layers' methods need.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "array.h"
#include "gil.h"
#include "gru.h"
#include "problem.h"

namespace grus {

// Below this many multiply-adds (about 5 us) the GIL is kept: giving it up costs a tenth of a one-row step, and
// getting it back can cost a scheduling interval.
constexpr idx kReleaseWork = 100000;

template <class F>
void compute(idx work, F&& f) {
  if (work < kReleaseWork) return f();
  const GilReleased unlocked;
  f();
}

inline nb::object empty(std::initializer_list<idx> shape, Kind kind) {
  const auto numpy = [](const char* name) { return nb::object(nb::module_::import_("numpy").attr(name)).release().ptr(); };
  static PyObject* const function = numpy("empty");
  static PyObject* const types[] = {numpy("float32"), numpy("float64"), numpy("int64")};
  const nb::object sizes = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(shape.size())));
  Py_ssize_t i = 0;
  for (const idx n : shape) PyTuple_SetItem(sizes.ptr(), i++, PyLong_FromLongLong(n));
  return nb::handle(function)(sizes, nb::handle(types[kind == Kind::i64 ? 2 : kind == Kind::f64]));
}

inline void check_apart(const Array& out, const Array& in, const char* where, const char* other) {
  const char *a, *b, *c, *d;
  out.extent(&a, &b);
  in.extent(&c, &d);
  if (a < d && c < b) throw UsageError(std::string(where) + " must not share memory with " + other);
}

// In place means the very same rows; rows that overlap other rows would be read by one thread while another writes.
inline void check_apart_or_same(const Array& out, const Array& in, const char* where, const char* other) {
  if (out.data() == in.data() && out.stride(0) == in.stride(0)) return;
  check_apart(out, in, where, other);
}

template <class T>
std::optional<std::vector<T>> bias_of(nb::handle o, const char* where, idx size) {
  if (o.is_none()) return std::nullopt;
  const Array a(o, where);
  a.expect(kind_of<T>, {size}, "N");
  return contiguous<T>(a);
}
template <class T>
const T* pointer(const std::optional<std::vector<T>>& v) {
  return v ? v->data() : nullptr;
}

// What weights are to be stored as.
enum class Storage { plain, bf16, int8 };
inline Storage storage(const std::string& weights, const char* where) {
  if (weights.empty()) return Storage::plain;
  if (weights == "bf16") return Storage::bf16;
  if (weights == "int8") return Storage::int8;
  throw UsageError(std::string(where) + ": weights must be bf16, int8 or None, got '" + weights + "'");
}
// A scale cannot stand for what is not finite.
template <class S, class T>
void check_finite(const std::vector<T>& w, const char* where) {
  if (sizeof(S) > 1) return;
  for (const T number : w)
    if (!(number - number == 0)) throw UsageError(std::string(where) + " must be finite to be stored as int8");
}

// What `run` of a packed layer calls its arrays in errors.
struct RunNames {
  const char *x, *h0, *lengths, *resets, *out, *h_n, *decay;
};
#define GRUS_RUN_NAMES(CLASS)                                                                          \
  {CLASS ".run: x",      CLASS ".run: h0",  CLASS ".run: lengths", CLASS ".run: resets", CLASS ".run: out", \
   CLASS ".run: h_n", CLASS ".run: decay"}

// x [B, T, I], h0 [B, H] or None, lengths, resets -> (y [B, T, H], h_n [B, H]). work: multiply-adds of a row and step.
template <class Layer, class T = typename Layer::Number>
nb::object run_sequences(const Layer& layer, const RunNames& names, T keep, idx work, nb::handle xo, nb::handle h0o,
                         nb::handle lengths_o, nb::handle resets_o, nb::handle decay_o, bool reverse, nb::handle out) {
  constexpr Kind kind = kind_of<T>;
  const Array x(xo, names.x);
  x.expect(kind, {-1, -1, layer.input}, "BTI");
  SequenceArgs<T> a{};
  a.batch = x.dim(0);
  a.time = x.dim(1);
  a.reverse = reverse;
  a.keep = keep;

  std::optional<Array> h0, lengths, resets, decay;
  std::optional<Input<T>> h0_in, decay_in;
  std::vector<int64_t> lengths_in;
  std::optional<Input<uint8_t>> resets_in;
  if (!h0o.is_none()) {
    h0.emplace(h0o, names.h0);
    h0->expect(kind, {a.batch, layer.hidden}, "BH");
    h0_in.emplace(*h0);
    a.h0 = h0_in->data;
    a.h0_row = h0_in->stride0;
  }
  if (!lengths_o.is_none()) {
    lengths.emplace(lengths_o, names.lengths);
    lengths->expect(Kind::i64, {a.batch}, "B");
    // A copy: another thread may change the caller's array after the check.
    lengths_in = contiguous<int64_t>(*lengths);
    check_lengths(lengths_in.data(), a.batch, a.time);
    a.lengths = lengths_in.data();
  }
  if (!resets_o.is_none()) {
    resets.emplace(resets_o, names.resets);
    resets->expect(Kind::boolean, {a.batch, a.time}, "BT");
    resets_in.emplace(*resets);
    a.resets = resets_in->data;
    a.resets_row = resets_in->stride0;
    a.resets_time = 1;
  }
  if (!decay_o.is_none()) {
    decay.emplace(decay_o, names.decay);
    decay->expect(kind, {a.batch, a.time, layer.hidden}, "BTH");
    decay_in.emplace(*decay);
    a.decay = decay_in->data;
    a.decay_row = decay_in->stride0;
    a.decay_time = decay_in->stride1;
  }
  const nb::object yo = out.is_none() ? empty({a.batch, a.time, layer.hidden}, kind) : nb::borrow(out);
  const nb::object ho = empty({a.batch, layer.hidden}, kind);
  const Array y(yo, names.out, true), hn(ho, names.h_n, true);
  y.expect(kind, {a.batch, a.time, layer.hidden}, "BTH");
  y.check_output();
  if (!out.is_none()) check_apart(y, x, names.out, "x");
  const Input<T> x_in(x);
  a.x = x_in.data;
  a.x_row = x_in.stride0;
  a.x_time = x_in.stride1;
  a.y = static_cast<T*>(y.writable_data());
  a.y_row = y.stride(0);
  a.y_time = y.stride(1);
  a.hn = static_cast<T*>(hn.writable_data());
  a.hn_row = layer.hidden;
  compute(a.batch * a.time * work, [&] { layer.run(a); });
  return nb::make_tuple(yo, ho);
}

class PackedGru {
 public:
  PackedGru(nb::handle weight_ih, nb::handle weight_hh, nb::handle bias_ih, nb::handle bias_hh, bool reset_after,
            nb::handle gain_ih, nb::handle gain_hh, double zoneout, const std::string& weights, const std::string& isa)
      : isa_(&isa_by_name(isa)),
        zoneout_(zoneout),
        layer_(std::make_shared<const Layer>(make({weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh}, reset_after,
                                                  storage(weights, "PackedGRU")))) {
    if (!(zoneout >= 0 && zoneout <= 1))
      throw UsageError("PackedGRU: zoneout must be from 0 to 1, got " + std::to_string(zoneout));
  }

  nb::object run(nb::handle x, nb::handle h0, nb::handle lengths, nb::handle resets, nb::handle decay, bool reverse,
                 nb::handle out) const {
    if (!decay.is_none() && !reset_after())
      throw UsageError("PackedGRU.run: decay must be None where reset_after is False");
    return std::visit(
        [&](const auto& layer) { return run_as(layer, x, h0, lengths, resets, decay, reverse, out); }, *layer_);
  }
  void forward(nb::handle problem, nb::handle h_n) const {
    if (is_double(problem) != (layer_->index() == 1))
      throw UsageError(std::string("PackedGRU.forward: itemsize must be that of ") + dtype());
    std::visit([&](const auto& layer) { forward_as(layer, problem, h_n); }, *layer_);
  }
  nb::object step(nb::handle x, nb::handle h, nb::handle out) const {
    return std::visit([&](const auto& layer) { return step_as(layer, x, h, out); }, *layer_);
  }
  idx input_size() const {
    return std::visit([](const auto& layer) { return layer.input; }, *layer_);
  }
  idx hidden_size() const {
    return std::visit([](const auto& layer) { return layer.hidden; }, *layer_);
  }
  bool reset_after() const {
    return std::visit([](const auto& layer) { return layer.reset_after; }, *layer_);
  }
  const char* dtype() const { return kind_name(layer_->index() == 1 ? Kind::f64 : Kind::f32); }
  const char* isa() const { return isa_->name; }

  using Layer = std::variant<Gru<float>, Gru<double>, Gru<float, Bf16>, Gru<float, Int8>>;
  const std::shared_ptr<const Layer>& layer() const { return layer_; }
  double zoneout() const { return zoneout_; }

 private:
  const Isa* isa_;
  double zoneout_;
  std::shared_ptr<const Layer> layer_;

  struct Handles {
    nb::handle weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh;
  };

  Layer make(const Handles& o, bool after, Storage as) const {
    const Array wi(o.weight_ih, "PackedGRU: weight_ih"), wh(o.weight_hh, "PackedGRU: weight_hh");
    if (o.gain_ih.is_none() != o.gain_hh.is_none())
      throw UsageError("PackedGRU: gain_ih and gain_hh must both be given or both be None, got one");
    if (as == Storage::bf16) return pack<float, Bf16>(o, wi, wh, after);
    if (as == Storage::int8) return pack<float, Int8>(o, wi, wh, after);
    if (wi.kind() == Kind::f64) return pack<double, double>(o, wi, wh, after);
    return pack<float, float>(o, wi, wh, after);
  }
  template <class T, class S>
  Layer pack(const Handles& o, const Array& wi, const Array& wh, bool after) const {
    wh.expect(kind_of<T>, {-1, -1}, "GH");
    const idx hidden = wh.dim(1);
    if (hidden < 1 || wh.dim(0) != 3 * hidden) wh.refuse("have shape (3 * hidden, hidden)");
    wi.expect(kind_of<T>, {3 * hidden, -1}, "GI");
    const auto w_ih = contiguous<T>(wi), w_hh = contiguous<T>(wh);
    check_finite<S>(w_ih, "PackedGRU: weight_ih");
    check_finite<S>(w_hh, "PackedGRU: weight_hh");
    const auto b_ih = bias_of<T>(o.bias_ih, "PackedGRU: bias_ih", 3 * hidden);
    const auto b_hh = bias_of<T>(o.bias_hh, "PackedGRU: bias_hh", 3 * hidden);
    const auto gain_ih = bias_of<T>(o.gain_ih, "PackedGRU: gain_ih", 3 * hidden);
    const auto gain_hh = bias_of<T>(o.gain_hh, "PackedGRU: gain_hh", 3 * hidden);
    return Gru<T, S>(*isa_, wi.dim(1), hidden, after,
                  {w_ih.data(), w_hh.data(), pointer(b_ih), pointer(b_hh), pointer(gain_ih), pointer(gain_hh)});
  }

  template <class T, class S>
  nb::object run_as(const Gru<T, S>& layer, nb::handle x, nb::handle h0, nb::handle lengths, nb::handle resets,
                    nb::handle decay, bool reverse, nb::handle out) const {
    static constexpr RunNames names = GRUS_RUN_NAMES("PackedGRU");
    return run_sequences(layer, names, static_cast<T>(zoneout_), 3 * layer.hidden * (layer.input + layer.hidden), x, h0,
                         lengths, resets, decay, reverse, out);
  }

  template <class T, class S>
  void forward_as(const Gru<T, S>& layer, nb::handle problem, nb::handle hn) const {
    Problem<T> p(problem);
    if (sizeof(S) != sizeof(T) && p.a.saved)
      throw UsageError(std::string("PackedGRU.forward: saved must be None with ") + (sizeof(S) == 1 ? "int8" : "bf16") +
                       " weights, which are for inference");
    if (p.a.input != layer.input || p.a.hidden != layer.hidden || p.a.reset_after != layer.reset_after)
      throw UsageError("PackedGRU.forward: sizes and reset_after must be those of the packed weights");
    const View<T> last(hn, "h_n", p.a.batch > 0);
    p.a.hn = last.data, p.a.hn_row = last.row;
    compute(p.a.batch * p.a.time * 3 * layer.hidden * (layer.input + layer.hidden), [&] { layer.run(p.a); });
  }

  template <class T, class S>
  nb::object step_as(const Gru<T, S>& layer, nb::handle xo, nb::handle ho, nb::handle out) const {
    constexpr Kind kind = kind_of<T>;
    const Array x(xo, "PackedGRU.step: x"), h(ho, "PackedGRU.step: h");
    x.expect(kind, {-1, layer.input}, "BI");
    h.expect(kind, {x.dim(0), layer.hidden}, "BH");
    const nb::object next = out.is_none() ? empty({x.dim(0), layer.hidden}, kind) : nb::borrow(out);
    const Array y(next, "PackedGRU.step: out", true);
    y.expect(kind, {x.dim(0), layer.hidden}, "BH");
    y.check_output();
    if (!out.is_none()) {
      check_apart_or_same(y, x, "PackedGRU.step: out", "x, except to be x itself");
      check_apart_or_same(y, h, "PackedGRU.step: out", "h, except to be h itself");
    }
    const Input<T> x_in(x), h_in(h);
    SequenceArgs<T> a{};
    a.batch = x.dim(0);
    a.time = 1;
    a.keep = static_cast<T>(zoneout_);
    a.x = x_in.data;
    a.x_row = x_in.stride0;
    a.h0 = h_in.data;
    a.h0_row = h_in.stride0;
    a.hn = static_cast<T*>(y.writable_data());
    a.hn_row = y.stride(0);
    // In place is safe: a thread writes its rows when it has read them.
    compute(a.batch * 3 * layer.hidden * (layer.input + layer.hidden), [&] { layer.run(a); });
    return next;
  }
};

}  // namespace grus
