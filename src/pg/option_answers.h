/*
 * option_answers.h: options about the answers that a call chooses among: labels and how they are scored, and answers of reasoning.
 */
#ifndef PGLLM_OPTION_ANSWERS_H
#define PGLLM_OPTION_ANSWERS_H

#include "pg_llm.h"

/* readers of the options table */
extern void pgllm_read_form(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_calibrate(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_calibration(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_answer(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_choices(const char *key, const JsonbValue *v, PgLlmOptions *o);
extern void pgllm_read_variants(const char *key, const JsonbValue *v, PgLlmOptions *o);

#endif
