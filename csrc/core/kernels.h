// What the engine (gru.cpp) and the instruction sets (isa/*.cpp) agree on: plain structs and a table of functions.
// Nothing here may be an inline function that both sides instantiate: each side is compiled with other flags.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace grus {

using idx = int64_t;

// bfloat16, the upper half of a float: weights may be stored so, nothing is computed in it.
struct Bf16 {
  uint16_t bits;
};
// A weight as a whole number from -127 to 127, times a scale of its output.
struct Int8 {
  int8_t value;
};

// One GRU layer in one direction over a batch, a sequence at a time. All strides count elements; the last axis of
// every array is contiguous. Pointers stay owned by the caller; inputs may not overlap outputs, except h0 and hn.
template <class T>
struct SequenceArgs {
  idx batch, time, input, hidden;
  bool reset_after, reverse;
  const T* bias;  // packed by pack_gru
  const T* x;     // [batch, time, input]
  idx x_row, x_time;
  const T* h0;    // [batch, hidden] or null for zeros
  idx h0_row;
  T* y;           // [batch, time, hidden] or null when only the last state is wanted
  idx y_row, y_time;
  T* hn;          // [batch, hidden]
  idx hn_row;
  const int64_t* lengths;  // [batch] valid steps, or null for all
  // [batch, time] or null; nonzero: a sequence begins at that step, so the state is zeroed before it (going
  // backwards: after it).
  const uint8_t* resets;
  idx resets_row, resets_time;
  const T* mask;           // [batch, hidden] recurrent dropout: multiplies the state where it enters wh; or null
  idx mask_row;
  // [batch, time, hidden] multiplies the state before a step sees it, in all that it does with it; or null. Only with
  // reset_after.
  const T* decay;
  idx decay_row, decay_time;
  T keep;                  // zoneout: h' = keep * h + (1 - keep) * new
  const uint8_t* keep_mask;  // [batch, time, hidden] nonzero keeps the unit (keep is then ignored); or null
  idx keep_row, keep_time;
  const T* gain_x;         // layer norm: packed by pack_gain; both or neither
  const T* gain_h;
  // What backward needs, `saved_size` numbers a row and step; or null. See core/sequence.h for the layout.
  T* saved;
  idx saved_row, saved_time;
};

// Gradients of one sequence call. `f` repeats the forward call (y and saved filled). Weight gradients are contiguous
// and written, as are dx and dh0 (dx is added to where asked). Null pointers: dy, dhn zeros; dx, dh0 not wanted.
template <class T>
struct BackwardArgs {
  SequenceArgs<T> f;
  const T* whT;  // packed by pack_backward
  const T* wxT;
  const T* dy;   // [batch, time, hidden]
  idx dy_row, dy_time;
  const T* dhn;  // [batch, hidden]
  idx dhn_row;
  T* dx;         // [batch, time, input]; steps beyond a row's length are set to zero
  idx dx_row, dx_time;
  bool add_dx;
  idx dx_size;   // how many of the input's columns, from the first on, dx has; 0: all
  T* dh0;        // [batch, hidden]
  idx dh0_row;
  T* ddecay;     // [batch, time, hidden]; zero beyond a row's length; or null
  idx ddecay_row, ddecay_time;
};

// What GRU-D makes of its inputs before its GRU runs, see core/grud.h. Strides as above; weight and bias are [size].
template <class T>
struct LookBackArgs {
  idx batch, time, size;
  const T *weight, *bias;
  const T* x;              // [batch, time, size]
  idx x_row, x_time;
  const T* mask;           // [batch, time, size], above 1/2: observed
  idx mask_row, mask_time;
  const T* gap;            // [batch, time]
  idx gap_row, gap_time;
  const T *last, *since;   // [batch, size] before the first step
  idx last_row, since_row;
  const int64_t* lengths;  // [batch] valid steps, or null for all; what is made of the others is zero
  T* inputs;               // [batch, time, 2 size]: xhat, and 1 or 0
  idx inputs_row, inputs_time;
  T* elapsed;              // [batch, time, size]: s
  idx elapsed_row, elapsed_time;
  T* before;               // [batch, time, size]: the last value before the step
  idx before_row, before_time;
  T *last_n, *since_n;     // [batch, size] after each row's last valid step
  idx last_n_row, since_n_row;
};

// Its gradients. `f` repeats the forward call (inputs, elapsed and before filled). Null pointers: of dlast_n, dsince_n and
// delapsed zeros, of what is written not wanted; dweight and dbias [size] are wanted.
template <class T>
struct LookBackGradient {
  LookBackArgs<T> f;
  const T* dinputs;        // [batch, time, >= size]
  idx dinputs_row, dinputs_time;
  const T* delapsed;
  idx delapsed_row, delapsed_time;
  const T *dlast_n, *dsince_n;
  idx dlast_n_row, dsince_n_row;
  T *dweight, *dbias;
  T* dx;
  idx dx_row, dx_time;
  T* dgap;
  idx dgap_row, dgap_time;
  T *dlast, *dsince;
  idx dlast_row, dsince_row;
};

// Queries that look at memories, see core/attend.h. Rows stand in runs of `each` that look at one memory: row i at memory
// i / each. Strides as above; what lies beyond a memory's length is not read.
template <class T>
struct AttendArgs {
  idx each, steps, key, size;  // steps of every memory; numbers of a key and of a step of the memory
  const T* query;              // [rows, key]
  idx query_row;
  const T* vector;             // [key]; or null: a score is the product of query and key
  const T* keys;               // [memories, steps, key]
  idx keys_row, keys_time;
  const T* memory;             // [memories, steps, size]
  idx memory_row, memory_time;
  const int64_t* lengths;      // [memories] valid steps
  T* context;                  // [rows, size]
  idx context_row;
  T* attention;                // [rows, steps]; zero beyond the length
  idx attention_row;
};

// The greatest of each row's values, see core/best.h.
template <class T>
struct BestArgs {
  idx size, count;        // values of a row; how many of the greatest are wanted, 1 to size
  const int64_t* banned;  // codes that are not among them
  idx banned_count;
  idx picked;             // a code whose value is wanted in any case
  const T* values;        // [rows, size]
  idx values_row;
  int64_t* codes;         // [rows, count], the greatest first, of equal ones the first; 0 where there are no more
  T* best;                // [rows, count], their values; minus infinity where there are no more
  T* of_picked;           // [rows]
  double* total;          // [rows] log sum exp of all values, banned ones too
};

// One thread's share of the weight gradients: dw_ih [3H, I], dw_hh [3H, H], the others [3H].
template <class T>
struct WeightGrads {
  T *w_ih, *w_hh, *b_ih, *b_hh, *gain_ih, *gain_hh;
};

// The same of a MinGRU, which has no recurrent weights.
template <class T>
struct MinWeightGrads {
  T *w_ih, *b_ih;  // [2H, I], [2H]
};

// y = x w^T + b over rows given by a base and a stride. S: what the weights are stored as.
template <class T, class S>
struct LinearArgs {
  idx rows, input, output;
  const S* w;     // packed by pack_linear
  const T* bias;  // padded to a whole number of vectors
  const T* x;
  idx x_row;
  T* y;
  idx y_row;
};

// How a call shares its rows with others that run at the same time: each does its part of the hidden units and all
// wait for each other where one needs what another computed. parts == 1: alone, and wait is not called.
struct Together {
  int part, parts;
  void (*wait)(void*);
  void* barrier;
};

// What depends on how weights are stored: as T, as Bf16 or as Int8. With Bf16, rounded to nearest even when packed,
// everything else is T, so the results are those of weights that were rounded beforehand. With Int8 the inputs and states
// that a product takes are made whole numbers too; see core/tile.h. Those two are for inference: `saved` must be null.
template <class T, class S>
struct StoredKernels {
  // Elements of the packed arrays; filled by pack_*.
  idx (*gru_wx_size)(idx input, idx hidden);
  idx (*gru_wh_size)(idx hidden);
  idx (*linear_w_size)(idx input, idx output);
  // b_ih and b_hh may be null. group: which part of the matrices to pack; its wait is not called.
  void (*pack_gru)(idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, const T* b_ih,
                   const T* b_hh, S* wx, S* wh, T* bias, const Together& group);
  // wx, wh: x weights and recurrent weights, packed by pack_gru. rows: batch indices, longest first. scratch: at least
  // scratch bytes, aligned to 64; one block for all that work together (which layer norm cannot).
  idx (*scratch)(const SequenceArgs<T>& a, idx rows, int parts);
  void (*sequence)(const SequenceArgs<T>& a, const S* wx, const S* wh, const idx* rows, idx count, void* scratch,
                   const Together& together);
  // Numbers of a state in `room`, of which those beyond hidden must be zero, and bytes of room itself, aligned to 64.
  idx (*step_row)(idx hidden);
  idx (*step_room)(idx input, idx hidden, idx rows, int parts);
  // A single step (a.time == 1, reset_after, no layer norm, nothing else but x, h0, hn, y and keep): h0 -> hn, which may be
  // h0, and y if it is not null. `one`: row 0, a part of the hidden units, h0 lying in room already; no part waits for
  // another, so any thread may do any. `many`: rows row0 .. row1. backwards: from the last hidden unit to the first.
  void (*one)(const SequenceArgs<T>& a, const S* wx, const S* wh, void* room, bool backwards, const Together& part);
  void (*many)(const SequenceArgs<T>& a, const S* wx, const S* wh, void* room, bool backwards, idx row0, idx row1);
  void (*pack_linear)(idx input, idx output, const T* w, const T* b, S* wp, T* bp);
  idx (*linear_room)(idx input);  // bytes
  void (*linear)(const LinearArgs<T, S>& a, idx row0, idx row1, void* room);
  // A MinGRU. Of SequenceArgs it takes batch to lengths, reverse and resets, the rest is not looked at; bias is packed by
  // pack_min. `part` owns a share of the hidden units; parts have nothing to wait for, each has a scratch of its own.
  idx (*min_wx_size)(idx input, idx hidden);
  void (*pack_min)(idx input, idx hidden, const T* w, const T* b, S* wx, T* bias);
  idx (*min_scratch)(idx input, idx hidden);
  void (*min_sequence)(const SequenceArgs<T>& a, const S* wx, const idx* rows, idx count, void* scratch,
                       const Together& part);
  // The best outputs of rows x of a layer; of b everything but size and values, of a everything but rows and y.
  idx (*best_room)(idx input);  // bytes, aligned to 64
  void (*best_outputs)(const LinearArgs<T, S>& a, const BestArgs<T>& b, idx row0, idx row1, void* room);
};

template <class T>
struct Kernels {
  StoredKernels<T, T> stored;
  int lanes;
  idx (*gru_bias_size)(idx hidden);  // elements, as all sizes here; filled by pack_*
  void (*pack_bias)(idx hidden, bool reset_after, const T* b_ih, const T* b_hh, T* bias);

  idx (*gain_size)(idx hidden);
  void (*pack_gain)(idx hidden, const T* gain, T* packed);
  idx (*saved_size)(idx hidden, bool reset_after, bool norm);

  idx (*whT_size)(idx hidden);
  idx (*wxT_size)(idx input, idx hidden);
  void (*pack_backward)(idx input, idx hidden, bool reset_after, const T* w_ih, const T* w_hh, T* wxT, T* whT,
                        const Together& group);
  idx (*backward_scratch)(const BackwardArgs<T>& a, idx rows, int parts);
  void (*backward)(const BackwardArgs<T>& a, const idx* rows, idx count, void* scratch, const WeightGrads<T>& grads,
                   const Together& together);

  idx (*linear_bias_size)(idx output);

  // Back through a MinGRU: BackwardArgs as min_sequence takes SequenceArgs; wxT packed by pack_min_backward for these very
  // parts. Each part writes the gradients of its own units' weights; dx, dx_row and dx_time are its own too, since
  // what parts give there is to be added up.
  idx (*min_bias_size)(idx hidden);
  idx (*min_wxT_size)(idx input, idx hidden);
  void (*pack_min_backward)(idx input, idx hidden, const T* w, T* wxT, const Together& part);
  idx (*min_backward_scratch)(idx input, idx hidden, idx rows);
  void (*min_backward)(const BackwardArgs<T>& a, const T* wx, const idx* rows, idx count, void* scratch,
                       const MinWeightGrads<T>& grads, const Together& part);

  void (*sigmoid)(const T* a, T* out, idx n);
  void (*tanh)(const T* a, T* out, idx n);
  void (*decay)(const T* a, T* out, idx n);
  void (*look_back)(const LookBackArgs<T>& a);
  void (*look_back_gradient)(const LookBackGradient<T>& a, T* room);  // room: 4 size numbers
  void (*attend)(const AttendArgs<T>& a, idx row0, idx row1);
  void (*best)(const BestArgs<T>& a, idx row0, idx row1);
};

}  // namespace grus
