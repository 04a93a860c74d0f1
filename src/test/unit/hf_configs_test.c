/*
 * hf_configs_test.c: config.json as published models have it, with all the keys that say nothing about results: none is refused,
 * and what it says gives a shape that can run. No weights are needed for that.
 */
#include "hf_reference.h"
#include "hf_writer.h"
#include "model/arch.h"

#define CONFIGS "sql-tests/data/hf/configs.json"

/* the shape that a configuration gives, or nothing (after a failed check); hp borrows from the source */
static bool
read_config(const char *name, struct json_object *config, LlmSource *source, const LlmArch **arch, LlmHparams *hp)
{
	LlmError	err = {0};
	LlmStatus	status;

	hf_begin();
	hf_write_text("config.json", json_object_to_json_string(config));
	hf_write_safetensors("model.safetensors", "{}", 0);
	status = llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, source, &err);
	hf_end();
	CHECK_MSG(status == LLM_OK, "%s: %s %s", name, err.message, err.detail);
	if (status != LLM_OK)
		return false;
	status = llm_hparams_read(source->meta, arch, hp, &err);
	CHECK_MSG(status == LLM_OK, "%s: %s %s", name, err.message, err.detail);
	if (status != LLM_OK)
		llm_source_close(source);
	return status == LLM_OK;
}

static void
test_accepted(struct json_object *configs)
{
	int			n = 0;

	json_object_object_foreach(configs, name, config)
	{
		LlmSource	source;
		const LlmArch *arch;
		LlmHparams	hp;

		n++;
		if (read_config(name, config, &source, &arch, &hp))
			llm_source_close(&source);
	}
	CHECK_MSG(n >= 70, "%d configurations", n);
}

/* windows in letters (older files) are those that newer files list, the last layer has none; rope is where windows are */
static void
test_letters(struct json_object *configs)
{
	const char *const names[] = {"EXAONE-4.0-32B", "EXAONE-4.0-32B, first"};

	for (int k = 0; k < 2; k++)
	{
		LlmSource	source;
		const LlmArch *arch;
		LlmHparams	hp;

		if (!read_config(names[k], json_object_object_get(configs, names[k]), &source, &arch, &hp))
			continue;
		for (uint32_t i = 0; i < hp.n_layer; i++)
		{
			bool		has_window = i % 4 != 3 && i + 1 < hp.n_layer;

			CHECK_MSG(llm_hparams_window(&hp, i) == (has_window ? 4096 : 0), "%s, layer %u: %u", names[k], i, llm_hparams_window(&hp, i));
			CHECK(llm_hparams_rope(arch, &hp, i) == (has_window ? LLM_ROPE_LOCAL : LLM_ROPE_ABSENT));
		}
		llm_source_close(&source);
	}
}

/* a pattern that ends in a window leaves the last layer without one all the same; other letters are refused */
static void
test_other_letters(struct json_object *configs)
{
	struct json_object *config = NULL;
	LlmSource	source;
	const LlmArch *arch;
	LlmHparams	hp;
	LlmError	err;

	CHECK(json_object_deep_copy(json_object_object_get(configs, "EXAONE-4.0-32B, first"), &config, NULL) == 0);
	json_object_object_add(config, "num_hidden_layers", json_object_new_int(6));
	if (read_config("LLLG over 6 layers", config, &source, &arch, &hp))
	{
		CHECK(llm_hparams_window(&hp, 4) == 4096 && llm_hparams_window(&hp, 5) == 0);
		llm_source_close(&source);
	}
	json_object_object_add(config, "sliding_window_pattern", json_object_new_string("LXG"));
	hf_begin();
	hf_write_text("config.json", json_object_to_json_string(config));
	hf_write_safetensors("model.safetensors", "{}", 0);
	CHECK(llm_source_open(hf_folder_path, &llm_malloc_allocator, NULL, &source, &err) == LLM_E_UNSUPPORTED &&
		  strstr(err.message, "sliding_window_pattern") != NULL);
	hf_end();
	json_object_put(config);
}

/* windows from a layer on, which files of transformers 4 say without a list */
static void
test_late_windows(struct json_object *configs)
{
	struct json_object *config = NULL;
	LlmSource	source;
	const LlmArch *arch;
	LlmHparams	hp;

	CHECK(json_object_deep_copy(json_object_object_get(configs, "Qwen2.5-7B-Instruct"), &config, NULL) == 0);
	json_object_object_add(config, "use_sliding_window", json_object_new_boolean(true));
	json_object_object_add(config, "max_window_layers", json_object_new_int(20));
	if (read_config("Qwen2 with windows", config, &source, &arch, &hp))
	{
		CHECK(llm_hparams_window(&hp, 19) == 0 && llm_hparams_window(&hp, 20) == 131072);
		llm_source_close(&source);
	}
	json_object_object_del(config, "use_sliding_window");
	if (read_config("Qwen2 that does not say whether it uses windows", config, &source, &arch, &hp))
	{
		CHECK(llm_hparams_window(&hp, 20) == 0);
		llm_source_close(&source);
	}
	json_object_put(config);
}

static void
check_base(struct json_object *configs, const char *name, double base, bool none)
{
	LlmSource	source;
	const LlmArch *arch;
	LlmHparams	hp;

	if (!read_config(name, json_object_object_get(configs, name), &source, &arch, &hp))
		return;
	CHECK_MSG(fabs(hp.rope[LLM_ROPE_GLOBAL].base - base) <= 1e-6 * base, "%s: base %.9g", name, hp.rope[LLM_ROPE_GLOBAL].base);
	CHECK_MSG((llm_hparams_rope(arch, &hp, 0) == LLM_ROPE_ABSENT) == none, "%s: rope %d", name, llm_hparams_rope(arch, &hp, 0));
	llm_source_close(&source);
}

int
main(void)
{
	struct json_object *configs = hf_read_json(CONFIGS);

	test_accepted(configs);
	test_letters(configs);
	test_other_letters(configs);
	test_late_windows(configs);
	check_base(configs, "Hunyuan-7B-Instruct", 10000 * pow(1000, 128.0 / 126), false);
	check_base(configs, "Hunyuan-A13B-Instruct", 10000 * pow(1000, 128.0 / 126), false);
	check_base(configs, "granite-4.0-h-tiny", 10000, true);
	check_base(configs, "granite-4.0-micro", 10000000, false);
	json_object_put(configs);
	CHECK_DONE();
}
