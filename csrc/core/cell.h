/* The GRU step in plain C99: the home of the equations in C.

       r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
       z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
       n = tanh(W_in x + b_in + r * (W_hn h + b_hn))      reset_after = 1 (PyTorch, cuDNN)
       n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)      reset_after = 0 (Cho et al. 2014)
       h' = (1 - z) * n + z * h

   Weights are row-major, gates in the order r, z, n: w_ih [3H, I], w_hh [3H, H], b_ih [3H], b_hh [3H].
   No allocation, no libraries beyond <math.h>; compiles as C99 and as C++. The portable instruction set and
   generated C models use this file. */
#ifndef GRUS_CELL_H
#define GRUS_CELL_H

#include <math.h>

static inline float grus_sigmoid_f32(float a) { return 1.0f / (1.0f + expf(-a)); }
static inline double grus_sigmoid_f64(double a) { return 1.0 / (1.0 + exp(-a)); }
static inline float grus_tanh_f32(float a) { return tanhf(a); }
static inline double grus_tanh_f64(double a) { return tanh(a); }
/* e^-max(0, a); NaN stays. */
static inline float grus_decay_f32(float a) { return a <= 0.0f ? 1.0f : expf(-a); }
static inline double grus_decay_f64(double a) { return a <= 0.0 ? 1.0 : exp(-a); }

/* h' from the update gate z, the candidate n and the old state: z = 1 keeps h exactly. */
static inline float grus_blend_f32(float z, float n, float h) { return (1.0f - z) * n + z * h; }
static inline double grus_blend_f64(double z, double n, double h) { return (1.0 - z) * n + z * h; }

#define GRUS_CELL_DEFINE(REAL, SUFFIX)                                                                      \
  /* acc + w . v, in ascending order of k: one chain, so that the result does not depend on the caller. */  \
  static inline REAL grus_dot_##SUFFIX(REAL acc, const REAL *w, const REAL *v, int size) {                  \
    int k;                                                                                                  \
    for (k = 0; k < size; ++k) acc += w[k] * v[k];                                                          \
    return acc;                                                                                             \
  }                                                                                                         \
  /* One step of one row. x [I], h [H] -> h_next [H]; b_ih, b_hh [3H] or NULL; work holds 3H numbers.       \
     h_next must not overlap h. */                                                                          \
  static inline void grus_cell_step_##SUFFIX(int input, int hidden, int reset_after, const REAL *w_ih,      \
                                             const REAL *w_hh, const REAL *b_ih, const REAL *b_hh,          \
                                             const REAL *x, const REAL *h, REAL *h_next, REAL *work) {      \
    REAL *r = work, *z = work + hidden, *rh = work + 2 * hidden;                                            \
    int g, j;                                                                                               \
    for (g = 0; g < 2; ++g)                                                                                 \
      for (j = 0; j < hidden; ++j) {                                                                        \
        const int row = g * hidden + j;                                                                     \
        REAL a = (b_ih ? b_ih[row] : 0) + (b_hh ? b_hh[row] : 0);                                           \
        a = grus_dot_##SUFFIX(a, w_ih + (long)row * input, x, input);                                       \
        a = grus_dot_##SUFFIX(a, w_hh + (long)row * hidden, h, hidden);                                     \
        work[row] = grus_sigmoid_##SUFFIX(a);                                                               \
      }                                                                                                     \
    for (j = 0; j < hidden; ++j) rh[j] = r[j] * h[j];                                                       \
    for (j = 0; j < hidden; ++j) {                                                                          \
      const int row = 2 * hidden + j;                                                                       \
      const REAL *u = w_hh + (long)row * hidden;                                                            \
      const REAL bi = b_ih ? b_ih[row] : 0, bh = b_hh ? b_hh[row] : 0;                                      \
      REAL n;                                                                                               \
      if (reset_after)                                                                                      \
        n = grus_dot_##SUFFIX(bi, w_ih + (long)row * input, x, input) +                                     \
            r[j] * grus_dot_##SUFFIX(bh, u, h, hidden);                                                     \
      else                                                                                                  \
        n = grus_dot_##SUFFIX(grus_dot_##SUFFIX(bi + bh, w_ih + (long)row * input, x, input), u, rh, hidden); \
      h_next[j] = grus_blend_##SUFFIX(z[j], grus_tanh_##SUFFIX(n), h[j]);                                   \
    }                                                                                                       \
  }

GRUS_CELL_DEFINE(float, f32)
GRUS_CELL_DEFINE(double, f64)

#endif /* GRUS_CELL_H */
