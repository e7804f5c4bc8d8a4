/* What generated models are made of, beside the cell: plain C99, no allocation, nothing beyond <math.h>. */

/* Rows of weights, in float, or in 8 bits with a scale for each row. */
typedef struct {
  int rows, size;
  const float *wide;
  const int8_t *narrow;
  const float *scale;
} grus_matrix;

/* v in 16 bits: v = unit * q. Returns the unit, NaN if some value is not finite. */
static float grus_round(int16_t *q, const float *v, int size) {
  float most = 0.0f, unit;
  int i, finite = 1;
  for (i = 0; i < size; ++i) {
    const float a = v[i] < 0.0f ? -v[i] : v[i];
    if (!(a <= 3.0e38f)) finite = 0;
    if (a > most) most = a;
  }
  if (!finite || most < 1e-30f) {
    for (i = 0; i < size; ++i) q[i] = 0;
    return finite ? 0.0f : v[0] * 0.0f + NAN;
  }
  unit = 32767.0f / most;
  for (i = 0; i < size; ++i) q[i] = (int16_t)(v[i] * unit + (v[i] < 0.0f ? -0.5f : 0.5f));
  return most / 32767.0f;
}

/* w q of two rows at w and v, in whole numbers: 512 products of 8 by 16 bits fit into 32. Two rows share the reading of q;
   on a Cortex-M4 that takes a tenth off the product. */
static void grus_dots_i8(float *y, const int8_t *w, const int8_t *v, const int16_t *q, int size) {
  y[0] = y[1] = 0.0f;
  for (; size > 0; size -= 512) {
    const int16_t *const end = q + (size < 512 ? size : 512);
    int32_t a = 0, b = 0;
    for (; end - q >= 4; w += 4, v += 4, q += 4) {
      a += w[0] * q[0];
      b += v[0] * q[0];
      a += w[1] * q[1];
      b += v[1] * q[1];
      a += w[2] * q[2];
      b += v[2] * q[2];
      a += w[3] * q[3];
      b += v[3] * q[3];
    }
    for (; q < end; ++q) {
      a += *w++ * *q;
      b += *v++ * *q;
    }
    y[0] += (float)a;
    y[1] += (float)b;
  }
}

/* Rows first to last (not included) of W v. With 8-bit weights v is rounded to 16 bits; q holds m->size numbers. */
static void grus_multiply(float *y, const grus_matrix *m, int first, int last, const float *v, int16_t *q) {
  const int size = m->size;
  int row;
  if (m->wide) {
    for (row = first; row < last; ++row) *y++ = grus_dot_f32(0.0f, m->wide + (long)row * size, v, size);
  } else {
    const float unit = grus_round(q, v, size);
    for (row = first; row < last; row += 2) {
      const int other = row + 1 < last ? row + 1 : row;
      float two[2];
      grus_dots_i8(two, m->narrow + (long)row * size, m->narrow + (long)other * size, q, size);
      *y++ = two[0] * (m->scale[row] * unit);
      if (other > row) *y++ = two[1] * (m->scale[other] * unit);
    }
  }
}

/* One row of W, as embeddings and positions are read. */
static void grus_row(float *y, const grus_matrix *m, int row) {
  const long begin = (long)row * m->size;
  int i;
  for (i = 0; i < m->size; ++i)
    y[i] = m->wide ? m->wide[begin + i] : (float)m->narrow[begin + i] * m->scale[row];
}

static void grus_linear(float *y, const grus_matrix *m, const float *bias, const float *x, int steps, int16_t *q) {
  int t, i;
  for (t = 0; t < steps; ++t, y += m->rows, x += m->size) {
    grus_multiply(y, m, 0, m->rows, x, q);
    if (bias)
      for (i = 0; i < m->rows; ++i) y[i] += bias[i];
  }
}

/* A token that the model does not know counts as 0. */
static void grus_embed(float *y, const grus_matrix *m, const int32_t *token, int steps) {
  int t;
  for (t = 0; t < steps; ++t)
    grus_row(y + (long)t * m->size, m, token[t] >= 0 && token[t] < m->rows ? (int)token[t] : 0);
}

static void grus_relu(float *y, const float *x, int size) {
  int i;
  for (i = 0; i < size; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}
static void grus_tanh(float *y, const float *x, int size) {
  int i;
  for (i = 0; i < size; ++i) y[i] = grus_tanh_f32(x[i]);
}
static void grus_sigmoid(float *y, const float *x, int size) {
  int i;
  for (i = 0; i < size; ++i) y[i] = grus_sigmoid_f32(x[i]);
}

/* One op at every step; a stride of 0 repeats a vector. */
static void grus_add(float *y, const float *a, int a_stride, const float *b, int b_stride, int size, int steps) {
  int t, i;
  for (t = 0; t < steps; ++t, y += size, a += a_stride, b += b_stride)
    for (i = 0; i < size; ++i) y[i] = a[i] + b[i];
}
static void grus_subtract(float *y, const float *a, int a_stride, const float *b, int b_stride, int size, int steps) {
  int t, i;
  for (t = 0; t < steps; ++t, y += size, a += a_stride, b += b_stride)
    for (i = 0; i < size; ++i) y[i] = a[i] - b[i];
}
static void grus_times(float *y, const float *a, int a_stride, const float *b, int b_stride, int size, int steps) {
  int t, i;
  for (t = 0; t < steps; ++t, y += size, a += a_stride, b += b_stride)
    for (i = 0; i < size; ++i) y[i] = a[i] * b[i];
}
static void grus_place(float *y, int y_stride, const float *a, int a_stride, int size, int steps) {
  int t;
  for (t = 0; t < steps; ++t, y += y_stride, a += a_stride) memcpy(y, a, (size_t)size * sizeof *y);
}

/* One layer. keep is the zoneout probability; gains are NULL without layer normalisation. */
typedef struct {
  int reset_after;
  float keep;
  const grus_matrix *w_ih, *w_hh;
  const float *b_ih, *b_hh, *g_ih, *g_hh;
} grus_layer;

static void grus_keep(const grus_layer *l, float *h, const float *next) {
  const int hidden = l->w_hh->size;
  int j;
  for (j = 0; j < hidden; ++j) h[j] = l->keep > 0.0f ? l->keep * h[j] + (1.0f - l->keep) * next[j] : next[j];
}

/* Float weights, not normalised: the cell as it stands. work holds 4H numbers. */
static void grus_step_plain(const grus_layer *l, const float *x, float *h, float *work, int16_t *q) {
  const int hidden = l->w_hh->size;
  (void)q;
  grus_cell_step_f32(l->w_ih->size, hidden, l->reset_after, l->w_ih->wide, l->w_hh->wide, l->b_ih, l->b_hh, x, h,
                     work + 3 * hidden, work);
  grus_keep(l, h, work + 3 * hidden);
}

/* a <- gain (a - mean) / sqrt(variance + 1e-5), then + bias; either may be absent. */
static void grus_affine(float *a, int size, const float *gain, const float *bias) {
  int i;
  if (gain) {
    float mean = 0.0f, variance = 0.0f, inverse;
    for (i = 0; i < size; ++i) mean += a[i];
    mean /= (float)size;
    for (i = 0; i < size; ++i) variance += (a[i] - mean) * (a[i] - mean);
    inverse = 1.0f / sqrtf(variance / (float)size + 1e-5f);
    for (i = 0; i < size; ++i) a[i] = gain[i] * ((a[i] - mean) * inverse);
  }
  if (bias)
    for (i = 0; i < size; ++i) a[i] += bias[i];
}

/* Any weights, normalised or not: products first, then the gates of the cell. work holds 8H numbers. */
static void grus_step_general(const grus_layer *l, const float *x, float *h, float *work, int16_t *q) {
  const int hidden = l->w_hh->size, both = 2 * hidden;
  float *a = work, *b = work + 3 * hidden, *rh = work + 6 * hidden, *next = work + 7 * hidden;
  int j;
  grus_multiply(a, l->w_ih, 0, 3 * hidden, x, q);
  grus_affine(a, both, l->g_ih, l->b_ih);
  grus_affine(a + both, hidden, l->g_ih ? l->g_ih + both : NULL, l->b_ih ? l->b_ih + both : NULL);
  grus_multiply(b, l->w_hh, 0, l->reset_after ? 3 * hidden : both, h, q);
  grus_affine(b, both, l->g_hh, l->b_hh);
  for (j = 0; j < both; ++j) a[j] = grus_sigmoid_f32(a[j] + b[j]);
  if (!l->reset_after) {
    for (j = 0; j < hidden; ++j) rh[j] = a[j] * h[j];
    grus_multiply(b + both, l->w_hh, both, 3 * hidden, rh, q);
  }
  grus_affine(b + both, hidden, l->g_hh ? l->g_hh + both : NULL, l->b_hh ? l->b_hh + both : NULL);
  for (j = 0; j < hidden; ++j) {
    const float n = grus_tanh_f32(a[both + j] + (l->reset_after ? a[j] : 1.0f) * b[both + j]);
    next[j] = grus_blend_f32(a[hidden + j], n, h[j]);
  }
  grus_keep(l, h, next);
}

/* A stack of layers over some steps: h is the state of all of them; y, if any, takes the last layer's at every step. */
static void grus_stack(float *y, const grus_layer *layers, int count,
                       void (*step)(const grus_layer *, const float *, float *, float *, int16_t *), const float *x,
                       float *h, int steps, float *work, int16_t *q) {
  const int hidden = layers->w_hh->size, input = layers->w_ih->size;
  int t, l;
  for (t = 0; t < steps; ++t, x += input) {
    const float *v = x;
    for (l = 0; l < count; ++l) {
      step(layers + l, v, h + (long)l * hidden, work, q);
      v = h + (long)l * hidden;
    }
    if (y) memcpy(y + (long)t * hidden, v, (size_t)hidden * sizeof *y);
  }
}

/* Every step once from the same state. */
static void grus_each(float *y, const grus_layer *l,
                      void (*step)(const grus_layer *, const float *, float *, float *, int16_t *), const float *x,
                      const float *h, int steps, float *work, int16_t *q) {
  const int hidden = l->w_hh->size;
  int t;
  for (t = 0; t < steps; ++t, y += hidden, x += l->w_ih->size) {
    memcpy(y, h, (size_t)hidden * sizeof *y);
    step(l, x, y, work, q);
  }
}

/* The newest steps: place[0] is where the next one goes, place[1] how many there are. */
static void grus_last_push(float *held, int32_t *place, const float *x, int size, int keep) {
  memcpy(held + (long)place[0] * size, x, (size_t)size * sizeof *x);
  place[0] = place[0] + 1 < keep ? place[0] + 1 : 0;
  if (place[1] < keep) ++place[1];
}
static void grus_mean_of(float *y, const float *rows, int size, int count) {
  int t, i;
  for (i = 0; i < size; ++i) {
    float sum = 0.0f;
    for (t = 0; t < count; ++t) sum += rows[(long)t * size + i];
    y[i] = count ? sum / (float)count : 0.0f;
  }
}

/* Sums in double: a stream may be long, and a float sum stops growing after 2^24 equal steps. sums[0] counts. */
static void grus_mean_push(double *sums, const float *x, int size, int steps) {
  int t, i;
  for (t = 0; t < steps; ++t, x += size) {
    sums[0] += 1.0;
    for (i = 0; i < size; ++i) sums[1 + i] += x[i];
  }
}
static void grus_mean_read(float *y, const double *sums, int size) {
  int i;
  for (i = 0; i < size; ++i) y[i] = sums[0] > 0.0 ? (float)(sums[1 + i] / sums[0]) : 0.0f;
}

/* The greatest of each feature; begun tells whether there was a step. NaN stays, as in the runtime. */
static void grus_max_push(float *most, int32_t *begun, const float *x, int size, int steps) {
  int t, i;
  for (t = 0; t < steps; ++t, x += size, *begun = 1)
    for (i = 0; i < size; ++i)
      if (!*begun || x[i] > most[i] || x[i] != x[i]) most[i] = x[i];
}

/* A softmax over all steps so far, on line: sums are the greatest score, the denominator and the numerator. */
static void grus_attend_push(double *sums, const grus_matrix *m, const float *bias, const float *vector, const float *x,
                             int steps, float *work, int16_t *q) {
  int t, i;
  for (t = 0; t < steps; ++t, x += m->size) {
    float score = 0.0f, weight = 1.0f;
    grus_linear(work, m, bias, x, 1, q);
    for (i = 0; i < m->rows; ++i) score += vector[i] * grus_tanh_f32(work[i]);
    if (!(sums[1] > 0.0) || score > sums[0]) {
      const double kept = sums[1] > 0.0 ? expf((float)(sums[0] - score)) : 0.0;
      for (i = 0; i <= m->size; ++i) sums[1 + i] *= kept;
      sums[0] = score;
    } else {
      weight = expf((float)(score - sums[0]));
    }
    sums[1] += weight;
    for (i = 0; i < m->size; ++i) sums[2 + i] += (double)weight * x[i];
  }
}
static void grus_attend_read(float *y, const double *sums, int size) {
  int i;
  for (i = 0; i < size; ++i) y[i] = sums[1] != 0.0 ? (float)(sums[2 + i] / sums[1]) : 0.0f;
}

/* (value - center) / scale, held to a size at which no sum in the network overflows. */
static float grus_scaled(float value, double center, double scale) {
  const double z = (value - center) / scale;
  return z > 1e30 ? 1e30f : z < -1e30 ? -1e30f : (float)z;
}
/* Channels scaled, a gap (NaN) filled with the last value known, 0 before the first; a masked one is followed by 1
   where it is real and 0 in a gap. */
static void grus_scale(float *y, const float *row, int channels, const double *center, const double *scale,
                       const unsigned char *masked, float *held) {
  int i;
  for (i = 0; i < channels; ++i) {
    const int real = row[i] == row[i];
    if (real) held[i] = grus_scaled(row[i], center[i], scale[i]);
    *y++ = held[i];
    if (masked[i]) *y++ = real ? 1.0f : 0.0f;
  }
}

/* sin and cos of 1 to n times the phase of a cycle; the phase itself where n is 0. */
static void grus_cycles(float *y, const float *phase, const unsigned char *harmonics, int cycles) {
  int i, k;
  for (i = 0; i < cycles; ++i) {
    if (!harmonics[i]) *y++ = phase[i];
    for (k = 1; k <= harmonics[i]; ++k) {
      const float angle = 6.28318530717958648f * (float)k * phase[i];
      *y++ = sinf(angle);
      *y++ = cosf(angle);
    }
  }
}

/* A window of the newest steps moves on by one; the newest row is then the last. */
static void grus_shift(float *window, int size, int steps) {
  memmove(window, window + size, (size_t)(steps - 1) * (size_t)size * sizeof *window);
}
static void grus_shift_codes(int32_t *window, int32_t code, int steps, int first) {
  int t;
  for (t = 0; t + 1 < steps; ++t) window[t] = first ? code : window[t + 1];
  window[steps - 1] = code;
}
/* Before the first step stand copies of it, marked as not observed. */
static void grus_pad(float *window, int size, int steps) {
  int t;
  for (t = 0; t + 1 < steps; ++t) {
    memcpy(window + (long)t * size, window + (long)(steps - 1) * size, (size_t)size * sizeof *window);
    window[(long)t * size + 1] = 0.0f;
  }
}
/* A column of codes; steps beyond the last given one repeat it. */
static void grus_codes(int32_t *y, const int32_t *codes, int stride, int given, int steps) {
  int t;
  for (t = 0; t < steps; ++t) y[t] = codes[(t < given ? t : given - 1) * stride];
}

/* From scaled outputs to the target's unit. */
static void grus_unscale(float *y, const float *x, int size, double center, double scale) {
  int i;
  for (i = 0; i < size; ++i) y[i] = (float)(x[i] * scale + center);
}

static void grus_softmax(float *y, const float *logits, int size, float temperature) {
  float most = logits[0], sum = 0.0f;
  int i;
  for (i = 1; i < size; ++i)
    if (logits[i] > most) most = logits[i];
  for (i = 0; i < size; ++i) sum += y[i] = expf((logits[i] - most) / temperature);
  for (i = 0; i < size; ++i) y[i] /= sum;
}
static void grus_sigmoids(float *y, const float *logits, int size, float temperature) {
  int i;
  for (i = 0; i < size; ++i) y[i] = grus_sigmoid_f32(logits[i] / temperature);
}

/* Quantiles in increasing order. */
static void grus_sort(float *y, int size) {
  int i, k;
  for (i = 1; i < size; ++i) {
    const float v = y[i];
    for (k = i; k > 0 && y[k - 1] > v; --k) y[k] = y[k - 1];
    y[k] = v;
  }
}
