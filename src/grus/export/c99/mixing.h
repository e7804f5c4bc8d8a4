/* Convolution and self-attention in plain C99.

       y_t = b + sum_k W_k x_{t - (K - 1 - k) dilation}                          causal convolution, zeros before the first step
       y = [softmax(Q K^T / sqrt(d)) V of every head] W_o^T + b_o                self-attention over a whole sequence */

/* The last inputs lie in a ring of (kernel - 1) * dilation steps; *place is the oldest, where the next one goes. window
   holds kernel * size numbers: what a row of W meets, oldest step first. */
static void grus_convolve(float *y, const grus_matrix *m, const float *bias, const float *x, int steps, int kernel,
                          int dilation, float *ring, int32_t *place, float *window, int16_t *q) {
  const int size = m->size / kernel, reach = (kernel - 1) * dilation;
  int t, k;
  for (t = 0; t < steps; ++t, y += m->rows, x += size) {
    for (k = 0; k + 1 < kernel; ++k)
      memcpy(window + (long)k * size, ring + (long)((*place + k * dilation) % reach) * size,
             (size_t)size * sizeof *window);
    memcpy(window + (long)(kernel - 1) * size, x, (size_t)size * sizeof *window);
    grus_linear(y, m, bias, window, 1, q);
    if (!reach) continue;
    memcpy(ring + (long)*place * size, x, (size_t)size * sizeof *ring);
    *place = *place + 1 < reach ? *place + 1 : 0;
  }
}

/* in gives Q, K and V side by side, out joins the heads; all holds 3 * size * steps numbers, mixed size, scores steps. */
static void grus_self_attend(float *y, const grus_matrix *in, const float *in_bias, const grus_matrix *out,
                             const float *out_bias, const float *x, int steps, int heads, int causal, float *all,
                             float *mixed, float *scores, int16_t *q) {
  const int size = out->size, width = size / heads;
  const float scale = 1.0f / sqrtf((float)width);
  int t, s, i, head;
  grus_linear(all, in, in_bias, x, steps, q);
  for (t = 0; t < steps; ++t, y += size) {
    const int seen = causal ? t + 1 : steps;
    for (head = 0; head < heads; ++head) {
      const float *own = all + (long)head * width, *query = own + (long)t * 3 * size;
      float most = 0.0f, sum = 0.0f;
      for (s = 0; s < seen; ++s) {
        scores[s] = scale * grus_dot_f32(0.0f, own + (long)s * 3 * size + size, query, width);
        if (!s || scores[s] > most) most = scores[s];
      }
      for (s = 0; s < seen; ++s) sum += scores[s] = expf(scores[s] - most);
      for (i = 0; i < width; ++i) {
        float total = 0.0f;
        for (s = 0; s < seen; ++s) total += scores[s] * own[(long)s * 3 * size + 2 * size + i];
        mixed[head * width + i] = total / sum;
      }
    }
    grus_linear(y, out, out_bias, mixed, 1, q);
  }
}
