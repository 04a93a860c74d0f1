/*
 * tool_inspect.c: what a model file holds, and whether it can be run here: whether it opens, over an outline of its weights.
 * Matrices are not read.
 */
#include <string.h>

#include "tool.h"
#include "serve/embed.h"
#include "weights/memory_pack.h"

#define MAX_ELEMENTS 8			/* of an array in the metadata that are shown */

/* what is found out about a file beside its metadata and tensors */
typedef struct Facts
{
	LlmError	problem;		/* why it cannot be run; status LLM_OK: it can */
	LlmHparams	hp;
	bool		has_hparams;
	LlmTokenizer *tokenizer;	/* NULL: not known */
	const LlmArch *arch;		/* as hp */
	bool		has_classifier;
	bool		has_template;
	uint64_t	n_parameters;
	uint64_t	n_bytes;		/* of all tensors */
	const char *quantization;	/* type that holds most elements */
} Facts;

static const char *
type_name(LlmType type)
{
	const LlmTypeInfo *info = llmk_type_info((uint32_t) type);

	return info ? info->name : "unknown";
}

/* elements of a tensor; the reader has checked that they fit */
static uint64_t
elements(const LlmTensor *tensor)
{
	uint64_t	n = 1;

	for (int i = 0; i < LLM_MAX_DIMS; i++)
		n *= (uint64_t) tensor->dim[i];
	return n;
}

static bool
name_is(const LlmTensor *tensor, const char *name)
{
	return tensor->name.len == strlen(name) && memcmp(tensor->name.data, name, tensor->name.len) == 0;
}

/* sums over the tensors */
static void
count_tensors(const LlmSource *source, Facts *facts)
{
	uint64_t	by_type[LLM_TYPE_COUNT] = {0};
	uint64_t	most = 0;

	for (uint64_t i = 0; i < source->n_tensors; i++)
	{
		const LlmTensor *tensor = &source->tensors[i];

		facts->n_parameters += elements(tensor);
		facts->has_classifier |= name_is(tensor, "cls.weight") || name_is(tensor, "cls.output.weight");
		facts->n_bytes += tensor->n_bytes;
		by_type[tensor->type] += elements(tensor);
		if (by_type[tensor->type] > most)
		{
			most = by_type[tensor->type];
			facts->quantization = type_name(tensor->type);
		}
	}
}

/* open it as it would be to compute */
static LlmStatus
check_opens(const LlmSource *source, LlmError *err)
{
	const LlmModelOptions options = {0};
	const uint8_t *base;
	size_t		size;
	LlmModel   *model;
	LlmStatus	status;

	LLM_TRY(llm_pack_outline(source, &llm_malloc_allocator, NULL, &base, &size, err));
	status = llm_model_open(base, size, &options, llmk_select(NULL, llmk_cpu_features()), &llm_malloc_allocator, &model, err);
	if (status == LLM_OK)
		llm_model_close(model);
	llm_memory_pack_free(base, size);
	return status;
}

/* the first thing that stands in the way goes to facts->problem; what else can be found out is found out all the same */
static void
find_facts(const LlmSource *source, Facts *facts)
{
	LlmError	err;
	LlmStr		template_text = {NULL, 0};

	memset(facts, 0, sizeof *facts);
	facts->quantization = "none";
	facts->has_hparams = llm_hparams_read(source->meta, &facts->arch, &facts->hp, &facts->problem) == LLM_OK;
	if (facts->has_hparams && check_opens(source, &facts->problem) == LLM_OK)
		memset(&facts->problem, 0, sizeof facts->problem);
	count_tensors(source, facts);
	if (llm_tokenizer_create(source->meta, &llm_malloc_allocator, &facts->tokenizer, &err) != LLM_OK)
		facts->tokenizer = NULL;
	facts->has_template = llm_meta_string(source->meta, "tokenizer.chat_template", false, &template_text, &err) == LLM_OK &&
		template_text.data;
}

/* one metadata entry under its key */
static LlmStatus
add_entry(struct json_object *object, const LlmMetaEntry *entry, LlmBuf *buf, LlmError *err)
{
	struct json_object *value;
	struct json_object *key;
	LlmStatus	status;

	buf->len = 0;
	LLM_TRY(llm_meta_entry_json(entry, MAX_ELEMENTS, buf, err));
	LLM_TRY(llm_buf_append(buf, "", 1, err));
	value = json_tokener_parse(buf->data);
	status = tool_json_text(entry->key.data, entry->key.len, &key, err);
	if (status != LLM_OK)
	{
		json_object_put(value);
		return status;
	}
	status = tool_json_set(object, json_object_get_string(key), value, err);
	json_object_put(key);
	return status;
}

static LlmStatus
metadata_object(const LlmSource *source, struct json_object **out, LlmError *err)
{
	struct json_object *object = json_object_new_object();
	LlmBuf		buf;
	LlmStatus	status = object ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	llm_buf_init(&buf, &llm_malloc_allocator);
	for (uint64_t i = 0; status == LLM_OK && i < source->meta->n_entries; i++)
		status = add_entry(object, &source->meta->entries[i], &buf, err);
	llm_buf_free(&buf);
	if (status == LLM_OK)
		*out = object;
	else
		json_object_put(object);
	return status;
}

/* a row of the tensor list: name, type, shape (fastest first), bytes */
static LlmStatus
fill_tensor(const LlmTensor *tensor, struct json_object *object, LlmError *err)
{
	struct json_object *item;
	struct json_object *shape;

	LLM_TRY(tool_json_text(tensor->name.data, tensor->name.len, &item, err));
	LLM_TRY(tool_json_set(object, "name", item, err));
	LLM_TRY(tool_json_set_text(object, "type", type_name(tensor->type), err));
	shape = json_object_new_array();
	if (!shape)
		return llm_fail(err, LLM_E_NOMEM, "out of memory");
	LLM_TRY(tool_json_set(object, "shape", shape, err));
	for (int i = 0; i < tensor->n_dims; i++)
	{
		item = json_object_new_int64(tensor->dim[i]);
		if (!item || json_object_array_add(shape, item) != 0)
		{
			json_object_put(item);
			return llm_fail(err, LLM_E_NOMEM, "out of memory");
		}
	}
	return tool_json_set_int(object, "bytes", (int64_t) tensor->n_bytes, err);
}

static LlmStatus
tensor_array(const LlmSource *source, struct json_object **out, LlmError *err)
{
	struct json_object *array = json_object_new_array();
	LlmStatus	status = array ? LLM_OK : llm_fail(err, LLM_E_NOMEM, "out of memory");

	for (uint64_t i = 0; status == LLM_OK && i < source->n_tensors; i++)
	{
		struct json_object *object = json_object_new_object();

		status = object ? fill_tensor(&source->tensors[i], object, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
		if (status == LLM_OK && json_object_array_add(array, object) == 0)
			continue;
		json_object_put(object);
		if (status == LLM_OK)
			status = llm_fail(err, LLM_E_NOMEM, "out of memory");
	}
	if (status == LLM_OK)
		*out = array;
	else
		json_object_put(array);
	return status;
}

static LlmStatus
fill_hparams(const Facts *facts, struct json_object *object, LlmError *err)
{
	const LlmHparams *hp = &facts->hp;
	const LlmPooling pooling = llm_hparams_pooling(facts->arch, hp, facts->has_classifier);

	LLM_TRY(tool_json_set_text(object, "kind", llm_model_kind_name(llm_model_kind_of(hp, pooling)), err));
	LLM_TRY(tool_json_set_text(object, "pooling", llm_pooling_name(pooling), err));
	LLM_TRY(tool_json_set_int(object, "context", hp->n_ctx_train, err));
	LLM_TRY(tool_json_set_int(object, "layers", hp->n_layer, err));
	LLM_TRY(tool_json_set_int(object, "embedding", hp->n_embd, err));
	LLM_TRY(tool_json_set_int(object, "heads", hp->n_head, err));
	LLM_TRY(tool_json_set_int(object, "heads_kv", hp->n_head_kv, err));
	return tool_json_set_int(object, "feed_forward", hp->n_ff, err);
}

static LlmStatus
fill_tokenizer(const LlmTokenizer *tokenizer, struct json_object *object, LlmError *err)
{
	LLM_TRY(tool_json_set_text(object, "tokenizer", llm_tokenizer_kind(tokenizer), err));
	LLM_TRY(tool_json_set_int(object, "vocabulary", llm_tokenizer_vocab_size(tokenizer), err));
	LLM_TRY(tool_json_set_int(object, "bos", llm_tokenizer_bos(tokenizer), err));
	LLM_TRY(tool_json_set_int(object, "eos", llm_tokenizer_eos(tokenizer), err));
	return tool_json_set_int(object, "eot", llm_tokenizer_eot(tokenizer), err);
}

/* everything as one object */
static LlmStatus
fill_object(const LlmSource *source, const Facts *facts, struct json_object *object, LlmError *err)
{
	struct json_object *part;
	LlmStr		arch = {"", 0};

	LLM_TRY(llm_meta_string(source->meta, "general.architecture", false, &arch, err));
	LLM_TRY(tool_json_text(arch.data, arch.len, &part, err));
	LLM_TRY(tool_json_set(object, "architecture", part, err));
	LLM_TRY(tool_json_set_bool(object, "supported", facts->problem.status == LLM_OK, err));
	if (facts->problem.status != LLM_OK)
		LLM_TRY(tool_json_set_text(object, "reason", facts->problem.message, err));
	LLM_TRY(tool_json_set_text(object, "format", source->kind->format, err));
	if (source->version > 0)
		LLM_TRY(tool_json_set_int(object, "gguf_version", source->version, err));
	LLM_TRY(tool_json_set_int(object, "file_bytes", (int64_t) llm_source_size_bytes(source), err));
	LLM_TRY(tool_json_set_int(object, "tensor_bytes", (int64_t) facts->n_bytes, err));
	LLM_TRY(tool_json_set_int(object, "parameters", (int64_t) facts->n_parameters, err));
	LLM_TRY(tool_json_set_text(object, "quantization", facts->quantization, err));
	if (facts->has_hparams)
		LLM_TRY(fill_hparams(facts, object, err));
	if (facts->tokenizer)
		LLM_TRY(fill_tokenizer(facts->tokenizer, object, err));
	LLM_TRY(tool_json_set_bool(object, "chat_template", facts->has_template, err));
	LLM_TRY(metadata_object(source, &part, err));
	LLM_TRY(tool_json_set(object, "metadata", part, err));
	LLM_TRY(tensor_array(source, &part, err));
	return tool_json_set(object, "tensors", part, err);
}

/* one tensor as a line: shape, type, name */
static void
print_tensor(struct json_object *tensor)
{
	printf("  %-24s %-8s %s\n", json_object_to_json_string_ext(json_object_object_get(tensor, "shape"), JSON_C_TO_STRING_PLAIN),
		   json_object_get_string(json_object_object_get(tensor, "type")),
		   json_object_get_string(json_object_object_get(tensor, "name")));
}

/* the same object for people: facts, metadata, tensors, one a line */
static void
print_text(struct json_object *object)
{
	json_object_object_foreach(object, key, value)
	{
		if (json_object_is_type(value, json_type_object))
		{
			printf("%s:\n", key);
			json_object_object_foreach(value, name, entry)
				printf("  %s = %s\n", name, json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		}
		else if (json_object_is_type(value, json_type_array))
		{
			printf("%s: %zu\n", key, json_object_array_length(value));
			for (size_t i = 0; i < json_object_array_length(value); i++)
				print_tensor(json_object_array_get_idx(value, i));
		}
		else
			printf("%s: %s\n", key, json_object_get_string(value));
	}
}

LlmStatus
tool_inspect(const ToolOptions *options, LlmError *err)
{
	LlmSource	source;
	Facts		facts;
	struct json_object *object;
	LlmStatus	status;

	LLM_TRY(llm_source_open(options->model, &llm_malloc_allocator, NULL, &source, err));
	find_facts(&source, &facts);
	object = json_object_new_object();
	status = object ? fill_object(&source, &facts, object, err) : llm_fail(err, LLM_E_NOMEM, "out of memory");
	if (status == LLM_OK && options->json)
		status = tool_json_print(object, err);
	else
	{
		if (status == LLM_OK)
			print_text(object);
		json_object_put(object);
	}
	if (facts.tokenizer)
		llm_tokenizer_free(facts.tokenizer);
	llm_source_close(&source);
	return status;
}
