/* The adaptive softmax in plain C99: log-probabilities of common outputs, and of clusters of rare ones.

       log p(w) = log softmax(W x + b)_w                                                   a common one
       log p(w) = log softmax(W x + b)_{c_0 + k} + log softmax(W_k P_k x + b_k)_{w - c_k}      one of cluster k */

/* y = start + log softmax(y). */
static void grus_log_softmax(float *y, int size, float start) {
  float most = y[0], sum = 0.0f, shift;
  int i;
  for (i = 1; i < size; ++i)
    if (y[i] > most) most = y[i];
  for (i = 0; i < size; ++i) sum += expf(y[i] - most);
  shift = logf(sum);
  for (i = 0; i < size; ++i) y[i] = start + (y[i] - most - shift);
}

/* y has size numbers a step, of which the head takes the first m->rows: no fewer are there, as no cluster is empty. The
   last count of them, the clusters' own, go to shares; what they stood on is the clusters' to fill. */
static void grus_adaptive_head(float *y, int size, const grus_matrix *m, const float *bias, const float *x, int steps,
                               float *shares, int count, int16_t *q) {
  int t;
  for (t = 0; t < steps; ++t, y += size, x += m->size, shares += count) {
    grus_linear(y, m, bias, x, 1, q);
    grus_log_softmax(y, m->rows, 0.0f);
    memcpy(shares, y + m->rows - count, (size_t)count * sizeof *y);
  }
}

/* One cluster, from y on; *share is its log-probability, the next step's stands count further. narrow holds p->rows. */
static void grus_adaptive_cluster(float *y, int size, const grus_matrix *p, const grus_matrix *m, const float *bias,
                                  const float *x, int steps, const float *share, int count, float *narrow, int16_t *q) {
  int t;
  for (t = 0; t < steps; ++t, y += size, x += p->size, share += count) {
    grus_linear(narrow, p, NULL, x, 1, q);
    grus_linear(y, m, bias, narrow, 1, q);
    grus_log_softmax(y, m->rows, *share);
  }
}
