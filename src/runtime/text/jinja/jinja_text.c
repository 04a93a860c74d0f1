/*
 * jinja_text.c: strings, built at the end of the output together with the origin of every byte.
 *
 * Idea: see jinja.h. str() and repr() follow Python: bytes that stand for a character of a string have the origin of that
 * character, also when it is escaped; quotes, brackets, digits and words like None belong to the template.
 */
#include "text/jinja/jinja.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static LlmStatus
reserve(Jinja *j, size_t len)
{
	if (len > LLM_JINJA_MAX_OUTPUT || j->out.len > LLM_JINJA_MAX_OUTPUT - len)
		return llm_jinja_limit(j, "more than %zu bytes of text", LLM_JINJA_MAX_OUTPUT);
	LLM_TRY(llm_buf_reserve(&j->out, len, j->err));
	return llm_buf_reserve(&j->origin, len, j->err);
}

LlmStatus
llm_jinja_put(Jinja *j, LlmText text)
{
	if (text.len == 0)
		return LLM_OK;
	LLM_TRY(llm_jinja_step(j, text.len / 256));
	LLM_TRY(reserve(j, text.len));
	memcpy(j->out.data + j->out.len, text.bytes, text.len);
	if (text.from_data)
		memcpy(j->origin.data + j->origin.len, text.from_data, text.len);
	else
		memset(j->origin.data + j->origin.len, 0, text.len);
	j->out.len += text.len;
	j->origin.len += text.len;
	return LLM_OK;
}

LlmStatus
llm_jinja_put_bytes(Jinja *j, const char *bytes, size_t len, bool from_data)
{
	if (len == 0)
		return LLM_OK;
	LLM_TRY(reserve(j, len));
	memcpy(j->out.data + j->out.len, bytes, len);
	memset(j->origin.data + j->origin.len, from_data, len);
	j->out.len += len;
	j->origin.len += len;
	return LLM_OK;
}

static LlmStatus
put_word(Jinja *j, const char *word)
{
	return llm_jinja_put_bytes(j, word, strlen(word), false);
}

LlmStatus
llm_jinja_put_char(Jinja *j, uint32_t c, bool from_data)
{
	char		bytes[4];
	int			n = llm_jinja_encode(c, bytes);

	return llm_jinja_put_bytes(j, bytes, (size_t) n, from_data);
}

LlmStatus
llm_jinja_put_fill(Jinja *j, LlmText fill, size_t n)
{
	size_t		start = j->out.len;
	size_t		more;

	if (fill.len == 0 || n == 0)
		return LLM_OK;
	if (n > LLM_JINJA_MAX_OUTPUT / fill.len)
		return llm_jinja_limit(j, "more than %zu bytes of text", LLM_JINJA_MAX_OUTPUT);
	LLM_TRY(llm_jinja_step(j, n / 16));
	LLM_TRY(reserve(j, n * fill.len));
	LLM_TRY(llm_jinja_put(j, fill));
	/* what is there is doubled until it is enough */
	for (size_t done = fill.len; done < n * fill.len; done += more)
	{
		more = n * fill.len - done < done ? n * fill.len - done : done;
		memcpy(j->out.data + start + done, j->out.data + start, more);
		memcpy(j->origin.data + start + done, j->origin.data + start, more);
		j->out.len += more;
		j->origin.len += more;
	}
	return LLM_OK;
}

static void
drop(Jinja *j, size_t mark)
{
	j->out.len = mark;
	j->origin.len = mark;
}

LlmStatus
llm_jinja_cut(Jinja *j, size_t mark, LlmValue **out)
{
	size_t		len = j->out.len - mark;
	LlmText		text = {"", NULL, len};
	void	   *copy;

	if (len)
	{
		LLM_TRY(llm_arena_alloc(&j->arena, len, 1, &copy, j->err));
		text.bytes = memcpy(copy, j->out.data + mark, len);
		if (memchr(j->origin.data + mark, 1, len))
		{
			LLM_TRY(llm_arena_alloc(&j->arena, len, 1, &copy, j->err));
			text.from_data = memcpy(copy, j->origin.data + mark, len);
		}
	}
	drop(j, mark);
	return llm_jinja_text(j, text, out);
}

LlmStatus
llm_jinja_str(Jinja *j, LlmValue *v, LlmText *out)
{
	size_t		mark = j->out.len;
	LlmValue   *made;

	if (v->kind != LLM_VALUE_STRING)
	{
		LLM_TRY(llm_jinja_put_str(j, v));
		LLM_TRY(llm_jinja_cut(j, mark, &made));
		v = made;
	}
	*out = v->u.text;
	return LLM_OK;
}

LlmStatus
llm_jinja_soft_str(Jinja *j, LlmValue *v, LlmValue **out)
{
	LlmText		text;

	*out = v;
	if (v->kind == LLM_VALUE_STRING)
		return LLM_OK;
	LLM_TRY(llm_jinja_str(j, v, &text));
	return llm_jinja_text(j, text, out);
}

LlmStatus
llm_jinja_put_escaped(Jinja *j, LlmText text)
{
	static const char special[] = "&<>'\"";
	static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};

	LLM_TRY(llm_jinja_step(j, text.len / 32));
	for (size_t i = 0; i < text.len; i++)
	{
		const char *found = text.bytes[i] ? strchr(special, text.bytes[i]) : NULL;

		if (found)
			LLM_TRY(llm_jinja_put_bytes(j, entities[found - special], strlen(entities[found - special]),
										text.from_data && text.from_data[i]));
		else
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, i, i + 1)));
	}
	return LLM_OK;
}

static LlmStatus
put_string_repr(Jinja *j, LlmText text)
{
	bool		has_single = memchr(text.bytes, '\'', text.len) != NULL;
	bool		has_double = memchr(text.bytes, '"', text.len) != NULL;
	char		quote = has_single && !has_double ? '"' : '\'';
	size_t		pos = 0;

	LLM_TRY(llm_jinja_step(j, text.len / 16));
	LLM_TRY(llm_jinja_put_bytes(j, &quote, 1, false));
	while (pos < text.len)
	{
		uint32_t	c;
		size_t		used = llm_jinja_decode(text.bytes + pos, text.len - pos, &c);
		bool		data = text.from_data && text.from_data[pos];
		char		escape[16];
		int			n = 0;

		if (c == '\\' || c == (uint32_t) quote)
			n = snprintf(escape, sizeof(escape), "\\%c", (char) c);
		else if (c == '\n' || c == '\r' || c == '\t')
			n = snprintf(escape, sizeof(escape), "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else if (c < ' ' || (c >= 0x7F && c < JINJA_BAD_BYTE && !llm_jinja_is_printable(c)))
			n = snprintf(escape, sizeof(escape), c < 0x100 ? "\\x%02" PRIx32 : c < 0x10000 ? "\\u%04" PRIx32 : "\\U%08" PRIx32, c);
		if (n)
			LLM_TRY(llm_jinja_put_bytes(j, escape, (size_t) n, data));
		else
			LLM_TRY(llm_jinja_put(j, llm_jinja_sub(text, pos, pos + used)));
		pos += used;
	}
	return llm_jinja_put_bytes(j, &quote, 1, false);
}

static LlmStatus
put_map_repr(Jinja *j, const LlmValue *map)
{
	LLM_TRY(put_word(j, "{"));
	for (size_t i = 0; i < map->u.seq.n; i++)
	{
		if (i)
			LLM_TRY(put_word(j, ", "));
		LLM_TRY(llm_jinja_put_repr(j, map->u.seq.keys[i]));
		LLM_TRY(put_word(j, ": "));
		LLM_TRY(llm_jinja_put_repr(j, map->u.seq.items[i]));
	}
	return put_word(j, "}");
}

static LlmStatus
put_list_repr(Jinja *j, const LlmValue *list)
{
	static const char *const open[] = {
		[JINJA_PLAIN] = "[", [JINJA_TUPLE] = "(", [JINJA_GROUP] = "(", [JINJA_KEYS] = "dict_keys([",
		[JINJA_VALUES] = "dict_values([", [JINJA_ITEMS] = "dict_items(["
	};
	bool		is_tuple = list->flavour == JINJA_TUPLE || list->flavour == JINJA_GROUP;

	LLM_TRY(put_word(j, open[list->flavour]));
	for (size_t i = 0; i < list->u.seq.n; i++)
	{
		if (i)
			LLM_TRY(put_word(j, ", "));
		LLM_TRY(llm_jinja_put_repr(j, list->u.seq.items[i]));
	}
	if (is_tuple)
		return put_word(j, list->u.seq.n == 1 ? ",)" : ")");
	return put_word(j, list->flavour == JINJA_PLAIN ? "]" : "])");
}

static LlmStatus
put_object_repr(Jinja *j, const JinjaObject *object)
{
	char		text[160];

	switch (object->kind)
	{
		case JINJA_OBJ_MACRO:
			if (object->node->name == j->t->caller_name)
				return put_word(j, "<Macro anonymous>");	/* the body of a call block has no name */
			LLM_TRY(put_word(j, "<Macro "));
			LLM_TRY(put_string_repr(j, j->t->names[object->node->name]->u.text));
			return put_word(j, ">");
		case JINJA_OBJ_NAMESPACE:
			LLM_TRY(put_word(j, "<Namespace "));
			LLM_TRY(put_map_repr(j, object->self));
			return put_word(j, ">");
		case JINJA_OBJ_RANGE:
			if (object->step == 1)
				snprintf(text, sizeof(text), "range(%" PRId64 ", %" PRId64 ")", object->start, object->stop);
			else
				snprintf(text, sizeof(text), "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")", object->start, object->stop, object->step);
			return put_word(j, text);
		case JINJA_OBJ_LOOP:
			snprintf(text, sizeof(text), "<LoopContext %" PRId64 "/%zu>", object->index + 1, object->n_items);
			return put_word(j, text);
		case JINJA_OBJ_FUNCTION:
			snprintf(text, sizeof(text), "<function %.100s>", object->function->name);
			return put_word(j, text);
		case JINJA_OBJ_CYCLER:
			return put_word(j, "<Cycler>");
		case JINJA_OBJ_JOINER:
			return put_word(j, "<Joiner>");
		case JINJA_OBJ_GENERATOR:
			return put_word(j, "<generator object>");
		case JINJA_OBJ_SELF:
			return put_word(j, "<TemplateReference None>");
		case JINJA_OBJ_BLOCK:
			return put_word(j, "<BlockReference>");
	}
	return LLM_OK;
}

LlmStatus
llm_jinja_put_repr(Jinja *j, const LlmValue *v)
{
	LlmStatus	status = LLM_OK;

	LLM_TRY(llm_jinja_step(j, 1));
	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
			return put_word(j, "Undefined");
		case LLM_VALUE_STRING:
			if (v->flavour != JINJA_MARKUP)
				return put_string_repr(j, v->u.text);
			LLM_TRY(put_word(j, "Markup("));
			LLM_TRY(put_string_repr(j, v->u.text));
			return put_word(j, ")");
		case LLM_VALUE_LIST:
		case LLM_VALUE_MAP:
		case LLM_VALUE_FUNCTION:
			if (j->value_depth >= LLM_JINJA_MAX_VALUE_DEPTH)
				return llm_jinja_limit(j, "a value nested deeper than %d levels", LLM_JINJA_MAX_VALUE_DEPTH);
			j->value_depth++;
			if (v->kind == LLM_VALUE_LIST)
				status = put_list_repr(j, v);
			else if (v->kind == LLM_VALUE_MAP)
				status = put_map_repr(j, v);
			else
				status = put_object_repr(j, llm_jinja_obj(v));
			j->value_depth--;
			return status;
		default:
			return llm_jinja_put_str(j, v);
	}
}

LlmStatus
llm_jinja_put_str(Jinja *j, const LlmValue *v)
{
	char		number[JINJA_NUMBER_BUFFER];

	switch (v->kind)
	{
		case LLM_VALUE_UNDEFINED:
			return LLM_OK;
		case LLM_VALUE_NULL:
			return put_word(j, "None");
		case LLM_VALUE_BOOL:
			return put_word(j, v->u.boolean ? "True" : "False");
		case LLM_VALUE_INT:
			snprintf(number, sizeof(number), "%" PRId64, v->u.integer);
			return put_word(j, number);
		case LLM_VALUE_FLOAT:
			llm_jinja_float_repr(v->u.number, number);
			return put_word(j, number);
		case LLM_VALUE_STRING:
			return llm_jinja_put(j, v->u.text);
		default:
			return llm_jinja_put_repr(j, v);
	}
}
