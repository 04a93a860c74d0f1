/*
 * text_batch.c: many texts of one call through the model together.
 *
 * They are taken by length, so that what is in the scheduler at a time is alike, and begun ahead of the one that is waited
 * for; how far ahead is bounded, as waiting texts take memory.
 */
#include "embed_call.h"

#include "miscadmin.h"

#define AHEAD 256

static int
compare_texts(const LlmStr *a, const LlmStr *b)
{
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	return memcmp(a->data, b->data, a->len);
}

static int
compare_indexes(const void *a, const void *b, void *texts)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	int			order = compare_texts((LlmStr *) texts + x, (LlmStr *) texts + y);

	return order != 0 ? order : x < y ? -1 : x > y;
}

/* where the group of texts equal to that at order[i] ends */
static int
group_end(const LlmStr *texts, const int *order, int n, int i)
{
	int			end = i + 1;

	while (end < n && compare_texts(&texts[order[i]], &texts[order[end]]) == 0)
		end++;
	return end;
}

void
pgllm_text_batch_run(const PgLlmTextBatch *batch, const LlmStr *texts, int n)
{
	int		   *order = palloc_extended(sizeof(int) * Max(n, 1), MCXT_ALLOC_HUGE);
	PgLlmCall  *calls[AHEAD];
	int			n_texts = 0;
	int			begun = 0;		/* texts whose group has a call */
	int			n_begun = 0;	/* groups */
	int			n_taken = 0;

	for (int i = 0; i < n; i++)
		if (texts[i].data != NULL)
			order[n_texts++] = i;
	qsort_arg(order, n_texts, sizeof(int), compare_indexes, unconstify(LlmStr *, texts));
	for (int i = 0; i < n_texts; n_taken++)
	{
		PgLlmCall  *call;
		int			end = group_end(texts, order, n_texts, i);

		for (; begun < n_texts && n_begun - n_taken < AHEAD; n_begun++)
		{
			CHECK_FOR_INTERRUPTS();
			calls[n_begun % AHEAD] = batch->begin(batch->opaque, texts[order[begun]]);
			begun = group_end(texts, order, n_texts, begun);
		}
		call = calls[n_taken % AHEAD];
		pgllm_call_wait(call);
		for (; i < end; i++)
			batch->take(batch->opaque, order[i], call);
		pgllm_call_free(call);
	}
	pfree(order);
}
