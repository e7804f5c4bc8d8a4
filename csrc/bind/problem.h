// A call on addresses, as grus.nn makes it: converting a torch tensor costs 2 us, reading its address 0.1 us. What can
// be checked without the tensors (sizes, alignment, missing arrays, lengths) is checked here; that the addresses
// are right is the promise of grus.nn, which takes them from tensors whose shapes it has checked.
#pragma once
#include <nanobind/nanobind.h>

#include <string>
#include <vector>

#include "errors.h"
#include "gru.h"

namespace grus {

namespace nb = nanobind;

inline idx integer(PyObject* o, const char* name) {
  const long long v = PyLong_AsLongLong(o);
  if (v == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    throw nb::type_error((std::string(name) + " must hold integers").c_str());
  }
  return v;
}

// (address, row stride, time stride), strides in elements; None for an absent array.
template <class T>
struct View {
  T* data = nullptr;
  idx row = 0, time = 0;
  View(nb::handle o, const char* name, bool needed = false) {
    if (o.is_none()) {
      if (needed) throw UsageError(std::string(name) + " must be given, got None");
      return;
    }
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 3)
      throw nb::type_error((std::string(name) + " must be (address, row stride, time stride) or None").c_str());
    const idx address = integer(PyTuple_GetItem(o.ptr(), 0), name);
    if (address % static_cast<idx>(sizeof(T)))
      throw UsageError(std::string(name) + " must be aligned to " + std::to_string(sizeof(T)) + " bytes");
    data = reinterpret_cast<T*>(static_cast<uintptr_t>(address));
    row = integer(PyTuple_GetItem(o.ptr(), 1), name);
    time = integer(PyTuple_GetItem(o.ptr(), 2), name);
  }
};

template <class T, int N>
void addresses(nb::handle o, const char* name, T* (&out)[N]) {
  if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != N)
    throw nb::type_error((std::string(name) + " must be a tuple of " + std::to_string(N) + " addresses").c_str());
  for (int i = 0; i < N; ++i) {
    const idx address = integer(PyTuple_GetItem(o.ptr(), i), name);
    if (address % static_cast<idx>(sizeof(T)))
      throw UsageError(std::string(name) + " must be aligned to " + std::to_string(sizeof(T)) + " bytes");
    out[i] = reinterpret_cast<T*>(static_cast<uintptr_t>(address));
  }
}

struct Sizes {
  idx batch, time, input, hidden;
  explicit Sizes(nb::handle o) {
    idx* const to[] = {&batch, &time, &input, &hidden};
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 4)
      throw nb::type_error("sizes must be (batch, time, input, hidden)");
    for (int i = 0; i < 4; ++i) {
      *to[i] = integer(PyTuple_GetItem(o.ptr(), i), "sizes");
      if (*to[i] < 0 || *to[i] > (idx{1} << 40))
        throw UsageError("sizes must be from 0 to 2^40, got " + std::to_string(*to[i]));
    }
    if (hidden < 1) throw UsageError("sizes must have a hidden size of at least 1, got 0");
  }
};

// grus.kernels.native.Problem, field by field.
enum Field { kItemsize, kSizes, kAfter, kReverse, kWeights, kX, kH0, kOutput, kSaved, kLengths, kOptions, kKeep, kDecay, kFields };

inline nb::handle field(nb::handle problem, Field i) { return PyTuple_GetItem(problem.ptr(), i); }

template <class T>
struct Problem {
  SequenceArgs<T> a{};
  std::vector<int64_t> lengths;

  explicit Problem(nb::handle p) {
    const Sizes n(field(p, kSizes));
    a.batch = n.batch, a.time = n.time, a.input = n.input, a.hidden = n.hidden;
    a.reset_after = nb::cast<bool>(field(p, kAfter));
    a.reverse = nb::cast<bool>(field(p, kReverse));
    arrays(p);
    options(field(p, kOptions));
    const double keep = nb::cast<double>(field(p, kKeep));
    if (!(keep >= 0 && keep <= 1)) throw UsageError("keep must be from 0 to 1, got " + std::to_string(keep));
    a.keep = static_cast<T>(keep);
    const View<const T> decay(field(p, kDecay), "decay");
    if (decay.data && !a.reset_after) throw UsageError("decay must be None where reset_after is False");
    a.decay = decay.data, a.decay_row = decay.row, a.decay_time = decay.time;
    if (field(p, kLengths).is_none()) return;
    const View<const int64_t> given(field(p, kLengths), "lengths");
    lengths.assign(given.data, given.data + n.batch);
    check_lengths(lengths.data(), n.batch, n.time);
    a.lengths = lengths.data();
  }
  bool empty() const { return a.batch == 0 || a.time == 0; }

 private:
  void arrays(nb::handle p) {
    const View<const T> x(field(p, kX), "x"), h0(field(p, kH0), "h_0");
    const View<T> y(field(p, kOutput), "output"), saved(field(p, kSaved), "saved");
    if (!empty() && ((!x.data && a.input) || !y.data)) throw UsageError("x and output must be given, got None");
    a.x = x.data, a.x_row = x.row, a.x_time = x.time;
    a.h0 = h0.data, a.h0_row = h0.row;
    a.y = y.data, a.y_row = y.row, a.y_time = y.time;
    a.saved = saved.data, a.saved_row = saved.row, a.saved_time = saved.time;
  }
  void options(nb::handle o) {
    if (!PyTuple_Check(o.ptr()) || PyTuple_Size(o.ptr()) != 3)
      throw nb::type_error("options must be a tuple of three views: resets, mask and zoneout mask");
    const View<const uint8_t> resets(PyTuple_GetItem(o.ptr(), 0), "resets");
    const View<const T> mask(PyTuple_GetItem(o.ptr(), 1), "mask");
    const View<const uint8_t> keep(PyTuple_GetItem(o.ptr(), 2), "zoneout mask");
    a.resets = resets.data, a.resets_row = resets.row, a.resets_time = resets.time;
    a.mask = mask.data, a.mask_row = mask.row;
    a.keep_mask = keep.data, a.keep_row = keep.row, a.keep_time = keep.time;
  }
};

template <class T>
RawWeights<T> raw_weights(nb::handle problem, idx input) {
  const T* p[6];
  addresses<const T, 6>(field(problem, kWeights), "weights", p);
  if (!p[1] || !p[4] != !p[5]) throw UsageError("weights must hold weight_hh, and both gains or none");
  if (!p[0] && input) throw UsageError("weights must hold weight_ih");
  return {p[0], p[1], p[2], p[3], p[4], p[5]};
}

// Is it a problem of doubles (else of floats)?
inline bool is_double(nb::handle problem) {
  if (!PyTuple_Check(problem.ptr()) || PyTuple_Size(problem.ptr()) != kFields)
    throw nb::type_error("problem must be a grus.kernels.native.Problem");
  const idx itemsize = integer(field(problem, kItemsize).ptr(), "itemsize");
  if (itemsize != 4 && itemsize != 8)
    throw UsageError("itemsize must be 4 (float32) or 8 (float64), got " + std::to_string(itemsize));
  return itemsize == 8;
}

}  // namespace grus
