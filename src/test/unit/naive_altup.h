/*
 * naive_altup.h: several residual streams (Gemma 3n) for naive_pass.h, of which it is a part.
 */
#ifndef LLM_TEST_NAIVE_ALTUP_H
#define LLM_TEST_NAIVE_ALTUP_H

#define NAIVE_STREAMS 4
#define NAIVE_INPUTS 256

typedef struct NaiveStreams
{
	double		now[NAIVE_STREAMS][NAIVE_EMBD];
	double		predicted[NAIVE_STREAMS][NAIVE_EMBD];
	double		inputs[NAIVE_INPUTS];	/* of all layers */
} NaiveStreams;

static inline double
naive_size(const double *x)
{
	double		square = 0;

	for (int i = 0; i < NAIVE_EMBD; i++)
		square += x[i] * x[i] / NAIVE_EMBD;
	return sqrt(fmax(square, 1e-5));
}

static inline void
naive_spread(const Naive *v, int32_t token, const double *x, NaiveStreams *s)
{
	const NaiveModel *d = v->d;
	const int	n = d->n_layer * d->n_input;
	double	   *own = naive_tensor(v, "per_layer_token_embd.weight", 0, token, 1, n, true);

	naive_linear(v, "per_layer_model_proj", 0, 0, n, NAIVE_EMBD, x, s->inputs);
	for (int i = 0; i < n; i++)
		s->inputs[i] /= sqrt(NAIVE_EMBD);
	for (int l = 0; own && l < d->n_layer; l++)
	{
		naive_norm(v, "per_layer_proj_norm", s->inputs + l * d->n_input, d->n_input);
		for (int i = l * d->n_input; i < (l + 1) * d->n_input; i++)
			s->inputs[i] = (s->inputs[i] + own[i] * sqrt(d->n_input)) / sqrt(2);
	}
	free(own);
	memcpy(s->now[0], x, sizeof s->now[0]);
	for (int k = 1; k < d->n_streams; k++)
	{
		double		size;

		naive_linear(v, "altup_proj", k - 1, 0, NAIVE_EMBD, NAIVE_EMBD, x, s->now[k]);
		size = naive_size(s->now[k]);
		for (int i = 0; i < NAIVE_EMBD; i++)
			s->now[k][i] *= naive_size(x) / size;
	}
}

static inline void
naive_route_streams(const Naive *v, const double *x, double *numbers)
{
	double		row[NAIVE_EMBD];

	memcpy(row, x, sizeof row);
	naive_norm(v, "altup_router_norm", row, NAIVE_EMBD);
	for (int i = 0; i < NAIVE_EMBD; i++)
		row[i] /= NAIVE_EMBD;
	naive_linear(v, "altup_router", 0, 0, v->d->n_streams, NAIVE_EMBD, row, numbers);
	for (int k = 0; k < v->d->n_streams; k++)
		numbers[k] = tanh(numbers[k]);
}

static inline void
naive_predict(const Naive *v, NaiveStreams *s, double *x)
{
	const int	n = v->d->n_streams;
	double		numbers[NAIVE_STREAMS];
	double		c[NAIVE_STREAMS * NAIVE_STREAMS];

	naive_route_streams(v, s->now[v->d->active], numbers);
	naive_linear(v, "altup_predict_coef", 0, 0, n * n, n, numbers, c);
	for (int to = 0; to < n; to++)
	{
		for (int i = 0; i < NAIVE_EMBD; i++)
		{
			s->predicted[to][i] = s->now[to][i];
			for (int from = 0; from < n; from++)
				s->predicted[to][i] += c[to * n + from] * s->now[from][i];
		}
	}
	memcpy(x, s->predicted[v->d->active], NAIVE_EMBD * sizeof *x);
}

static inline void
naive_laurel(const Naive *v, const double *h, double *x)
{
	double		mid[64];
	double		out[NAIVE_EMBD];

	naive_linear(v, "laurel_l", 0, 0, v->d->laurel_rank, NAIVE_EMBD, h, mid);
	naive_linear(v, "laurel_r", 0, 0, NAIVE_EMBD, v->d->laurel_rank, mid, out);
	naive_norm(v, "laurel_post_norm", out, NAIVE_EMBD);
	for (int i = 0; i < NAIVE_EMBD; i++)
		x[i] = (x[i] + h[i] + out[i]) / sqrt(2);
}

static inline void
naive_correct(const Naive *v, NaiveStreams *s, const double *x)
{
	const NaiveModel *d = v->d;
	double		numbers[NAIVE_STREAMS];
	double		c[NAIVE_STREAMS];
	double		first[NAIVE_EMBD];
	double		gate[64];
	double	   *scale = naive_tensor(v, "altup_correct_scale.weight", 0, 0, 1, NAIVE_EMBD, true);

	naive_route_streams(v, x, numbers);
	naive_linear(v, "altup_correct_coef", 0, 0, d->n_streams, d->n_streams, numbers, c);
	for (int k = 0; k < d->n_streams; k++)
		for (int i = 0; i < NAIVE_EMBD; i++)
			s->now[k][i] = s->predicted[k][i] + (1 + c[k]) * (x[i] - s->predicted[d->active][i]);
	for (int i = 0; scale && i < NAIVE_EMBD; i++)
		first[i] = s->now[d->active][i] * scale[i];
	free(scale);
	naive_linear(v, "inp_gate", 0, 0, d->n_input, NAIVE_EMBD, first, gate);
	for (int i = 0; i < d->n_input; i++)
		gate[i] = naive_activate(NAIVE_GELU, gate[i], s->inputs[v->layer * d->n_input + i]);
	naive_linear(v, "proj", 0, 0, NAIVE_EMBD, d->n_input, gate, first);
	naive_norm(v, "post_norm", first, NAIVE_EMBD);
	for (int k = 1; k < d->n_streams; k++)
		for (int i = 0; i < NAIVE_EMBD; i++)
			s->now[k][i] += first[i];
}

static inline void
naive_gather(const Naive *v, const NaiveStreams *s, double *x)
{
	const int	n = v->d->n_streams;

	for (int i = 0; i < NAIVE_EMBD; i++)
		x[i] = s->now[0][i] / n;
	for (int k = 1; k < n; k++)
	{
		double		row[NAIVE_EMBD];

		naive_linear(v, "altup_unembd_proj", k - 1, 0, NAIVE_EMBD, NAIVE_EMBD, s->now[k], row);
		for (int i = 0; i < NAIVE_EMBD; i++)
			x[i] += row[i] * naive_size(s->now[0]) / naive_size(row) / n;
	}
}

#endif
