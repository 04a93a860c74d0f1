/*
 * hf_folder.h: the files of a Hugging Face folder that make a model: found, opened, and the small ones read.
 *
 * Which files: config.json and those beside it that say something about results (a fixed list, in hf_folder.c), then the
 * weights: model.safetensors, or the files that model.safetensors.index.json names, sorted by name. Names never leave the
 * folder. This order is that of the digest (source.h).
 *
 * A folder without weights of a model, but with adapter_config.json, is one of an adapter (PEFT): that file and
 * adapter_model.safetensors.
 */
#ifndef LLM_HF_FOLDER_H
#define LLM_HF_FOLDER_H

#include "weights/source.h"
#include "weights/hf/safetensors.h"

#define LLM_HF_ADAPTER_CONFIG "adapter_config.json"

struct json_object;

typedef struct LlmHfFolder
{
	LlmSourceList list;
	LlmFile    *files;			/* list.n_files, all open */
	uint32_t	first_weights;	/* the files from here on are safetensors */
	LlmHfStored *stored;		/* of all files, in the order of the data */
	uint64_t	n_stored;
	uint32_t   *by_name;		/* numbers of stored, sorted by name */
	struct LlmHfStore *store;	/* where quantized matrices find and read theirs (quant.h) */
	struct LlmHfReader *reader;
	LlmArena	arena;			/* headers, names, stored */
} LlmHfFolder;

/* which files; LLM_E_ARGUMENT if the folder is not one of a model, with what is missing */
extern LlmStatus llm_hf_list(const char *path, LlmSourceList *list, LlmError *err);

/* open all and read the headers; every tensor that the index names is there. LLM_PAUSED: call again from the start. */
extern LlmStatus llm_hf_folder_open(const char *path, const LlmAllocator *a, const LlmStop *stop, LlmHfFolder *folder, LlmError *err);
extern void llm_hf_folder_close(LlmHfFolder *folder);
extern bool llm_hf_is_adapter(const LlmHfFolder *folder);

/* the text of a file by its name within the folder, in the folder's arena; data NULL if there is none */
extern LlmStatus llm_hf_text(LlmHfFolder *folder, const char *name, const LlmStop *stop, LlmStr *text, LlmError *err);

/* the same as JSON; *out NULL if there is none, else the caller's (json_object_put). It is an object or array. */
extern LlmStatus llm_hf_json(LlmHfFolder *folder, const char *name, const LlmStop *stop, struct json_object **out, LlmError *err);

#endif
