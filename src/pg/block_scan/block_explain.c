/*
 * block_explain.c: what EXPLAIN says of a node LlmBlock: by which model and rule pairs are chosen, and, after ANALYZE, of how many
 * pairs how many were handed on to be verified. Nothing here opens a model.
 */
#include "block_scan/block_scan.h"

#include <math.h>

#include PGLLM_EXPLAIN_HEADER
#include PGLLM_EXPLAIN_STATE_HEADER
#include "utils/builtins.h"

/* an option as it was written */
static char *
option_text(const PgLlmBlockState *b, const char *key)
{
	FuncExpr   *call = PGLLM_BLOCK_CALL((CustomScan *) b->css.ss.ps.plan);
	Const	   *options = list_nth(call->args, PGLLM_FILTER_OPTIONS);
	Jsonb	   *value = DatumGetJsonbP(options->constvalue);
	JsonbValue *v = getKeyJsonValueFromContainer(&value->root, key, (int) strlen(key), NULL);
	Jsonb	   *text;

	if (v == NULL)
		return NULL;
	if (v->type == jbvString)
		return pnstrdup(v->val.string.val, v->val.string.len);
	text = JsonbValueToJsonb(v);
	return JsonbToCString(NULL, &text->root, VARSIZE(text));
}

static char *
rule(const PgLlmBlockState *b)
{
	char	   *top = option_text(b, "block_top");
	char	   *similarity = option_text(b, "block_similarity");
	char	   *recall = option_text(b, "block_recall");

	if (top != NULL)
		return psprintf("the %s nearest texts of each text", top);
	if (similarity != NULL)
		return psprintf("similarity at least %s", similarity);
	return psprintf("recall %s", recall != NULL ? recall : "0.95");
}

void
pgllm_block_explain(CustomScanState *node, List *ancestors, ExplainState *es)
{
	const PgLlmBlockState *b = (const PgLlmBlockState *) node;
	const PgLlmBlockSide *outer = &b->sides[PGLLM_OUTER];
	const PgLlmBlockSide *inner = &b->sides[PGLLM_INNER];
	const PgLlmBlockStats *stats = &b->stats;

	ExplainPropertyText("Block Model", option_text(b, "block_model"), es);
	ExplainPropertyText("Block Rule", rule(b), es);
	if (!es->analyze || !b->ready)
		return;
	ExplainPropertyFloat("Pairs", NULL, (double) outer->n_rows * (double) inner->n_rows, 0, es);
	ExplainPropertyFloat("Pairs of Texts", NULL, (double) outer->n_texts * (double) inner->n_texts, 0, es);
	ExplainPropertyInteger("Embedded Texts", NULL, b->n_vectors, es);
	if (stats->n_sampled > 0)
	{
		ExplainPropertyInteger("Sampled Pairs", NULL, stats->n_sampled, es);
		ExplainPropertyInteger("Sampled Matches", NULL, stats->n_matches, es);
		ExplainPropertyFloat("Recall Estimate", NULL, stats->recall, 3, es);
	}
	if (isfinite(b->least) && outer->least == NULL)
		ExplainPropertyFloat("Least Similarity", NULL, b->least, 4, es);
	ExplainPropertyInteger("Candidate Pairs", NULL, (int64) stats->n_pairs, es);
	if (es->timing)
	{
		ExplainPropertyFloat("Read and Embed Time", "ms", INSTR_TIME_GET_MILLISEC(stats->read_time), 3, es);
		ExplainPropertyFloat("Choose Time", "ms", INSTR_TIME_GET_MILLISEC(stats->choose_time), 3, es);
	}
}
