/* The attentive decoder in plain C99: a GRU that looks at a memory at every step.

       q = GRU_0(x, s);  a = softmax over j of score(q, k_j);  c = sum over j of a_j m_j;  s' = GRU_1(c, q)    two layers
       q = s;            the same;                                                  s' = GRU_0([x, c], s)      one
       score(q, k) = v . tanh(W q + k), or q . k without W */

/* What a call works with: q holds H numbers, asked as many as a key, joined those of x and of the memory (one layer). */
typedef struct {
  float *q, *asked, *joined, *work;
  int16_t *rounded;
} grus_desk;

/* Shares of the softmax, from what each key answers to d->q. */
static void grus_look(float *attention, const grus_matrix *query, const float *vector, const float *keys, int size,
                      int there, const grus_desk *d) {
  float most = 0.0f, sum = 0.0f;
  int j, i;
  if (query) grus_multiply(d->asked, query, 0, query->rows, d->q, d->rounded);
  for (j = 0; j < there; ++j, keys += size) {
    float score = 0.0f;
    for (i = 0; i < size; ++i)
      score += query ? vector[i] * grus_tanh_f32(d->asked[i] + keys[i]) : d->q[i] * keys[i];
    attention[j] = score;
    if (!j || score > most) most = score;
  }
  for (j = 0; j < there; ++j) sum += attention[j] = expf(attention[j] - most);
  for (j = 0; j < there; ++j) attention[j] /= sum;
}

/* Some steps: h is the state; y, context and attention take a row at every step. A memory has at least one step. */
static void grus_attentive(float *y, float *context, float *attention, const grus_layer *layers, int count,
                           void (*step)(const grus_layer *, const float *, float *, float *, int16_t *),
                           const grus_matrix *query, const float *vector, const float *x, int input, int steps,
                           const float *memory, int width, const float *keys, int size, int there, float *h,
                           const grus_desk *d) {
  const int hidden = layers->w_hh->size;
  int t, j, i;
  for (t = 0; t < steps; ++t, x += input, y += hidden, context += width, attention += there) {
    memcpy(d->q, h, (size_t)hidden * sizeof *h);
    if (count > 1) step(layers, x, d->q, d->work, d->rounded);
    grus_look(attention, query, vector, keys, size, there, d);
    for (i = 0; i < width; ++i) context[i] = 0.0f;
    for (j = 0; j < there; ++j)
      for (i = 0; i < width; ++i) context[i] += attention[j] * memory[(long)j * width + i];
    if (count > 1) {
      memcpy(h, d->q, (size_t)hidden * sizeof *h);
      step(layers + 1, context, h, d->work, d->rounded);
    } else {
      memcpy(d->joined, x, (size_t)input * sizeof *x);
      memcpy(d->joined + input, context, (size_t)width * sizeof *context);
      step(layers, d->joined, h, d->work, d->rounded);
    }
    memcpy(y, h, (size_t)hidden * sizeof *h);
  }
}
