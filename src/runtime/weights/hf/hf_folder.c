/*
 * hf_folder.c: finding, opening and reading the files of a Hugging Face folder.
 */
#include "weights/hf/hf_folder.h"
#include "weights/hf/quant.h"

#include "text/json_parse.h"
#include "weights/hf/json_scan.h"
#include "weights/sort_index.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define INDEX_NAME "model.safetensors.index.json"
#define WEIGHTS_NAME "model.safetensors"
#define ADAPTER_WEIGHTS_NAME "adapter_model.safetensors"
#define MAX_TEXT_BYTES ((uint64_t) 128 << 20)
#define MAX_NAME_BYTES 255
#define MAX_OPEN_FILES 1024		/* each keeps a descriptor open */

/* what says something about results, in the order of the digest */
static const char *const known_files[] = {
	"config.json",
	"generation_config.json",
	"tokenizer.json",
	"tokenizer_config.json",
	"special_tokens_map.json",
	"added_tokens.json",
	"chat_template.jinja",
	"chat_template.json",
	"modules.json",
	"1_Pooling/config.json",
	"2_Dense/config.json",
	"3_Dense/config.json",
	"config_sentence_transformers.json",
	"sentence_bert_config.json",
	"hf_quant_config.json",
	"quantize_config.json",
	INDEX_NAME,
};

/* weights of what follows the model (sentence-transformers); their tensors are named with the folder, "2_Dense.linear.weight" */
static const char *const more_weights[] = {"2_Dense/model.safetensors", "3_Dense/model.safetensors"};

#define N_MORE ((uint32_t) (sizeof(more_weights) / sizeof(more_weights[0])))
#define N_KNOWN ((uint32_t) (sizeof(known_files) / sizeof(known_files[0])))

/* ---- which files ---- */

static LlmStatus
add_file(LlmSourceList *list, const char *folder, LlmStr name, LlmError *err)
{
	const size_t folder_len = strlen(folder);
	char	   *path;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&list->arena, folder_len + name.len + 2, 1, &ptr, err));
	path = ptr;
	memcpy(path, folder, folder_len);
	path[folder_len] = '/';
	memcpy(path + folder_len + 1, name.data, name.len);
	path[folder_len + 1 + name.len] = '\0';
	list->paths[list->n_files] = path;
	list->names[list->n_files++] = path + folder_len + 1;
	return LLM_OK;
}

static bool
is_file(const char *folder, const char *name)
{
	char		path[sizeof(((LlmFile *) NULL)->path)];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int) sizeof(path) && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* a link that leads nowhere is a file that should be there: caches of downloads have links */
static LlmStatus
check_link(const char *folder, const char *name, LlmError *err)
{
	char		path[sizeof(((LlmFile *) NULL)->path)];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int) sizeof(path) || lstat(path, &st) != 0 || !S_ISLNK(st.st_mode) ||
		stat(path, &st) == 0 || errno != ENOENT)
		return LLM_OK;
	llm_fail(err, LLM_E_ARGUMENT, "file \"%s\" of folder \"%s\" is a link to a file that is missing", name, folder);
	llm_error_hint(err, "The folder is not complete; fetch the missing file.");
	return LLM_E_ARGUMENT;
}

static LlmStatus
check_links(const char *folder, LlmError *err)
{
	static const char *const others[] = {WEIGHTS_NAME, LLM_HF_ADAPTER_CONFIG, ADAPTER_WEIGHTS_NAME};

	for (uint32_t i = 0; i < N_KNOWN; i++)
		LLM_TRY(check_link(folder, known_files[i], err));
	for (uint32_t i = 0; i < N_MORE; i++)
		LLM_TRY(check_link(folder, more_weights[i], err));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		LLM_TRY(check_link(folder, others[i], err));
	return LLM_OK;
}

/* a name that an index gives is one of a file in this very folder */
static LlmStatus
check_name(const char *folder, LlmStr name, LlmError *err)
{
	if (name.len > 0 && name.len <= MAX_NAME_BYTES && name.data[0] != '.' && !memchr(name.data, '/', name.len) &&
		!memchr(name.data, '\\', name.len) && !memchr(name.data, '\0', name.len))
		return LLM_OK;
	llm_fail(err, LLM_E_FORMAT, "index of folder \"%s\" names a file outside of it", folder);
	llm_error_detail(err, "\"%.*s\" is no plain file name of at most %d bytes.", (int) (name.len < 200 ? name.len : 200), name.data,
					 MAX_NAME_BYTES);
	return LLM_E_FORMAT;
}

typedef struct Index
{
	LlmStr	   *names;			/* of tensors, and the file of each */
	LlmStr	   *files;
	uint32_t	n;
} Index;

/* the weight_map of an index */
static LlmStatus
scan_map(LlmJsonScan *s, const char *folder, LlmArena *arena, Index *index)
{
	const size_t capacity = s->len / sizeof("\"\":\"\"") + 1;
	void	   *ptr;

	if (index->names)
		return llm_scan_fail(s, "only one weight_map");
	LLM_TRY(llm_arena_alloc(arena, capacity, sizeof(LlmStr), &ptr, s->err));
	index->names = ptr;
	LLM_TRY(llm_arena_alloc(arena, capacity, sizeof(LlmStr), &ptr, s->err));
	index->files = ptr;
	LLM_TRY(llm_scan_expect(s, '{'));
	if (llm_scan_take(s, '}'))
		return LLM_OK;
	do
	{
		LLM_TRY(llm_scan_string(s, &index->names[index->n]));
		LLM_TRY(llm_scan_expect(s, ':'));
		LLM_TRY(llm_scan_string(s, &index->files[index->n]));
		LLM_TRY(check_name(folder, index->files[index->n], s->err));
		index->n++;
	} while (llm_scan_take(s, ','));
	return llm_scan_expect(s, '}');
}

static LlmStatus
scan_index(LlmStr text, const char *folder, LlmArena *arena, Index *index, LlmError *err)
{
	LlmJsonScan s = {.text = text.data, .len = text.len, .what = INDEX_NAME, .err = err};

	*index = (Index) {0};
	LLM_TRY(llm_scan_expect(&s, '{'));
	if (llm_scan_take(&s, '}'))
		return llm_scan_fail(&s, "a weight_map that names tensors");
	do
	{
		LlmStr		key;

		LLM_TRY(llm_scan_string(&s, &key));
		LLM_TRY(llm_scan_expect(&s, ':'));
		if (key.len == 10 && memcmp(key.data, "weight_map", 10) == 0)
			LLM_TRY(scan_map(&s, folder, arena, index));
		else
			LLM_TRY(llm_scan_skip(&s));
	} while (llm_scan_take(&s, ','));
	LLM_TRY(llm_scan_expect(&s, '}'));
	LLM_TRY(llm_scan_end(&s));
	return index->n > 0 ? LLM_OK : llm_scan_fail(&s, "a weight_map that names tensors");
}

static int
compare_strings(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmStr *strings = ctx;

	return llm_str_compare(strings[a], strings[b]);
}

/* the different file names of an index, sorted */
static LlmStatus
add_indexed(LlmSourceList *list, const char *folder, const Index *index, LlmError *err)
{
	uint32_t   *order;
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&list->arena, index->n, sizeof(uint32_t), &ptr, err));
	order = ptr;
	llm_sort_index(order, index->n, compare_strings, index->files);
	for (uint32_t i = 0; i < index->n; i++)
	{
		if (i > 0 && compare_strings(index->files, order[i - 1], order[i]) == 0)
			continue;
		if (list->n_files == MAX_OPEN_FILES - N_MORE)
		{
			llm_fail(err, LLM_E_LIMIT, "folder \"%s\" has too many files of weights", folder);
			llm_error_detail(err, "Its index names more than %u.", MAX_OPEN_FILES - N_KNOWN - N_MORE);
			return LLM_E_LIMIT;
		}
		LLM_TRY(add_file(list, folder, index->files[order[i]], err));
	}
	return LLM_OK;
}

static LlmStatus
read_text(const LlmFile *file, LlmArena *arena, const LlmStop *stop, LlmStr *text, LlmError *err)
{
	void	   *ptr;

	if (file->size_bytes > MAX_TEXT_BYTES)
	{
		llm_fail(err, LLM_E_LIMIT, "file \"%s\" is too large", file->path);
		llm_error_detail(err, "It has %llu bytes; the limit is %llu.", (unsigned long long) file->size_bytes,
						 (unsigned long long) MAX_TEXT_BYTES);
		return LLM_E_LIMIT;
	}
	LLM_TRY(llm_arena_alloc(arena, file->size_bytes + 1, 1, &ptr, err));
	LLM_TRY(llm_file_read(file, 0, ptr, file->size_bytes, stop, err));
	((char *) ptr)[file->size_bytes] = '\0';
	*text = (LlmStr) {ptr, file->size_bytes};
	return LLM_OK;
}

static LlmStatus
list_indexed(const char *folder, LlmSourceList *list, LlmError *err)
{
	LlmFile		file;
	LlmStr		text;
	Index		index;
	LlmStatus	status;

	LLM_TRY(llm_file_open(list->paths[list->n_files - 1], &file, err));
	status = read_text(&file, &list->arena, NULL, &text, err);
	llm_file_close(&file);
	LLM_TRY(status);
	LLM_TRY(scan_index(text, folder, &list->arena, &index, err));
	return add_indexed(list, folder, &index, err);
}

static LlmStatus
missing(const char *folder, const char *name, LlmError *err)
{
	llm_fail(err, LLM_E_ARGUMENT, "folder \"%s\" has no file \"%s\"", folder, name);
	llm_error_hint(err, "Give the path of a GGUF file, or of a folder with config.json and safetensors files.");
	return LLM_E_ARGUMENT;
}

static LlmStatus
list_adapter(const char *folder, LlmSourceList *list, LlmError *err)
{
	static const char *const names[] = {LLM_HF_ADAPTER_CONFIG, ADAPTER_WEIGHTS_NAME};

	if (!is_file(folder, ADAPTER_WEIGHTS_NAME))
	{
		missing(folder, ADAPTER_WEIGHTS_NAME, err);
		llm_error_hint(err, "It is a folder of an adapter, whose weights must be saved as safetensors.");
		return LLM_E_ARGUMENT;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		LLM_TRY(add_file(list, folder, (LlmStr) {names[i], strlen(names[i])}, err));
	return LLM_OK;
}

bool
llm_hf_is_adapter(const LlmHfFolder *folder)
{
	return strcmp(folder->list.names[0], LLM_HF_ADAPTER_CONFIG) == 0;
}

LlmStatus
llm_hf_list(const char *folder, LlmSourceList *list, LlmError *err)
{
	const bool	one_file = is_file(folder, WEIGHTS_NAME);
	void	   *ptr;

	list->is_folder = true;
	list->n_files = 0;
	LLM_TRY(llm_arena_alloc(&list->arena, MAX_OPEN_FILES, sizeof(char *), &ptr, err));
	list->paths = ptr;
	LLM_TRY(llm_arena_alloc(&list->arena, MAX_OPEN_FILES, sizeof(char *), &ptr, err));
	list->names = ptr;
	LLM_TRY(check_links(folder, err));
	if (!one_file && !is_file(folder, INDEX_NAME) && is_file(folder, LLM_HF_ADAPTER_CONFIG))
		return list_adapter(folder, list, err);
	if (!is_file(folder, known_files[0]))
		return missing(folder, known_files[0], err);
	for (uint32_t i = 0; i < N_KNOWN; i++)
	{
		/* an index beside a single file is of no use, and often left over */
		if (is_file(folder, known_files[i]) && !(one_file && strcmp(known_files[i], INDEX_NAME) == 0))
			LLM_TRY(add_file(list, folder, (LlmStr) {known_files[i], strlen(known_files[i])}, err));
	}
	if (one_file)
		LLM_TRY(add_file(list, folder, (LlmStr) {WEIGHTS_NAME, strlen(WEIGHTS_NAME)}, err));
	else if (strcmp(list->names[list->n_files - 1], INDEX_NAME) != 0)
		return missing(folder, WEIGHTS_NAME, err);
	else
		LLM_TRY(list_indexed(folder, list, err));
	for (uint32_t i = 0; i < N_MORE; i++)
		if (is_file(folder, more_weights[i]))
			LLM_TRY(add_file(list, folder, (LlmStr) {more_weights[i], strlen(more_weights[i])}, err));
	return LLM_OK;
}

/* ---- opening ---- */

/* Python writes numbers that JSON does not have: Infinity becomes null, of the same length */
static void
blank_infinity(char *text, size_t len)
{
	static const char word[] = "Infinity";
	const size_t n = sizeof(word) - 1;
	bool		quoted = false;

	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '\\' && quoted)
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && len - i >= n && memcmp(text + i, word, n) == 0)
			memcpy(text + i, "null    ", n);
	}
}

static int
find_file(const LlmHfFolder *folder, const char *name)
{
	for (uint32_t i = 0; i < folder->list.n_files; i++)
		if (strcmp(folder->list.names[i], name) == 0)
			return (int) i;
	return -1;
}

LlmStatus
llm_hf_text(LlmHfFolder *folder, const char *name, const LlmStop *stop, LlmStr *text, LlmError *err)
{
	int			i = find_file(folder, name);

	*text = (LlmStr) {NULL, 0};
	return i < 0 ? LLM_OK : read_text(&folder->files[i], &folder->arena, stop, text, err);
}

LlmStatus
llm_hf_json(LlmHfFolder *folder, const char *name, const LlmStop *stop, struct json_object **out, LlmError *err)
{
	LlmStr		text;
	struct json_object *json;

	*out = NULL;
	LLM_TRY(llm_hf_text(folder, name, stop, &text, err));
	if (!text.data)
		return LLM_OK;
	blank_infinity((char *) text.data, text.len);
	if (llm_json_parse(text.data, text.len, folder->arena.allocator, &json, err) != LLM_OK)
	{
		if (err && err->status == LLM_E_NOMEM)
			return LLM_E_NOMEM;
		llm_fail(err, LLM_E_FORMAT, "file \"%s\" is not JSON", name);
		llm_error_detail(err, "It is in folder \"%.200s\".", folder->list.paths[0]);
		return LLM_E_FORMAT;
	}
	if (!json_object_is_type(json, json_type_object) && !json_object_is_type(json, json_type_array))
	{
		json_object_put(json);
		return llm_fail(err, LLM_E_FORMAT, "file \"%s\" is neither a JSON object nor an array", name);
	}
	*out = json;
	return LLM_OK;
}

static LlmStatus
open_files(LlmHfFolder *folder, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_arena_alloc(&folder->arena, folder->list.n_files, sizeof(LlmFile), &ptr, err));
	folder->files = ptr;
	for (uint32_t i = 0; i < folder->list.n_files; i++)
		folder->files[i].fd = -1;
	for (uint32_t i = 0; i < folder->list.n_files; i++)
	{
		LlmStatus	status = llm_file_open(folder->list.paths[i], &folder->files[i], err);

		if (status != LLM_OK)
		{
			folder->files[i].fd = -1;
			if (err && status == LLM_E_IO && err->sys_errno == ENOENT)
				llm_error_hint(err, "The folder is not complete; fetch the missing file.");
			return status;
		}
	}
	return LLM_OK;
}

/* tensors of a file in a folder of its own are named with that folder */
static LlmStatus
name_with_folder(LlmHfFolder *folder, const char *file, LlmHfStored *tensors, uint64_t n, LlmError *err)
{
	const char *slash = strchr(file, '/');
	void	   *ptr;

	for (uint64_t i = 0; slash && i < n; i++)
	{
		const size_t len = (size_t) (slash - file) + 1 + tensors[i].name.len;

		LLM_TRY(llm_arena_alloc(&folder->arena, len, 1, &ptr, err));
		memcpy(ptr, file, (size_t) (slash - file));
		((char *) ptr)[slash - file] = '.';
		memcpy((char *) ptr + (slash - file) + 1, tensors[i].name.data, tensors[i].name.len);
		tensors[i].name = (LlmStr) {ptr, len};
	}
	return LLM_OK;
}

static LlmStatus
read_headers(LlmHfFolder *folder, const LlmStop *stop, LlmError *err)
{
	const uint32_t n_files = folder->list.n_files;
	LlmHfStored *of_file[MAX_OPEN_FILES];
	uint64_t	n_of_file[MAX_OPEN_FILES];
	void	   *ptr;

	for (uint32_t i = folder->first_weights; i < n_files; i++)
	{
		LLM_TRY(llm_safetensors_read(&folder->files[i], i, &folder->arena, stop, &of_file[i], &n_of_file[i], err));
		LLM_TRY(name_with_folder(folder, folder->list.names[i], of_file[i], n_of_file[i], err));
		folder->n_stored += n_of_file[i];
		if (llm_should_stop(stop))
			return LLM_PAUSED;
	}
	if (folder->n_stored > UINT32_MAX / 2)
		return llm_fail(err, LLM_E_LIMIT, "folder \"%s\" has too many tensors", folder->list.paths[0]);
	LLM_TRY(llm_arena_alloc(&folder->arena, folder->n_stored + 1, sizeof(LlmHfStored), &ptr, err));
	folder->stored = ptr;
	folder->n_stored = 0;
	for (uint32_t i = folder->first_weights; i < n_files; i++)
	{
		memcpy(folder->stored + folder->n_stored, of_file[i], n_of_file[i] * sizeof(LlmHfStored));
		folder->n_stored += n_of_file[i];
	}
	return LLM_OK;
}

static int
compare_stored(const void *ctx, uint32_t a, uint32_t b)
{
	const LlmHfStored *stored = ctx;

	return llm_str_compare(stored[a].name, stored[b].name);
}

static LlmStatus
check_names(const LlmHfFolder *folder, const uint32_t *order, LlmError *err)
{
	for (uint64_t i = 1; i < folder->n_stored; i++)
		if (compare_stored(folder->stored, order[i - 1], order[i]) == 0)
			return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" appears more than once in folder \"%s\"",
							(int) folder->stored[order[i]].name.len, folder->stored[order[i]].name.data, folder->list.paths[0]);
	return LLM_OK;
}

static const LlmHfStored *
find_stored(const LlmHfFolder *folder, const uint32_t *order, LlmStr name)
{
	uint64_t	low = 0;
	uint64_t	high = folder->n_stored;

	while (low < high)
	{
		uint64_t	middle = low + (high - low) / 2;
		int			c = llm_str_compare(name, folder->stored[order[middle]].name);

		if (c == 0)
			return &folder->stored[order[middle]];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* what the index names is where it says */
static LlmStatus
check_index(LlmHfFolder *folder, const uint32_t *order, const LlmStop *stop, LlmError *err)
{
	LlmStr		text;
	Index		index;

	LLM_TRY(llm_hf_text(folder, INDEX_NAME, stop, &text, err));
	if (!text.data)
		return LLM_OK;
	LLM_TRY(scan_index(text, folder->list.paths[0], &folder->arena, &index, err));
	for (uint32_t i = 0; i < index.n; i++)
	{
		const LlmHfStored *t = find_stored(folder, order, index.names[i]);

		if (t && strlen(folder->list.names[t->file]) == index.files[i].len &&
			memcmp(folder->list.names[t->file], index.files[i].data, index.files[i].len) == 0)
			continue;
		return llm_fail(err, LLM_E_FORMAT, "tensor \"%.*s\" is not in file \"%.*s\", where the index of the folder has it",
						(int) (index.names[i].len < 100 ? index.names[i].len : 100), index.names[i].data,
						(int) (index.files[i].len < 100 ? index.files[i].len : 100), index.files[i].data);
	}
	return LLM_OK;
}

static LlmStatus
open_folder(const char *path, const LlmStop *stop, LlmHfFolder *folder, LlmError *err)
{
	void	   *ptr;

	LLM_TRY(llm_hf_list(path, &folder->list, err));
	LLM_TRY(open_files(folder, err));
	folder->first_weights = folder->list.n_files;
	while (folder->first_weights > 0)
	{
		const char *name = folder->list.names[folder->first_weights - 1];
		bool		known = strcmp(name, LLM_HF_ADAPTER_CONFIG) == 0;

		for (uint32_t i = 0; i < N_KNOWN; i++)
			known = known || strcmp(name, known_files[i]) == 0;
		if (known)
			break;
		folder->first_weights--;
	}
	LLM_TRY(read_headers(folder, stop, err));
	LLM_TRY(llm_arena_alloc(&folder->arena, folder->n_stored + 1, sizeof(uint32_t), &ptr, err));
	llm_sort_index(ptr, (uint32_t) folder->n_stored, compare_stored, folder->stored);
	LLM_TRY(check_names(folder, ptr, err));
	return check_index(folder, ptr, stop, err);
}

LlmStatus
llm_hf_folder_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmHfFolder *folder, LlmError *err)
{
	LlmStatus	status;

	memset(folder, 0, sizeof(*folder));
	llm_arena_init(&folder->arena, a, 0);
	llm_arena_init(&folder->list.arena, a, 0);
	status = open_folder(path, stop, folder, err);
	if (status != LLM_OK)
		llm_hf_folder_close(folder);
	return status;
}

void
llm_hf_folder_close(LlmHfFolder *folder)
{
	if (folder->reader)
		llm_hf_reader_free(folder->reader);
	folder->reader = NULL;
	for (uint32_t i = 0; folder->files && i < folder->list.n_files; i++)
		llm_file_close(&folder->files[i]);
	llm_source_list_free(&folder->list);
	llm_arena_free(&folder->arena);
	folder->files = NULL;
}
