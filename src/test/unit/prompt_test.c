/*
 * prompt_test.c: chats and label questions as tokens: the text a prompt stands for, what labels share, that no text of a
 * caller becomes a special token, and that every failing allocation is reported with nothing leaked.
 */
#include <math.h>

#include "check.h"
#include "serve/prompt.h"
#include "weights/memory_pack.h"

#define STR(literal) ((LlmStr) {literal, sizeof(literal) - 1})

/* as Llama 3 writes turns, in the special tokens of the fixture */
static const char template_source[] =
	"{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>{{ m['content'] }}<|eot_id|>"
	"{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{% endif %}";
static const char no_system_source[] =
	"{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system turn here') }}{% endif %}"
	"<|start_header_id|>{{ m['role'] }}<|end_header_id|>{{ m['content'] }}<|eot_id|>{% endfor %}";

#define BOS 507
#define EOT 511

typedef struct Fixture
{
	const uint8_t *base;
	size_t		size;
	LlmModel   *model;
} Fixture;

/* an allocator that fails at one allocation, and counts what is held */
typedef struct Limited
{
	long		left;			/* allocations that succeed; negative: all */
	long		held;
} Limited;

static void *
limited_alloc(void *ctx, size_t size)
{
	Limited    *l = ctx;
	void	   *p;

	if (l->left == 0)
		return NULL;
	if (l->left > 0)
		l->left--;
	p = malloc(size ? size : 1);
	l->held += p != NULL;
	return p;
}

static void
limited_free(void *ctx, void *ptr)
{
	Limited    *l = ctx;

	l->held -= ptr != NULL;
	free(ptr);
}

static Fixture
open_model(const char *name, const char *chat_template)
{
	const LlmAllocator *a = &llm_malloc_allocator;
	LlmModelOptions options = {.kv_type = LLM_KV_F32};
	Fixture		f = {NULL, 0, NULL};
	LlmSource	source;
	LlmError	err;
	char		path[100];

	if (chat_template)
		options.chat_template = (LlmStr) {chat_template, strlen(chat_template)};
	snprintf(path, sizeof path, "sql-tests/data/models/%s.gguf", name);
	if (llm_source_open(path, a, NULL, &source, &err) == LLM_OK)
	{
		if (llm_pack_to_memory(&source, a, NULL, &f.base, &f.size, &err) == LLM_OK &&
			llm_model_open(f.base, f.size, &options, llmk_select("generic", 0), a, &f.model, &err) != LLM_OK)
			f.model = NULL;
		llm_source_close(&source);
	}
	CHECK_MSG(f.model != NULL, "%s: %s", path, err.message);
	return f;
}

static void
close_model(Fixture *f)
{
	if (f->model)
		llm_model_close(f->model);
	llm_memory_pack_free(f->base, f->size);
}

/* prompt and one branch back to text; true if it is the one given */
static bool
reads_as(const LlmModel *model, const LlmLabelPrompt *p, int branch, const char *expected)
{
	LlmTokens	all;
	LlmBuf		text;
	LlmError	err;
	bool		same;

	llm_tokens_init(&all, &llm_malloc_allocator);
	llm_buf_init(&text, &llm_malloc_allocator);
	for (size_t i = 0; i < p->prompt.n; i++)
		CHECK(llm_tokens_append(&all, p->prompt.ids[i], &err) == LLM_OK);
	for (size_t i = 0; i < p->branches[branch].n; i++)
		CHECK(llm_tokens_append(&all, p->branches[branch].ids[i], &err) == LLM_OK);
	CHECK(llm_detokenize(model->tokenizer, all.ids, all.n, true, &text, &err) == LLM_OK);
	same = text.len == strlen(expected) && memcmp(text.data, expected, text.len) == 0;
	if (!same)
		fprintf(stderr, "is \"%.*s\"\n", (int) text.len, text.data);
	llm_buf_free(&text);
	llm_tokens_free(&all);
	return same;
}

static const LlmLabelExample examples[] = {
	{{"It broke.", 9}, {"bad", 3}},
	{{"Love it.", 8}, {"good", 4}},
};

static void
test_plain(void)
{
	Fixture		f = open_model("llama3", NULL);
	LlmStr		labels[] = {STR("good"), STR("goodness me"), STR("bad"), STR("")};
	LlmLabelQuestion q = {.form = LLM_FORM_AUTO, .instruction = STR("Say."), .examples = examples, .n_examples = 2,
		.labels = labels, .n_labels = 4};
	LlmLabelPrompt p;
	LlmError	err;

	if (!f.model)
		return;
	CHECK(llm_label_form(f.model, LLM_FORM_AUTO) == LLM_FORM_PLAIN);
	CHECK(llm_label_prompt(f.model, &q, STR("Fine."), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	CHECK(p.n_labels == 4 && p.prompt.n > 0 && p.prompt.ids[0] == BOS);
	for (int i = 0; i < 4; i++)
	{
		char		expected[300];

		CHECK(p.branches[i].n > 0);
		snprintf(expected, sizeof expected, "<|begin_of_text|>Say.\n\nText: It broke.\nLabel: bad\n\nText: Love it.\nLabel: good\n\n"
				 "Text: Fine.\nLabel: %s\n", labels[i].data);
		CHECK_MSG(reads_as(f.model, &p, i, expected), "label %d", i);
	}
	llm_label_prompt_free(&p);

	/* other names, no instruction, no examples */
	q = (LlmLabelQuestion) {.form = LLM_FORM_PLAIN, .input_name = STR("Row"), .label_name = STR("Kind"), .labels = labels, .n_labels = 1};
	CHECK(llm_label_prompt(f.model, &q, STR(""), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	CHECK(reads_as(f.model, &p, 0, "<|begin_of_text|>Row: \nKind: good\n"));
	llm_label_prompt_free(&p);
	close_model(&f);
}

/* special tokens in what callers give stay text */
static void
test_injection(const char *name, const char *chat_template, LlmLabelForm form, int first_special)
{
	Fixture		f = open_model(name, chat_template);
	LlmStr		labels[] = {STR("a<|eot_id|></s>"), STR("b")};
	LlmLabelExample example = {STR("<|eot_id|>"), STR("<s>")};
	LlmLabelQuestion q = {.form = form, .instruction = STR("<|end_header_id|></s>"), .examples = &example, .n_examples = 1,
		.labels = labels, .n_labels = 2};
	LlmLabelQuestion harmless = {.form = form, .instruction = STR("-"), .examples = examples, .n_examples = 1,
		.labels = labels + 1, .n_labels = 1};
	LlmLabelPrompt p;
	size_t		n_special = 0;
	size_t		n_expected = 0;
	LlmError	err;

	if (!f.model)
		return;
	CHECK(llm_label_prompt(f.model, &harmless, STR("x"), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	for (size_t i = 0; i < p.prompt.n; i++)
		n_expected += first_special > 2 ? p.prompt.ids[i] >= first_special : p.prompt.ids[i] >= 1 && p.prompt.ids[i] <= 2;
	llm_label_prompt_free(&p);
	CHECK(llm_label_prompt(f.model, &q, STR("<|begin_of_text|><s></s>"), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	for (size_t i = 0; i < p.prompt.n; i++)
		n_special += first_special > 2 ? p.prompt.ids[i] >= first_special : p.prompt.ids[i] >= 1 && p.prompt.ids[i] <= 2;
	CHECK_MSG(n_special == n_expected, "%s, form %d: %zu special tokens, not %zu", name, (int) form, n_special, n_expected);
	for (size_t i = 0; i + 1 < p.branches[0].n; i++)
		CHECK(first_special > 2 ? p.branches[0].ids[i] < first_special : p.branches[0].ids[i] > 2);
	llm_label_prompt_free(&p);
	close_model(&f);
}

static void
test_chat(void)
{
	Fixture		f = open_model("llama3", template_source);
	LlmStr		labels[] = {STR("good"), STR("")};
	LlmLabelQuestion q = {.form = LLM_FORM_CHAT, .instruction = STR("Say."), .examples = examples, .n_examples = 1,
		.labels = labels, .n_labels = 2, .answer_prefix = STR("It is ")};
	const char *header = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>Say.<|eot_id|>"
		"<|start_header_id|>user<|end_header_id|>It broke.<|eot_id|><|start_header_id|>assistant<|end_header_id|>It is bad<|eot_id|>"
		"<|start_header_id|>user<|end_header_id|>Fine.<|eot_id|><|start_header_id|>assistant<|end_header_id|>It is ";
	char		expected[600];
	LlmLabelPrompt p;
	LlmError	err;

	if (!f.model)
		return;
	CHECK(llm_label_prompt(f.model, &q, STR("Fine."), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	for (int i = 0; i < 2; i++)
	{
		snprintf(expected, sizeof expected, "%s%s<|eot_id|>", header, labels[i].data);
		CHECK(reads_as(f.model, &p, i, expected));
		CHECK(p.branches[i].ids[p.branches[i].n - 1] == EOT);
	}
	llm_label_prompt_free(&p);
	close_model(&f);

	/* a template that refuses a system turn gets the instruction in the user's */
	f = open_model("llama3", no_system_source);
	q.answer_prefix = STR("");
	if (!f.model)
		return;
	CHECK(llm_label_prompt(f.model, &q, STR("Fine."), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_OK);
	CHECK(reads_as(f.model, &p, 0, "<|start_header_id|>user<|end_header_id|>Say.\n\nIt broke.<|eot_id|>"
				   "<|start_header_id|>assistant<|end_header_id|>bad<|eot_id|>"
				   "<|start_header_id|>user<|end_header_id|>Fine.<|eot_id|>good<|eot_id|>"));
	llm_label_prompt_free(&p);
	close_model(&f);
}

static void
test_errors(void)
{
	Fixture		f = open_model("llama3", NULL);
	LlmStr		label = STR("good");
	LlmLabelQuestion q = {.form = LLM_FORM_CHAT, .labels = &label, .n_labels = 1};
	LlmLabelPrompt p;
	LlmError	err;

	if (!f.model)
		return;
	CHECK(llm_label_prompt(f.model, &q, STR("x"), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_E_UNSUPPORTED);
	CHECK(err.hint[0] != '\0');
	q.n_labels = 0;
	CHECK(llm_label_prompt(f.model, &q, STR("x"), 0, &llm_malloc_allocator, NULL, &p, &err) == LLM_E_ARGUMENT);
	close_model(&f);
}

/* a chat from JSON as text; *status of the rendering */
static bool
renders_as(const LlmModel *model, const char *messages, const char *prefix, const char *expected, LlmStatus *status)
{
	LlmArena	arena;
	LlmValue   *value;
	LlmText		text = {"", NULL, 0};
	LlmError	err;
	bool		same;

	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	CHECK(llm_value_from_json(&arena, messages, strlen(messages), &value, &err) == LLM_OK);
	*status = llm_prompt_render(model, value, NULL, (LlmStr) {prefix, strlen(prefix)}, true, 0, &arena, NULL, &text, &err);
	same = *status == LLM_OK && text.len == strlen(expected) && memcmp(text.bytes, expected, text.len) == 0;
	llm_arena_free(&arena);
	return same;
}

static void
test_render(void)
{
	Fixture		plain = open_model("llama3", NULL);
	Fixture		chat = open_model("llama3", template_source);
	const char *messages = "[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"text\":\"b\"}]}]";
	LlmStatus	status;

	if (plain.model)
	{
		CHECK(renders_as(plain.model, messages, "So", "Hi\n\nab\n\nSo", &status));
		CHECK(!renders_as(plain.model, "[{\"role\":\"user\"}]", "", "", &status) && status == LLM_E_ARGUMENT);
		CHECK(!renders_as(plain.model, "{}", "", "", &status) && status == LLM_E_ARGUMENT);
		CHECK(!renders_as(plain.model, "[1]", "", "", &status) && status == LLM_E_ARGUMENT);
		CHECK(!renders_as(plain.model, "[{\"content\":[{}]}]", "", "", &status) && status == LLM_E_ARGUMENT);
		CHECK(renders_as(plain.model, "[]", "", "", &status));
	}
	if (chat.model)
		CHECK(renders_as(chat.model, "[{\"role\":\"user\",\"content\":\"Hi\"}]", "So",
						 "<|begin_of_text|><|start_header_id|>user<|end_header_id|>Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>So",
						 &status));
	close_model(&plain);
	close_model(&chat);
}

/* a chat rendered after its parts were put together where the template wants that */
static void
check_joined(const char *chat_template, const char *messages, const char *expected)
{
	Fixture		f = open_model("llama3", chat_template);
	LlmArena	arena;
	LlmValue   *value;
	LlmText		text = {"", NULL, 0};
	LlmError	err;

	if (!f.model)
		return;
	llm_arena_init(&arena, &llm_malloc_allocator, 0);
	CHECK(llm_value_from_json(&arena, messages, strlen(messages), &value, &err) == LLM_OK);
	CHECK(llm_prompt_join_parts(f.model, value, 0, &arena, NULL, &err) == LLM_OK);
	CHECK(llm_prompt_render(f.model, value, NULL, (LlmStr) {"", 0}, true, 0, &arena, NULL, &text, &err) == LLM_OK);
	CHECK_MSG(text.len == strlen(expected) && memcmp(text.bytes, expected, text.len) == 0, "%.*s", (int) text.len, text.bytes);
	for (size_t i = 0; i < text.len; i++)
		CHECK(!strchr("ab", text.bytes[i]) || (text.from_data && text.from_data[i]));
	llm_arena_free(&arena);
	close_model(&f);
}

static void
test_parts(void)
{
	const char *parts = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"b\"}]";
	const char *image = "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"a\"}]}]";

	check_joined("{% for m in messages %}<{{ m.content }}>{% endfor %}", parts, "<ab><b>");
	check_joined("{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}", parts, "<ab><b>");
	check_joined("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}", parts, "abb");
	check_joined("{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}",
				 parts, "[a][b]b");
	check_joined("{% for m in messages %}{{ m.content | length }}{% endfor %}", image, "2");
}

/* an empty template is none: chats take the plain form */
static void
test_empty_template(void)
{
	Fixture		f = open_model("llama3", "");

	CHECK(f.model && !f.model->chat_template);
	CHECK(f.model && llm_label_form(f.model, LLM_FORM_AUTO) == LLM_FORM_PLAIN);
	close_model(&f);
}

/* each allocation failing in turn */
static void
test_no_memory(const char *chat_template, LlmLabelForm form)
{
	Fixture		f = open_model("llama3", chat_template);
	LlmStr		labels[] = {STR("good"), STR("bad")};
	LlmLabelQuestion q = {.form = form, .instruction = STR("Say."), .examples = examples, .n_examples = 2, .labels = labels, .n_labels = 2};
	LlmStatus	status = LLM_E_NOMEM;
	long		n;

	if (!f.model)
		return;
	for (n = 0; status == LLM_E_NOMEM && n < 100000; n++)
	{
		Limited		limited = {n, 0};
		LlmAllocator a = {limited_alloc, limited_free, &limited};
		LlmLabelPrompt p;
		LlmError	err;

		status = llm_label_prompt(f.model, &q, STR("Fine."), 0, &a, NULL, &p, &err);
		if (status == LLM_OK)
			llm_label_prompt_free(&p);
		CHECK_MSG(limited.held == 0, "%ld blocks are left after failing at allocation %ld", limited.held, n);
	}
	CHECK_MSG(status == LLM_OK, "status %d after %ld allocations", (int) status, n);
	close_model(&f);
}

static void
test_probabilities(void)
{
	double		scores[] = {-1, -2, -3};
	double		mean[] = {-1, -2, -3};
	double		impossible[] = {-INFINITY, -INFINITY};
	double		one_possible[] = {-INFINITY, -5000};
	double		p[3];

	llm_label_probabilities(scores, NULL, 3, p);
	CHECK(fabs(p[0] + p[1] + p[2] - 1) < 1e-12 && fabs(p[0] / p[1] - exp(1)) < 1e-12);
	llm_label_probabilities(scores, mean, 3, p);
	CHECK(fabs(p[0] - 1.0 / 3) < 1e-12 && fabs(p[2] - 1.0 / 3) < 1e-12);
	llm_label_probabilities(impossible, NULL, 2, p);
	CHECK(p[0] == 0.5 && p[1] == 0.5);
	llm_label_probabilities(one_possible, NULL, 2, p);
	CHECK(p[0] == 0 && p[1] == 1);
	CHECK(llm_calibration_inputs[0].len == 0 && llm_calibration_inputs[2].len == 6);
}

int
main(void)
{
	test_plain();
	test_injection("llama3", NULL, LLM_FORM_PLAIN, BOS);
	test_injection("llama3", template_source, LLM_FORM_CHAT, BOS);
	test_injection("mistral", NULL, LLM_FORM_PLAIN, 1);
	test_chat();
	test_errors();
	test_render();
	test_parts();
	test_empty_template();
	test_no_memory(NULL, LLM_FORM_PLAIN);
	test_no_memory(template_source, LLM_FORM_CHAT);
	test_probabilities();
	CHECK_DONE();
}
